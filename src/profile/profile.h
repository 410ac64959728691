// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "batching/cost_curve.h"

namespace batchwise {

// Reads a profile: JSON with `measurements` (study.json has them), or a list of them alone. Of each
// `batch_size` and `median_us` are needed; `low_us`, `high_us`, and `bytes` or `peak_bytes` are
// taken where they are there. Rows marked `automatic` are passed over: they repeat a size. Throws
// Error{kInvalidInput} naming `where`.
CostCurve parse_profile(std::string_view text, const std::string& where);
CostCurve read_profile(const std::string& path);

// How a server of a model was found to do best on a machine, `serve` of study.json. A plain value.
struct ServingProfile {
  int instances = 1, threads = 1;  // threads: of each instance
  std::int64_t max_batch = 1;      // rows
  double p99_us = 0;               // the limit that it was chosen for
  CostCurve curve;                 // of a batch while all instances run
};

// A model of a profile, and where it was measured.
struct ModelProfile {
  std::string model, model_sha256;  // its name without ending, its file's content; may be empty
  std::string machine_key;          // of Machine::key(); may be empty
  std::optional<CostCurve> curve;   // `measurements`: all threads on one batch
  std::optional<ServingProfile> serving;
};

// All models of study.json; of a plain profile its only one. Throws as above.
std::vector<ModelProfile> parse_model_profiles(std::string_view text, const std::string& where);
std::vector<ModelProfile> read_model_profiles(const std::string& path);
// The one of a file with this content, else with this name, else the only one without either; null
// where there is none.
const ModelProfile* find_model_profile(const std::vector<ModelProfile>& profiles,
                                       std::string_view model, std::string_view model_sha256);

}  // namespace batchwise
