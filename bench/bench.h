// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <random>
#include <thread>
#include <vector>

// What the benchmarks share: aligned memory, timing by turns, figures.
namespace batchwise::bench {

struct FreeFloats {
  void operator()(float* floats) const { std::free(floats); }
};
using Floats = std::unique_ptr<float[], FreeFloats>;

inline Floats random_floats(std::int64_t count, unsigned seed) {
  const std::size_t bytes = (static_cast<std::size_t>(count) * sizeof(float) + 127) / 64 * 64;
  Floats floats(static_cast<float*>(std::aligned_alloc(64, bytes)));
  std::mt19937 generator(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  for (std::size_t i = 0; i < bytes / sizeof(float); ++i) floats[i] = uniform(generator);
  return floats;
}

inline double now_s() {
  const auto since = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(since).count();
}

inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Seconds a call of two functions, measured by turns so that what disturbs one disturbs the other.
struct Pair {
  double ours_s, theirs_s;     // medians
  double ratio, ratio_spread;  // theirs / ours: median, and half the width of the middle half
};

template <typename F>
double seconds_a_call(F&& call, int calls) {
  const double begin = now_s();
  for (int i = 0; i < calls; ++i) call();
  return (now_s() - begin) / calls;
}

// A turn begins with a pause, in which the threads of the other one stop spinning, and with calls
// that wake our own.
template <typename F>
double seconds_in_turn(F&& call, int calls, bool pause) {
  if (pause) std::this_thread::sleep_for(std::chrono::milliseconds(4));
  const double begin = now_s();
  do call();
  while (pause && now_s() - begin < 3e-4);
  return seconds_a_call(call, calls);
}

template <typename Ours, typename Theirs>
Pair measure_by_turns(Ours&& ours, Theirs&& theirs, int threads, double turn_s = 1e-3,
                      int turns = 9) {
  const bool pause = threads > 1;
  const auto calls_for = [&](double one) {
    return static_cast<int>(std::clamp(turn_s / std::max(one, 1e-8), 1.0, 1e5));
  };
  const int our_calls = calls_for(seconds_in_turn(ours, 2, pause));
  const int their_calls = calls_for(seconds_in_turn(theirs, 2, pause));
  std::vector<double> our_times, their_times, ratios;
  for (int i = 0; i < turns; ++i) {
    our_times.push_back(seconds_in_turn(ours, our_calls, pause));
    their_times.push_back(seconds_in_turn(theirs, their_calls, pause));
    ratios.push_back(their_times.back() / our_times.back());
  }
  std::sort(ratios.begin(), ratios.end());
  const double spread = (ratios[ratios.size() * 3 / 4] - ratios[ratios.size() / 4]) / 2;
  return {median(our_times), median(their_times), ratios[ratios.size() / 2], spread};
}

// Root mean square of the error, relative to that of the exact values.
inline double relative_rms(const float* values, const double* exact, std::int64_t count) {
  double error = 0, size = 0;
  for (std::int64_t i = 0; i < count; ++i) {
    error += (values[i] - exact[i]) * (values[i] - exact[i]);
    size += exact[i] * exact[i];
  }
  return std::sqrt(error / size);
}

}  // namespace batchwise::bench
