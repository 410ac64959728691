// SPDX-License-Identifier: Apache-2.0
#include "plan/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>
#include <vector>

#include "batchwise/error.h"
#include "plan/check_plan.h"

namespace batchwise {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::vector<BufferRow> random_rows(std::mt19937& random, int num_rows, int num_steps) {
  const auto below = [&](int end) {
    return static_cast<int>(random() % static_cast<unsigned>(end));
  };
  std::vector<BufferRow> rows;
  for (int i = 0; i < num_rows; ++i) {
    BufferRow row;
    row.bytes = below(4) == 0 ? below(200) : below(1 << (8 + below(12)));
    row.alignment = std::int64_t{1} << below(8);
    row.first_step = below(num_steps);
    row.last_step = std::min(num_steps - 1, row.first_step + below(1 + below(num_steps)));
    // Half of the rows would like a place of an earlier row, most of those at the right moment.
    if (i > 0 && below(2) == 0) {
      row.shares_with = below(i);
      if (below(4) != 0) {
        row.first_step = rows[row.shares_with].last_step;
        row.last_step = std::min(num_steps - 1, row.first_step + below(num_steps));
        if (below(2) == 0) row.bytes = rows[row.shares_with].bytes;
      }
    }
    rows.push_back(row);
  }
  return rows;
}

// The largest sum of live bytes, step by step; of two rows in one place the larger counts.
std::int64_t most_live_bytes(const std::vector<BufferRow>& rows, const Plan& plan, int num_steps) {
  const auto aligned = [](const BufferRow& row) {
    return (row.bytes + row.alignment - 1) / row.alignment * row.alignment;
  };
  std::int64_t most = 0;
  for (int step = 0; step < num_steps; ++step) {
    std::int64_t live = 0;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      if (rows[i].first_step > step || rows[i].last_step < step) continue;
      live += aligned(rows[i]);
      const int other = rows[i].shares_with;
      if (other >= 0 && rows[i].bytes > 0 && rows[other].bytes > 0 && rows[i].first_step == step &&
          rows[other].last_step == step && plan.offsets[i] == plan.offsets[other]) {
        live -= std::min(aligned(rows[i]), aligned(rows[other]));
      }
    }
    most = std::max(most, live);
  }
  return most;
}

// A net as a program sees it: node i reads the values in inputs[i] and writes value i of bytes[i].
// For training, each value's gradient is written after all forward steps, in reverse order, and the
// step that writes it reads the values that its node read.
struct Net {
  std::vector<std::int64_t> bytes;
  std::vector<std::vector<int>> inputs;
  int add(std::int64_t value_bytes, std::vector<int> reads) {
    bytes.push_back(value_bytes);
    inputs.push_back(std::move(reads));
    return static_cast<int>(bytes.size()) - 1;
  }
};

std::vector<BufferRow> rows_of(const Net& net, bool training, bool in_place) {
  const int num_values = static_cast<int>(net.bytes.size());
  std::vector<BufferRow> rows;
  for (int i = 0; i < num_values; ++i) {
    rows.push_back({.bytes = net.bytes[i], .first_step = i, .last_step = i});
    for (int input : net.inputs[i]) rows[input].last_step = i;
  }
  if (training) {
    const auto backward_step = [&](int value) { return 2 * num_values - 1 - value; };
    for (int i = 0; i < num_values; ++i) {
      for (int input : net.inputs[i]) {
        rows[input].last_step = std::max(rows[input].last_step, backward_step(i));
      }
    }
    // A gradient begins with the last node that read the value and ends with the value's own node.
    std::vector<int> last_reader(num_values, num_values - 1);
    for (int i = 0; i < num_values; ++i) {
      for (int input : net.inputs[i]) last_reader[input] = i;
    }
    for (int i = num_values - 1; i >= 0; --i) {
      rows.push_back({.bytes = net.bytes[i],
                      .first_step = backward_step(last_reader[i]),
                      .last_step = backward_step(i)});
    }
  } else if (in_place) {
    for (int i = 0; i < num_values; ++i) {
      if (net.inputs[i].size() == 1 && net.bytes[i] == net.bytes[net.inputs[i][0]]) {
        rows[i].shares_with = net.inputs[i][0];
      }
    }
  }
  return rows;
}

