// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "batchwise/dtype.h"

namespace batchwise::serve {

// An input or output as a configuration states it.
struct ConfiguredTensor {
  std::string name;
  DType dtype = DType::kUndefined;  // kUndefined: not stated
  std::vector<std::int64_t> dims;   // of a sample where the model batches; -1: any
};

// The dynamic batcher of a configuration: what the policy `delay` takes.
struct ConfiguredBatching {
  std::vector<std::int64_t> preferred_rows;
  double max_queue_delay_us = 0;
  double queue_timeout_us = 0;  // 0: none
  bool delay_at_timeout = false;
  std::int64_t max_queue_requests = 0;  // 0: no limit
  std::int32_t priority_levels = 0, default_priority = 0;
};

// Which of a model's versions are served.
struct VersionPolicy {
  std::int64_t latest = 1;             // so many of the newest
  bool all = false;                    // all there are
  std::vector<std::int64_t> specific;  // these, where it is not empty
};

// What a Triton configuration (config.pbtxt) says that means something here. A plain value.
struct ModelConfig {
  std::string name;                            // empty: not stated
  std::optional<std::int64_t> max_batch_rows;  // 0: requests are never put together
  std::vector<ConfiguredTensor> inputs, outputs;
  std::optional<ConfiguredBatching> batching;
  std::optional<int> instances;
  std::string model_file = "model.onnx";
  VersionPolicy versions;
  std::vector<std::string> ignored;  // a line for each field that was passed over: "field: why"
};

// Reads a configuration in protobuf's text format. docs/serve.md lists each field as read, passed
// over or refused. Throws Error{kInvalidInput} naming `where`, line and field: what cannot be read,
// fields that do not exist, and what would change results and is not supported.
ModelConfig parse_model_config(std::string_view text, const std::string& where);
ModelConfig read_model_config(const std::string& path);

}  // namespace batchwise::serve
