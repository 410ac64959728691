// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <string_view>
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

// Ends the program where a word of the command line is none that the benchmark knows.
[[noreturn]] inline void fail_word(const std::string& word, std::string_view usage) {
  fmt::print(stderr, "unknown word {}\nusage: {}\n", word, usage);
  std::exit(2);
}

// A number of the command line, above 0.
inline double parse_number(const std::string& word, std::string_view usage) {
  char* end = nullptr;
  const double value = std::strtod(word.c_str(), &end);
  if (end == word.c_str() || *end != '\0' || !(value > 0)) fail_word(word, usage);
  return value;
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

// A turn begins with a pause, in which the threads of the other one stop spinning (those of libgomp
// still do after 4 ms), and with calls
// that wake our own.
template <typename F>
double seconds_in_turn(F&& call, int calls, bool pause) {
  if (pause) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  const double begin = now_s();
  do call();
  while (pause && now_s() - begin < 3e-4);
  return seconds_a_call(call, calls);
}

// Turns of each of the two, and what a turn takes at least.
inline constexpr int kTurns = 9;
inline constexpr double kTurnSeconds = 1e-3;

template <typename Ours, typename Theirs>
Pair measure_by_turns(Ours&& ours, Theirs&& theirs, int threads) {
  const bool pause = threads > 1;
  const auto calls_for = [&](double one) {
    return static_cast<int>(std::clamp(kTurnSeconds / std::max(one, 1e-8), 1.0, 1e5));
  };
  const int our_calls = calls_for(seconds_in_turn(ours, 2, pause));
  const int their_calls = calls_for(seconds_in_turn(theirs, 2, pause));
  std::vector<double> our_times, their_times, ratios;
  for (int i = 0; i < kTurns; ++i) {
    our_times.push_back(seconds_in_turn(ours, our_calls, pause));
    their_times.push_back(seconds_in_turn(theirs, their_calls, pause));
    ratios.push_back(their_times.back() / our_times.back());
  }
  std::sort(ratios.begin(), ratios.end());
  const double spread = (ratios[ratios.size() * 3 / 4] - ratios[ratios.size() / 4]) / 2;
  return {median(our_times), median(their_times), ratios[ratios.size() / 2], spread};
}

// Prints what a benchmark's figures are.
inline void print_method(const char* subject) {
  fmt::print(
      "{} beside oneDNN: medians of {} turns of {:.0f} ms each, by turns; ratio is of speeds, "
      "+- half the width of its middle half; peak is of multiply-adds without memory\n",
      subject, kTurns, kTurnSeconds * 1e3);
}

// Prints one line of a table; `what` and `cell` come first, `operations` are in units of 1e9.
inline void print_cell(const char* what, std::string_view isa, int threads, const std::string& cell,
                       double operations, const Pair& pair, double peak) {
  const double rate = operations / pair.ours_s;
  fmt::print(
      "{:8} {:6} {:2} thr {:30}  ours {:7.1f}  oneDNN {:7.1f} GFLOP/s  ratio {:5.2f} +- "
      "{:4.2f}  {:4.0f} % of peak {:9.2f} us\n",
      what, isa, threads, cell, rate, operations / pair.theirs_s, pair.ratio, pair.ratio_spread,
      100 * rate / peak, pair.ours_s * 1e6);
  std::fflush(stdout);
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