// Convolutions and activations with pooling between, then dense layers.
Net vgg(std::int64_t samples) {
  Net net;
  std::int64_t bytes = samples * 3 * 224 * 224 * 4;
  int value = net.add(bytes, {});
  std::int64_t side = 224;
  for (int block = 0; block < 5; ++block) {
    const std::int64_t channels = std::min<std::int64_t>(512, 64 << block);
    bytes = samples * channels * side * side * 4;
    for (int i = 0; i < (block < 2 ? 2 : 4); ++i) {
      value = net.add(bytes, {value});
      value = net.add(bytes, {value});
    }
    side /= 2;
    value = net.add(samples * channels * side * side * 4, {value});
  }
  for (int i = 0; i < 3; ++i) value = net.add(samples * (i < 2 ? 4096 : 1000) * 4, {value});
  return net;
}

// Blocks of three convolutions around a shortcut, as ResNet-50 has them.
Net resnet(std::int64_t samples) {
  Net net;
  int value = net.add(samples * 3 * 224 * 224 * 4, {});
  value = net.add(samples * 64 * 56 * 56 * 4, {value});
  std::int64_t side = 56;
  std::int64_t channels = 64;
  for (int blocks : {3, 4, 6, 3}) {
    for (int block = 0; block < blocks; ++block) {
      const std::int64_t narrow = samples * channels * side * side * 4;
      const int shortcut = block == 0 ? net.add(4 * narrow, {value}) : value;
      int inner = net.add(narrow, {value});
      inner = net.add(narrow, {inner});
      inner = net.add(narrow, {inner});
      inner = net.add(narrow, {inner});
      inner = net.add(4 * narrow, {inner});
      value = net.add(4 * narrow, {inner, shortcut});
      value = net.add(4 * narrow, {value});
    }
    channels *= 2;
    side /= 2;
  }
  return net;
}

// Every layer reads all before it, as DenseNet's concatenations do.
Net densenet(std::int64_t samples) {
  Net net;
  std::int64_t side = 56;
  int value = net.add(samples * 64 * side * side * 4, {});
  std::int64_t channels = 64;
  for (int layers : {6, 12, 24, 16}) {
    for (int layer = 0; layer < layers; ++layer) {
      const int normalized = net.add(samples * channels * side * side * 4, {value});
      const int narrow = net.add(samples * 128 * side * side * 4, {normalized});
      const int grown = net.add(samples * 32 * side * side * 4, {narrow});
      channels += 32;
      value = net.add(samples * channels * side * side * 4, {value, grown});
    }
    channels /= 2;
    side /= 2;
    value = net.add(samples * channels * side * side * 4, {value});
  }
  return net;
}

// Four branches of unlike widths that are joined, as Inception has them.
Net inception(std::int64_t samples) {
  Net net;
  int value = net.add(samples * 192 * 28 * 28 * 4, {});
  for (int block = 0; block < 9; ++block) {
    const std::int64_t pixels = samples * 4 * (block < 2 ? 784 : block < 7 ? 196 : 49);
    const int a = net.add(pixels * 64, {value});
    const int b = net.add(pixels * 128, {net.add(pixels * 96, {value})});
    const int c = net.add(pixels * 32, {net.add(pixels * 16, {value})});
    const int d = net.add(pixels * 32, {net.add(pixels * 192, {value})});
    value = net.add(pixels * 256, {a, b, c, d});
  }
  return net;
}

TEST(PlanMemory, PlacesDisjointLifetimesOnTopOfEachOther) {
  const std::vector<BufferRow> rows = {{.bytes = 100, .first_step = 0, .last_step = 1},
                                       {.bytes = 50, .first_step = 1, .last_step = 2},
                                       {.bytes = 100, .first_step = 2, .last_step = 3}};
  const Plan plan = plan_memory(rows);
  // 100 and 50 bytes are 128 and 64 when aligned.
  EXPECT_EQ(plan.peak_bytes, 192);
  EXPECT_EQ(plan.lower_bound_bytes, 192);
  EXPECT_EQ(plan.offsets[0], plan.offsets[2]);
}

