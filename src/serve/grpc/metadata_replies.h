// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string_view>

#include "serve/request.h"

namespace inference {
class ModelConfigResponse;
class ModelMetadataResponse;
class ModelStatisticsResponse;
class RepositoryIndexResponse;
class RepositoryModelLoadRequest;
class ServerMetadataResponse;
}  // namespace inference

// What the server tells of itself and its models, as messages. A refusal with kOk is none.
namespace batchwise::serve {

class Server;

void fill_server_metadata(inference::ServerMetadataResponse& into);
Refusal fill_model_metadata(const Server& server, std::string_view name, std::string_view version,
                            inference::ModelMetadataResponse& into);
Refusal fill_model_config(const Server& server, std::string_view name, std::string_view version,
                          inference::ModelConfigResponse& into);
Refusal fill_statistics(const Server& server, std::string_view name, std::string_view version,
                        inference::ModelStatisticsResponse& into);
void fill_index(const Server& server, bool ready_only, inference::RepositoryIndexResponse& into);

// The configuration that a load asks for, or an empty one.
Refusal read_load_config(const inference::RepositoryModelLoadRequest& request, std::string& config);

}  // namespace batchwise::serve
