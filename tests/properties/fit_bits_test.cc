// SPDX-License-Identifier: Apache-2.0
// Weights after training have the same bits for every micro-batch, number of threads, with vectors
// of 128, 256 and 512 bits, on whatever machine has fused multiply-add.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <set>

#include "fit/training_session.h"
#include "fixed_models.h"
#include "program_runs.h"

namespace batchwise::properties {
namespace {

constexpr std::int64_t kBatch = 192, kSteps = 20;
constexpr std::int64_t kWhole = kBatch;

struct FitCase {
  const char* architecture;
  std::vector<std::int64_t> input;
  std::int64_t ghost_batch;
  const char* sha256;
};

struct FitRun {
  std::string weights;
  std::int64_t micro_batch = 0;  // after rounding
};

// The samples of all steps: a batch each, drawn from a few hundred.
struct TrainingData {
  std::vector<float> features;
  std::vector<std::int64_t> labels;
};

FitRun fit(const std::shared_ptr<const TrainableModel>& model, const TrainingOptions& options,
           const TrainingData& data) {
  TrainingSession session(model, options);
  const std::size_t sample_floats = data.features.size() / data.labels.size();
  const auto batches = static_cast<std::int64_t>(data.labels.size()) / kBatch;
  for (std::int64_t step = 0; step < kSteps; ++step) {
    const auto first = static_cast<std::size_t>(step % batches * kBatch);
    const void* features = data.features.data() + first * sample_floats;
    session.step({{&features, 1}, data.labels.data() + first, kBatch}, kBatch, 0.0625);
  }
  return {session.weights_sha256(), session.micro_batch()};
}

struct Sweep {
  std::vector<std::int64_t> micro_batches;
  std::vector<int> threads;
  OptimizerOptions optimizer = {};
};

void check_fit(const FitCase& fit_case, const Sweep& sweep, std::size_t least_micro_batches) {
  const Graph graph = fixed_architecture(fit_case.architecture, fit_case.input, {72, 40});
  const auto model =
      std::make_shared<TrainableModel>(make_trainable(graph, {}, fit_case.ghost_batch));
  const std::int64_t samples = 2 * kBatch;
  const TrainingData data{fixed_floats(samples * graph.shape(graph.inputs[0]).elements(), 21, 1),
                          fixed_labels(samples, 22, 10)};
  std::set<std::int64_t> seen;
  for (const VectorSetting& vectors : available_vectors(false)) {
    const VectorCap cap(vectors);
    std::set<std::pair<std::int64_t, int>> done;
    for (const std::int64_t micro_batch : sweep.micro_batches) {
      for (const int threads : sweep.threads) {
        if (vectors.narrow && threads != 2) continue;  // slow, and here for the hash
        TrainingOptions options;
        options.batch_size = kBatch;
        options.ghost_batch = fit_case.ghost_batch;
        options.optimizer = sweep.optimizer;
        options.micro_batch = micro_batch;
        options.threads = threads;
        const std::int64_t rounded = TrainingSession(model, options, true).micro_batch();
        if (!done.emplace(rounded, threads).second) continue;  // as one before, after rounding
        const FitRun run = fit(model, options, data);
        seen.insert(run.micro_batch);
        EXPECT_EQ(run.weights, fit_case.sha256) << fmt::format(
            "{} with micro-batch {} (asked {}), {} threads, {}", fit_case.architecture,
            run.micro_batch, micro_batch, threads, vectors.name());
      }
    }
  }
  EXPECT_GE(seen.size(), least_micro_batches) << "too few micro-batches to tell anything";
}

const std::vector<std::int64_t> kMicroBatches{1, 3, 8, 64, kWhole};
const std::vector<int> kThreads{1, 2, 4};

TEST(FitBits, Mlp) {
  check_fit({"mlp", {300}, 0, "be52a431e85f22ae90f6a9213a092fe43fd3696a3ee4cdff7f745455dab0c723"},
            {kMicroBatches, kThreads}, 3);
}

TEST(FitBits, MlpWithAdamAndClipping) {
  OptimizerOptions adam;
  adam.kind = Optimizer::kAdam;
  adam.clip_norm = 0.5;
  adam.weight_decay = 0.015625;
  check_fit({"mlp", {300}, 0, "5e5e8d7d7dcbe36bae9d0acc997b742f2a141a0522c534ec3cff82527fa243b4"},
            {{1, 8, kWhole}, {1, 2}, adam}, 3);
}

TEST(FitBits, Cnn) {
  check_fit(
      {"cnn", {1, 8, 8}, 0, "47bc997e277e14f27ba1e2121ac328d15bb38795225c198edd6253fc52aa4e3a"},
      {kMicroBatches, kThreads}, 3);
}

TEST(FitBits, ResNet20) {
  check_fit({"resnet20",
             {3, 8, 8},
             16,
             "53710af32f9846bc6ca543aac362f8b30217bfc864cc995553fe7e37c2031a73"},
            {kMicroBatches, kThreads}, 3);
}

// Normalization over the whole batch cannot be cut: only threads and instruction sets differ.
TEST(FitBits, ResNet20NormalizedOverTheBatch) {
  check_fit({"resnet20",
             {3, 8, 8},
             0,
             "2327aa728a7ec9d3553acfa5dd96020cbad9f36084f8a34186d3c8549e0c4817"},
            {{kWhole}, kThreads}, 1);
}

}  // namespace
}  // namespace batchwise::properties