TEST(PlanMemory, RunsAChainOfInPlaceStepsInOnePlace) {
  std::vector<BufferRow> rows;
  for (int i = 0; i < 5; ++i) {
    rows.push_back({.bytes = 640, .first_step = i, .last_step = i + 1, .shares_with = i - 1});
  }
  EXPECT_THAT(plan_memory(rows).offsets, ElementsAre(0, 0, 0, 0, 0));
  EXPECT_EQ(plan_memory(rows).peak_bytes, 640);
  EXPECT_EQ(plan_memory(rows).lower_bound_bytes, 640);
}

TEST(PlanMemory, GivesAPlaceToOneTakerOnly) {
  const std::vector<BufferRow> rows = {
      {.bytes = 64, .first_step = 0, .last_step = 1},
      {.bytes = 64, .first_step = 1, .last_step = 2, .shares_with = 0},
      {.bytes = 64, .first_step = 1, .last_step = 2, .shares_with = 0}};
  const Plan plan = plan_memory(rows);
  EXPECT_THAT(check_plan(rows, plan), IsEmpty());
  EXPECT_EQ(plan.peak_bytes, 128);
}

TEST(PlanMemory, DoesNotTakeAPlaceThatIsStillRead) {
  const std::vector<BufferRow> rows = {
      {.bytes = 64, .first_step = 0, .last_step = 2},
      {.bytes = 64, .first_step = 1, .last_step = 2, .shares_with = 0}};
  EXPECT_EQ(plan_memory(rows).peak_bytes, 128);
}

TEST(PlanMemory, TakesOverWithFewerBytesAndLeavesTheRest) {
  // Row 1 keeps 64 of row 0's 1,024 bytes; row 2 fits in what is left of them.
  const std::vector<BufferRow> rows = {
      {.bytes = 1024, .first_step = 0, .last_step = 1},
      {.bytes = 64, .first_step = 1, .last_step = 3, .shares_with = 0},
      {.bytes = 960, .first_step = 2, .last_step = 3}};
  const Plan plan = plan_memory(rows);
  EXPECT_THAT(check_plan(rows, plan), IsEmpty());
  EXPECT_EQ(plan.peak_bytes, 1024);
}

TEST(PlanMemory, TakesNothingForNothing) {
  EXPECT_EQ(plan_memory({}).peak_bytes, 0);
  const std::vector<BufferRow> rows = {{.bytes = 0}, {.bytes = 0}};
  EXPECT_EQ(plan_memory(rows).peak_bytes, 0);
  EXPECT_THAT(check_plan(rows, plan_memory(rows)), IsEmpty());
}

TEST(PlanMemory, RefusesRowsThatMakeNoSense) {
  EXPECT_THROW(plan_memory({{{.bytes = -1}}}), InternalError);
  EXPECT_THROW(plan_memory({{{.bytes = 1, .alignment = 48}}}), InternalError);
  EXPECT_THROW(plan_memory({{{.bytes = 1, .first_step = 2, .last_step = 1}}}), InternalError);
  EXPECT_THROW(plan_memory({{{.bytes = 1, .shares_with = 0}}}), InternalError);
}

TEST(PlanMemory, HoldsOnRandomRows) {
  std::mt19937 random(7);
  const int num_rounds = std::getenv("BATCHWISE_QUICK_TESTS") != nullptr ? 100 : 600;
  for (int round = 0; round < num_rounds; ++round) {
    const int num_rows = 1 + static_cast<int>(random() % 60);
    const int num_steps = 1 + static_cast<int>(random() % 40);
    const std::vector<BufferRow> rows = random_rows(random, num_rows, num_steps);
    const Plan plan = plan_memory(rows);
    ASSERT_THAT(check_plan(rows, plan), IsEmpty()) << "round " << round << '\n' << plan.print(rows);
    ASSERT_EQ(plan.lower_bound_bytes, most_live_bytes(rows, plan, num_steps)) << "round " << round;
    ASSERT_EQ(plan_memory(rows).offsets, plan.offsets) << "round " << round;
  }
}

