// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>

namespace batchwise {

// The work that waits, by when it is due: what would go before a request whose deadline is known.
// Deadlines are counted in steps of a part of `window_us`, the longest time that a request has;
// later ones are counted as at its end. A value.
class Backlog {
 public:
  explicit Backlog(double window_us);

  // Time only goes on: work that was due before `now_us` is forgotten.
  void advance(double now_us);
  // Negative work is taken away.
  void add(double deadline_us, double work_us);
  // What is due at `deadline_us` or before.
  double due_us(double deadline_us) const;
  void clear();

 private:
  static constexpr std::int64_t kSteps = 128;
  std::int64_t step_of(double deadline_us) const;
  double& work(std::int64_t step) { return work_us_[static_cast<std::size_t>(step % kSteps)]; }

  double step_us_;
  std::int64_t first_ = 0;  // the step that `now` is in
  std::array<double, kSteps> work_us_{};
};

}  // namespace batchwise
