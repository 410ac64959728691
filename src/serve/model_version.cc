// SPDX-License-Identifier: Apache-2.0
#include "serve/model_version.h"

#include <algorithm>

#include "base/check.h"
#include "batching/batch_sizes.h"
#include "batching/scheduler.h"

namespace batchwise::serve {
namespace {

// Runs of each size that are measured in idle time.
constexpr std::int64_t kIdleRuns = 5;
// Making a curve costs some microseconds, and decisions need no better.
constexpr double kCurveEachUs = 20e3;

std::int64_t batch_output_bytes(const ModelInfo& info) {
  std::int64_t bytes = 0;
  for (const TensorSpec& output : info.outputs) {
    bytes += (output.row_bytes * info.max_batch_rows + 63) / 64 * 64;
  }
  return bytes;
}

}  // namespace

ModelVersion::ModelVersion(ModelInfo info, std::shared_ptr<const EngineModel> engine, int threads,
                           VersionBytes bytes, CostCurve start, SlotLease slot)
    : ModelInfo(std::move(info)),
      engine_(std::move(engine)),
      threads_(threads),
      bytes_(bytes),
      slot_(std::move(slot)),
      sizes_(prepared_sizes(max_batch_rows)),
      output_pool_(std::make_shared<OutputPool>(batch_output_bytes(*this), bytes.outputs)),
      learner_(std::move(start)) {
  statistics_.name = name;
  statistics_.version = version;
  statistics_.planned_bytes = bytes.own();
  prepare(max_batch_rows);
  prepare(1);
}

void ModelVersion::prepare(std::int64_t rows) {
  auto program = engine_->program(rows, threads_);
  const std::lock_guard lock(programs_mutex_);
  programs_[rows] = std::move(program);
}

std::vector<std::int64_t> ModelVersion::missing_sizes() const {
  std::vector<std::int64_t> missing;
  const std::lock_guard lock(programs_mutex_);
  for (const std::int64_t size : sizes_) {
    if (programs_.count(size) == 0) missing.push_back(size);
  }
  // Powers of two first: whatever comes is then padded to less than twice its rows.
  std::stable_partition(missing.begin(), missing.end(),
                        [](std::int64_t size) { return (size & (size - 1)) == 0; });
  return missing;
}

ModelVersion::Prepared ModelVersion::prepared(std::int64_t rows) const {
  const std::lock_guard lock(programs_mutex_);
  const auto found = programs_.lower_bound(rows);
  BW_CHECK(found != programs_.end(), "{} rows, prepared for {}", rows, max_batch_rows);
  return {found->first, found->second};
}

std::shared_ptr<const CostCurve> ModelVersion::learn(std::int64_t rows, double us, double now_us) {
  const std::lock_guard lock(learner_mutex_);
  learner_.note(rows, us);
  if (!learner_.has_moved() || now_us < curve_at_us_ + kCurveEachUs) return nullptr;
  if (now_us < kNever) curve_at_us_ = now_us;
  return std::make_shared<const CostCurve>(learner_.update());
}

CostCurve ModelVersion::curve() const {
  const std::lock_guard lock(learner_mutex_);
  return learner_.curve();
}

std::int64_t ModelVersion::next_to_measure() const {
  const std::lock_guard lock(learner_mutex_);
  if (measuring_left_us_ <= 0) return 0;
  const std::int64_t next = batchwise::next_to_measure(learner_, sizes_, kIdleRuns);
  // One that would take more than there is left is not begun.
  return next > 0 && learner_.curve().us(next) * threads_ <= measuring_left_us_ ? next : 0;
}

void ModelVersion::note_measuring(double cpu_us) {
  const std::lock_guard lock(learner_mutex_);
  measuring_left_us_ -= cpu_us;
}

ModelStatistics ModelVersion::statistics() const {
  const std::lock_guard lock(statistics_mutex_);
  ModelStatistics statistics = statistics_;
  statistics.memory_bytes = bytes_.weights + bytes_.programs + output_pool_->held_bytes();
  return statistics;
}

}  // namespace batchwise::serve
