// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "serve/server.h"

// What the server and its models are, as JSON of the Open Inference Protocol, of Triton's
// extensions and of TensorFlow Serving.
namespace batchwise::serve {

std::string server_metadata_json();
std::string model_metadata_json(const ModelInfo& model);
std::string statistics_json(const std::vector<ModelStatistics>& models);
std::string index_json(const std::vector<IndexEntry>& index);
// GET /v1/models/m: the versions of `name`, or the one that is asked for; empty where there is
// none.
std::string tf_status_json(const std::vector<IndexEntry>& index, std::string_view name,
                           std::string_view version);
std::string tf_metadata_json(const ModelInfo& model);

}  // namespace batchwise::serve
