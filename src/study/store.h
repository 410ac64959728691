// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "study/study_result.h"

namespace batchwise {

// One single measurement of an experiment: a timed repeat, a planned peak.
struct StoredMeasurement {
  std::string name;  // "time a call"
  std::int64_t repeat = 0;
  double value = 0;
  std::string unit;  // "us"
};

// So many requests of one run took so long, to three digits.
struct StoredLatency {
  std::int64_t repeat = 0;
  double us = 0;
  std::int64_t count = 0;
};

// An experiment that is finished: one batch size of Predict, one run of Fit.
struct FinishedExperiment {
  std::string key;      // unique; all that the outcome depends on: "predict/mlp/batch=8/threads=2"
  std::string chapter;  // "predict"
  std::string model;
  std::string outcome;  // JSON, read back by the chapter
  double seconds = 0;
  std::vector<StoredMeasurement> measurements;
  std::vector<FitRun> curves;
  std::vector<StoredLatency> latencies = {};
};

// study.sqlite: every single measurement, and the finished experiments by key, so that an
// interrupted study goes on where it was. An experiment is written whole or not at all, and is safe
// once save() returns. Not for several threads; a second process that opens the file is refused.
class StudyStore {
 public:
  // Without `resume` an old file is replaced. Throws Error{kEnvironment} where the file cannot be
  // written, Error{kInvalidInput} where it is not a study of this version.
  static StudyStore open(const std::string& path, bool resume);
  StudyStore(StudyStore&&) noexcept;
  StudyStore& operator=(StudyStore&&) noexcept;
  ~StudyStore();

  bool has(std::string_view key) const;
  // The outcome of a finished experiment.
  std::optional<std::string> load(std::string_view key) const;
  void save(const FinishedExperiment& experiment);

  // A fact about the study: versions, machine, command. The last one holds.
  void set_fact(std::string_view name, std::string_view value);
  std::optional<std::string> fact(std::string_view name) const;
  // As set_fact, but throws Error{kInvalidInput} where a resumed study has another value: its
  // experiments would not belong together (another model, data or machine).
  void require_fact(std::string_view name, std::string_view value);

  // All repeats of an experiment's measurement, in order; and how many rows there are in all.
  std::vector<double> values(std::string_view key, std::string_view name) const;
  std::int64_t num_measurements() const;
  std::int64_t num_curve_points() const;
  std::int64_t num_latencies() const;  // requests
  double seconds_spent() const;        // of all finished experiments

 private:
  struct Database;
  explicit StudyStore(std::unique_ptr<Database> database);
  std::unique_ptr<Database> database_;
};

}  // namespace batchwise
