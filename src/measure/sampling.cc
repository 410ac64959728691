// SPDX-License-Identifier: Apache-2.0
#include "measure/sampling.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace batchwise {
namespace {

// Runs the rounds; one object for one measurement.
class Rounds {
 public:
  Rounds(std::span<const Candidate> candidates, const SamplingOptions& options)
      : candidates_(candidates), options_(options), start_(options.now_seconds()) {
    for (const Candidate& candidate : candidates) samples_.push_back({candidate.name, {}, 1});
    call_us_.resize(candidates.size());
    done_.resize(candidates.size());
  }

  std::vector<Samples> run() {
    for (std::size_t i = 0; i < candidates_.size() && !stopped(); ++i) warm_up(i);
    for (std::size_t round = 0; !all_done() && !stopped(); ++round) {
      for (std::size_t k = 0; k < candidates_.size() && !stopped(); ++k) {
        const std::size_t i = (round + k) % candidates_.size();
        if (!done_[i]) take(i);
      }
    }
    return std::move(samples_);
  }

 private:
  double time_block_us(std::size_t i, std::int64_t calls) {
    const double begin = options_.now_seconds();
    for (std::int64_t call = 0; call < calls; ++call) candidates_[i].run();
    return (options_.now_seconds() - begin) * 1e6;
  }

  // Warms up and finds how many calls make a block that is long enough.
  void warm_up(std::size_t i) {
    for (int call = 0; call < options_.warm_up_calls; ++call) {
      candidates_[i].run();
      if (late()) break;
    }
    std::int64_t calls = 1;
    double block_us = time_block_us(i, calls);
    while (block_us < options_.min_block_us && calls < 1'000'000) {
      const double needed = options_.min_block_us / std::max(block_us, 0.01) * 1.2;
      calls = std::max(calls * 2, static_cast<std::int64_t>(std::ceil(static_cast<double>(calls) *
                                                                      std::min(needed, 64.0))));
      block_us = time_block_us(i, calls);
    }
    samples_[i].calls_per_block = calls;
    call_us_[i] = block_us / static_cast<double>(calls);
  }

  void take(std::size_t i) {
    Samples& samples = samples_[i];
    if (late() && !samples.us.empty()) {
      done_[i] = true;
      return;
    }
    if (call_us_[i] < options_.rewarm_below_us) candidates_[i].run();
    samples.us.push_back(time_block_us(i, samples.calls_per_block) /
                         static_cast<double>(samples.calls_per_block));
    done_[i] = is_sure(samples);
  }

  bool is_sure(const Samples& samples) const {
    const std::int64_t repeats = samples.repeats();
    if (repeats >= options_.max_repeats) return true;
    if (repeats < options_.min_repeats) return false;
    // Sorting between blocks costs time that is measured nowhere: not after every block.
    if (repeats != options_.min_repeats && repeats % 8 != 0) return false;
    const Interval median = samples.median();
    return median.covers && median.relative_width() <= options_.target_relative_width;
  }

  bool late() const { return options_.now_seconds() - start_ > options_.max_seconds; }
  bool stopped() const { return options_.should_stop && options_.should_stop(); }
  bool all_done() const {
    return std::all_of(done_.begin(), done_.end(), [](bool done) { return done; });
  }

  std::span<const Candidate> candidates_;
  const SamplingOptions& options_;
  const double start_;
  std::vector<Samples> samples_;
  std::vector<double> call_us_;
  std::vector<bool> done_;
};

}  // namespace

double monotonic_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::vector<Samples> measure_interleaved(std::span<const Candidate> candidates,
                                         const SamplingOptions& options) {
  BW_CHECK(options.min_repeats >= 1 && options.max_repeats >= options.min_repeats,
           "repeats from {} to {}", options.min_repeats, options.max_repeats);
  return Rounds(candidates, options).run();
}

}  // namespace batchwise
