// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "batchwise/export.h"
#include "batchwise/memory_parts.h"
#include "batchwise/process.h"

namespace batchwise {

enum class Use : std::uint8_t { kPredict, kFit };

struct ExplainOptions {
  Use use = Use::kPredict;
  // 0: auto. Empty: 1, 32 and 512, or 1 alone where the model can have no other.
  std::vector<std::int64_t> batch_sizes;
  std::int64_t micro_batch = 0;  // 0: auto
  bool control = false;          // of predict
  bool time = false;             // run it, and time each step
  std::string output_name;
  // Of fit.
  std::string optimizer = "sgd", loss = "cross-entropy";
  double momentum = 0.9, clip_norm = 0;
  std::int64_t ghost_batch = 0;
  std::vector<std::string> train, freeze;
  std::string normalize;        // with data
  double validation_split = 0;  // with data that has no test split
  Resources resources;
};

// The memory of a batch size.
struct BatchSizePlan {
  std::int64_t batch_size = 0, micro_batch = 0;
  MemoryParts parts;
  std::int64_t peak_bytes = 0;         // parts.total()
  std::int64_t lower_bound_bytes = 0;  // the peak, were there no gaps in the arena
  double flops = 0;                    // of the whole batch
  bool fits = true;
};

struct StepExplanation {
  std::string name, op, kernel, backend, reason;
  double flops = 0;
  std::int64_t bytes = 0;  // read and written
  std::optional<double> us, share, share_of_peak;
};

struct PassExplanation {
  std::string name;
  bool changed = false;
  double us = 0;
};

struct TrainedParameter {
  std::string name;
  std::vector<std::int64_t> shape;
  bool decays = true;
};

// What would happen, without anything run (but with `time`).
struct Explanation {
  Use use = Use::kPredict;
  std::vector<BatchSizePlan> batch_sizes;
  std::int64_t memory_limit_bytes = 0, available_bytes = 0;  // available: less base and margin
  std::optional<std::int64_t> largest_batch_size;            // nothing: the limit binds none
  std::int64_t largest_micro_batch = 0;
  std::vector<StepExplanation> steps;  // of a pass of the last batch size
  std::int64_t steps_micro_batch = 0;  // its samples
  std::vector<PassExplanation> passes;
  std::string isa;
  bool bits_depend_on_isa = false;
  std::string mixes_samples;  // why a batch above one would; empty where it would not
  std::vector<TrainedParameter> parameters;  // of fit
  std::vector<std::string> statistics;       // of fit: running moments
};
BATCHWISE_API std::string to_json(const Explanation& explanation);

}  // namespace batchwise
