// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "measure/statistics.h"

namespace batchwise {

// Seconds of the monotonic clock; only differences mean something.
double monotonic_seconds();

// Time since construction or the last restart(), on the monotonic clock. Not for several threads.
class Stopwatch {
 public:
  Stopwatch() : start_(std::chrono::steady_clock::now()) {}
  void restart() { start_ = std::chrono::steady_clock::now(); }
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  double us() const { return seconds() * 1e6; }

 private:
  std::chrono::steady_clock::time_point start_;
};

// Something to time: one call of `run` is one call.
struct Candidate {
  std::string name;
  std::function<void()> run;
};

struct SamplingOptions {
  int warm_up_calls = 2;  // untimed, each candidate, before anything is timed
  int min_repeats = 10;
  int max_repeats = 1000;
  double target_relative_width = 0.02;  // of the median's interval: stop when it is this narrow
  // For all candidates together, warm-up included; what has no repeat yet still gets one.
  double max_seconds = 10;
  // Calls shorter than this are timed several at a time, so that the clock costs nothing.
  double min_block_us = 50;
  // Calls shorter than this get an untimed call before each block: the candidate before has emptied
  // the caches, and that is not what is measured.
  double rewarm_below_us = 2000;
  std::function<double()> now_seconds = monotonic_seconds;
  // Asked between blocks; true stops at once and keeps what was measured.
  std::function<bool()> should_stop = nullptr;
};

// The timed repeats of one candidate, in the order they were taken.
struct Samples {
  std::string name;
  std::vector<double> us;  // a call; the mean of a block where calls_per_block > 1
  std::int64_t calls_per_block = 1;

  std::int64_t repeats() const { return static_cast<std::int64_t>(us.size()); }
  Interval median() const { return median_interval(us); }
  Interval p99() const { return p99_interval(us); }
};

// Times the candidates interleaved, one block of each in turn, starting each round with the next
// candidate, so that a drift of the machine (clock, neighbours) meets all of them alike. A
// candidate that is sure enough leaves the rounds. Samples come in the order of the candidates.
std::vector<Samples> measure_interleaved(std::span<const Candidate> candidates,
                                         const SamplingOptions& options = {});

}  // namespace batchwise