TEST(PlanMemory, StaysWithinFivePercentOfTheLowerBoundOnNets) {
  for (std::int64_t samples : {1, 3, 32}) {
    for (const Net& net : {vgg(samples), resnet(samples), densenet(samples), inception(samples)}) {
      for (bool training : {false, true}) {
        for (bool in_place : {false, true}) {
          const std::vector<BufferRow> rows = rows_of(net, training, in_place);
          const Plan plan = plan_memory(rows);
          EXPECT_THAT(check_plan(rows, plan), IsEmpty());
          EXPECT_LE(static_cast<double>(plan.peak_bytes), 1.05 * plan.lower_bound_bytes)
              << rows.size() << " rows, training " << training;
        }
      }
    }
  }
}

TEST(PlanMemory, PlansTwoThousandRows) {
  std::mt19937 random(11);
  std::vector<BufferRow> rows;
  for (int i = 0; i < 2000; ++i) {
    rows.push_back({.bytes = static_cast<std::int64_t>(random() % 100'000),
                    .first_step = i / 2,
                    .last_step = i % 3 == 0 ? 2000 - i / 2 : i / 2 + 2});
  }
  const Plan plan = plan_memory(rows);
  EXPECT_THAT(check_plan(rows, plan), IsEmpty());
  EXPECT_LE(static_cast<double>(plan.peak_bytes), 1.05 * plan.lower_bound_bytes);
}

TEST(CheckPlan, CatchesAPlantedOverlap) {
  std::mt19937 random(3);
  int num_planted = 0;
  for (int round = 0; round < 200; ++round) {
    const std::vector<BufferRow> rows = random_rows(random, 20, 10);
    Plan plan = plan_memory(rows);
    // Two rows that live at once and may not share are given one place.
    const int a = static_cast<int>(random() % 20);
    const int b = static_cast<int>(random() % 20);
    const bool meet = a != b && rows[a].bytes > 0 && rows[b].bytes > 0 &&
                      rows[a].first_step <= rows[b].last_step &&
                      rows[b].first_step <= rows[a].last_step;
    if (!meet || rows[a].shares_with == b || rows[b].shares_with == a) continue;
    plan.offsets[a] = plan.offsets[b];
    EXPECT_FALSE(check_plan(rows, plan).empty()) << "rows " << a << " and " << b;
    ++num_planted;
  }
  EXPECT_GT(num_planted, 50);
}

TEST(CheckPlan, CatchesALieAboutThePeakAndABadOffset) {
  const std::vector<BufferRow> rows = {{.bytes = 64, .first_step = 0, .last_step = 1},
                                       {.bytes = 64, .first_step = 1, .last_step = 2}};
  EXPECT_THAT(check_plan(rows, {{0, 64}, 128, 128}), IsEmpty());
  EXPECT_THAT(check_plan(rows, {{0, 64}, 64, 64}), SizeIs(1));
  EXPECT_THAT(check_plan(rows, {{0, 65}, 129, 128}), ElementsAre(HasSubstr("alignment 64")));
  EXPECT_THAT(check_plan(rows, {{0, 0}, 64, 64}), ElementsAre(HasSubstr("rows 0 and 1 overlap")));
  EXPECT_THAT(check_plan(rows, {{0}, 64, 64}), SizeIs(1));
}

TEST(Plan, PrintsFiguresAndRows) {
  const std::vector<BufferRow> rows = {
      {.bytes = 64, .first_step = 0, .last_step = 1},
      {.bytes = 60, .first_step = 1, .last_step = 2, .shares_with = 0}};
  const std::string text = plan_memory(rows).print(rows);
  EXPECT_THAT(text, HasSubstr("peak 64 bytes, lower bound 64 bytes, 0.0 % above"));
  EXPECT_THAT(text, HasSubstr("steps 1..2 in place of 0"));
}

}  // namespace
}  // namespace batchwise
