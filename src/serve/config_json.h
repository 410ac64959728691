// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "serve/model_version.h"

namespace batchwise::serve {

// The type's name in Triton's configuration, "TYPE_FP32"; empty for what it has no name for.
std::string_view config_type_name(DType dtype);

// A model's configuration as Triton's ModelConfig in JSON.
std::string model_config_json(const ModelVersion& version, int instances);

}  // namespace batchwise::serve
