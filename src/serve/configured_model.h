// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>

#include "serve/config/triton_config.h"
#include "serve/request.h"

namespace batchwise::serve {

// What a configuration decides about a model beside its files.
struct ModelLimits {
  std::int64_t max_batch_rows = 0;  // 0: no limit
};

// Reads the configuration beside a model, holds the model to what it states of name, inputs and
// outputs, and logs, a line each, what is passed over. Throws Error{kInvalidInput} naming the file
// and both sides where they disagree. An empty path: no limits.
ModelLimits apply_model_config(const std::string& path, const ModelInfo& model);

// The file that a configuration names for a version ("model.onnx" by default), and whether it lets
// a version be served. A configuration that cannot be read lets all: loading will say why not.
class VersionChoice {
 public:
  // An empty path: no configuration.
  explicit VersionChoice(const std::string& path);
  const std::string& model_file() const { return model_file_; }
  bool allows(std::int64_t version) const;

 private:
  std::string model_file_ = "model.onnx";
  std::vector<std::int64_t> specific_;  // empty: any
};

}  // namespace batchwise::serve
