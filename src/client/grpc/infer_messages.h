// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "client/infer_client.h"

namespace inference {
class ModelInferResponse;
class ModelMetadataResponse;
class ModelStatisticsResponse;
}  // namespace inference

namespace batchwise {

// A ModelInferRequest with the inputs as raw bytes.
std::string encode_infer_call(const InferCall& call);

// The outputs, whose bytes lie in the message; nothing where shapes and bytes do not agree.
std::optional<std::vector<NamedTensor>> decode_outputs(const inference::ModelInferResponse& reply);

RemoteModel decode_model(const inference::ModelMetadataResponse& reply);
RemoteStatistics decode_statistics(const inference::ModelStatisticsResponse& reply);

}  // namespace batchwise
