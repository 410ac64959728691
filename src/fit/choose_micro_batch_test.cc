// SPDX-License-Identifier: Apache-2.0
#include "fit/choose_micro_batch.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <map>

#include "architectures/architecture.h"

namespace batchwise {
namespace {

std::int64_t bytes_of(const TrainingSession& session) {
  const TrainingMemory& memory = session.memory();
  return memory.weights_bytes + memory.packed_weights_bytes + memory.gradient_bytes +
         memory.optimizer_bytes + memory.arena_bytes + memory.constant_bytes + memory.io_bytes;
}

// A micro-batch that a batch can be cut by: what it costs and takes.
struct Choice {
  double us_per_sample = 0;
  std::int64_t bytes = 0;
};

// A model with a batch size, and all micro-batches that there are for it.
struct Question {
  std::shared_ptr<const TrainableModel> model;
  TrainingOptions options;
  std::map<std::int64_t, Choice> choices;  // by micro-batch

  std::int64_t choose(std::int64_t limit) const {
    return choose_training_micro_batch(model, options, machine(), fits(limit));
  }
  std::int64_t largest(std::int64_t limit) const {
    return largest_training_micro_batch(model, options, fits(limit));
  }
  static MachineSpeed machine() { return estimate_machine(2, true, 1 << 20); }
  static std::function<bool(const TrainingSession&)> fits(std::int64_t limit) {
    return [limit](const TrainingSession& session) { return bytes_of(session) <= limit; };
  }
};

Question make_question(const std::string& name, std::vector<std::int64_t> input, std::int64_t batch,
                       std::int64_t ghost_batch) {
  Question question;
  const Graph graph = make_architecture(name, {.input = std::move(input), .hidden = {96, 32}});
  question.model = std::make_shared<TrainableModel>(make_trainable(graph, {}, ghost_batch));
  question.options.batch_size = batch;
  question.options.ghost_batch = ghost_batch;
  question.options.threads = 2;
  const std::int64_t stride = std::max<std::int64_t>(ghost_batch, 9);
  for (std::int64_t wanted = 1; wanted <= batch;
       wanted += wanted < 8 && ghost_batch == 0 ? 1 : stride) {
    TrainingOptions options = question.options;
    options.micro_batch = wanted;
    const TrainingSession session(question.model, options, true);
    question.choices[session.micro_batch()] = {session.estimate_us_per_sample(Question::machine()),
                                               bytes_of(session)};
  }
  return question;
}

// 4 samples join the last granule.
const Question& granule_question() {
  static const Question question = make_question("resnet20", {3, 8, 8}, 100, 16);
  return question;
}

TEST(ChooseTrainingMicroBatch, IsTheCheapestThatFits) {
  for (const Question& question : {make_question("mlp", {64}, 100, 0),
                                   make_question("cnn", {1, 8, 8}, 192, 0), granule_question()}) {
    double before = std::numeric_limits<double>::infinity();
    std::map<std::int64_t, bool> limits;  // every place where one more choice fits, and just below
    for (const auto& [size, choice] : question.choices) limits[choice.bytes] = true;
    limits[limits.begin()->first - 1] = false;
    limits[limits.rbegin()->first * 2] = true;
    int step = 0;
    for (const auto& [limit, any_fits] : limits) {
      if (step++ % 3 != 0 && any_fits) continue;
      const std::int64_t chosen = question.choose(limit);
      ASSERT_EQ(chosen > 0, any_fits) << limit;
      if (!any_fits) continue;
      // A session built with the answer is the one that was planned.
      TrainingOptions options = question.options;
      options.micro_batch = chosen;
      const TrainingSession session(question.model, options, true);
      EXPECT_EQ(session.micro_batch(), chosen);
      EXPECT_LE(bytes_of(session), limit);
      const double us = session.estimate_us_per_sample(Question::machine());
      for (const auto& [size, choice] : question.choices) {
        // 2 % for a smaller size, and sizes between powers of two are not all tried.
        if (choice.bytes <= limit) {
          EXPECT_LE(us, 1.06 * choice.us_per_sample)
              << chosen << " of " << question.options.batch_size << ", not " << size;
        }
      }
      EXPECT_LE(us, 1.02 * before) << "more memory made it slower";
      before = std::min(before, us);
    }
  }
}

TEST(ChooseTrainingMicroBatch, NamesTheLargestThatFits) {
  const Question& question = granule_question();
  for (const auto& [size, choice] : {*question.choices.begin(), *question.choices.rbegin()}) {
    const std::int64_t largest = question.largest(choice.bytes);
    TrainingOptions options = question.options;
    options.micro_batch = largest;
    const TrainingSession session(question.model, options, true);
    EXPECT_LE(bytes_of(session), choice.bytes);
    EXPECT_GE(session.micro_batch(), size);
  }
  EXPECT_EQ(question.largest(question.choices.begin()->second.bytes - 1), 0);
}

// Steps of whole granules; what joins the last one comes on top.
TEST(ChooseTrainingMicroBatch, IsWholeGranules) {
  const Question& question = granule_question();
  for (const auto& [size, choice] : question.choices) {
    EXPECT_TRUE(size % 16 == 0 || size % 16 == 100 % 16) << size;
  }
  EXPECT_GE(question.choices.size(), 3u);
}

}  // namespace
}  // namespace batchwise
