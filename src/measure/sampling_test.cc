// SPDX-License-Identifier: Apache-2.0
#include "measure/sampling.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace batchwise {
namespace {

// A clock that only the candidates move, so that every figure is known beforehand.
struct World {
  double now = 0;
  std::string trace;

  Candidate candidate(const char* name, double us) {
    return {name, [this, name, us] {
              now += us * 1e-6;
              trace += name;
            }};
  }
  SamplingOptions options() {
    SamplingOptions options;
    options.now_seconds = [this] { return now; };
    return options;
  }
};

TEST(Sampling, TakesTheTimeOfOneCall) {
  World world;
  const std::vector<Candidate> candidates{world.candidate("a", 3), world.candidate("b", 4000)};
  const std::vector<Samples> samples = measure_interleaved(candidates, world.options());
  ASSERT_EQ(samples.size(), 2u);
  EXPECT_EQ(samples[0].name, "a");
  EXPECT_NEAR(samples[0].median().median, 3, 1e-6);
  EXPECT_NEAR(samples[1].median().median, 4000, 1e-6);
  EXPECT_GE(samples[0].calls_per_block * 3, 50);
  EXPECT_LE(samples[0].calls_per_block * 3, 1000);
  EXPECT_EQ(samples[1].calls_per_block, 1);
  EXPECT_EQ(samples[1].repeats(), 10);  // no spread: sure at the least number of repeats
}

TEST(Sampling, InterleavesAndTurnsTheOrder) {
  World world;
  SamplingOptions options = world.options();
  options.warm_up_calls = 0;
  options.min_repeats = options.max_repeats = 3;
  const std::vector<Candidate> candidates{world.candidate("a", 5000), world.candidate("b", 5000),
                                          world.candidate("c", 5000)};
  measure_interleaved(candidates, options);
  // One call each finds the length of a block, then the rounds.
  EXPECT_EQ(world.trace,
            "abc"
            "abc"
            "bca"
            "cab");
}

TEST(Sampling, StopsAtTheBudgetWithOneRepeatEach) {
  World world;
  SamplingOptions options = world.options();
  options.max_seconds = 1;
  const std::vector<Candidate> candidates{world.candidate("a", 2e6), world.candidate("b", 2e6)};
  const std::vector<Samples> samples = measure_interleaved(candidates, options);
  EXPECT_EQ(samples[0].repeats(), 1);
  EXPECT_EQ(samples[1].repeats(), 1);
}

TEST(Sampling, GoesOnWhileTheMedianIsUnsure) {
  World world;
  int call = 0;
  SamplingOptions options = world.options();
  options.max_repeats = 200;
  // Every other call takes three times as long: the interval of the median never gets narrow.
  const std::vector<Candidate> candidates{
      {"x", [&] { world.now += (call++ % 2 == 0 ? 1 : 3) * 5e-3; }}};
  EXPECT_EQ(measure_interleaved(candidates, options)[0].repeats(), 200);
}

TEST(Sampling, StopsWhenAsked) {
  World world;
  SamplingOptions options = world.options();
  options.should_stop = [&] { return world.now > 0.05; };
  const std::vector<Candidate> candidates{world.candidate("a", 5000)};
  const std::vector<Samples> samples = measure_interleaved(candidates, options);
  EXPECT_GE(samples[0].repeats(), 1);
  EXPECT_LT(samples[0].repeats(), 10);
}

}  // namespace
}  // namespace batchwise
