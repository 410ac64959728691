// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace batchwise::serve {

// Counts of values in buckets that grow by an eighth of a power of two: three significant digits
// are not needed to draw or to alarm, and 10 % are. A plain value.
class Histogram {
 public:
  // From 1 to 2^40, eight buckets an octave; below 1 in the first one.
  static constexpr int kBuckets = 8 * 40;
  void add(double value, std::int64_t count = 1);
  void add(const Histogram& other);
  std::int64_t count() const { return count_; }
  double sum() const { return sum_; }
  // The value that a share `q` of all values does not exceed, to within a bucket; 0 without values.
  double quantile(double q) const;
  // How many values are at most `value`, to within a bucket.
  std::int64_t count_up_to(double value) const;

 private:
  std::array<std::int64_t, kBuckets> buckets_{};
  std::int64_t count_ = 0;
  double sum_ = 0;
};

struct DurationSum {
  std::int64_t count = 0;
  double us = 0;
};

// What batches of one size took, as Triton's statistics give it.
struct BatchStatistics {
  DurationSum compute_input, compute_infer, compute_output;
};

enum class Failure : std::uint8_t { kRejected, kCancelled, kBackend, kOther, kExpired };
inline constexpr int kFailures = 5;
std::string_view failure_name(Failure failure);  // "REJECTED", ... as Triton labels them

// What became of one version of a model since it was loaded. A plain value, a snapshot.
struct ModelStatistics {
  std::string name, version;
  std::int64_t last_inference_ms = 0;  // since the Unix epoch
  std::int64_t inference_count = 0;    // rows
  std::int64_t execution_count = 0;    // batches
  std::int64_t padded_rows = 0;
  DurationSum success, fail, queue, compute_input, compute_infer, compute_output;
  std::array<std::int64_t, kFailures> failures{};
  std::int64_t in_time = 0;                         // answered within their deadline
  std::int64_t late = 0;                            // answered after it
  std::map<std::int64_t, BatchStatistics> batches;  // by rows
  Histogram request_us, queue_us, compute_us, batch_rows;
  std::int64_t pending = 0;  // requests in the queue now
  std::int64_t memory_bytes = 0, planned_bytes = 0;
};

}  // namespace batchwise::serve
