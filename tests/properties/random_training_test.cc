// SPDX-License-Identifier: Apache-2.0
// Weights that are trained have the same bits however their batch is cut, on random graphs: with
// every micro-batch, number of threads and width of vectors.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>
#include <set>

#include "fit/training_session.h"
#include "fixed_models.h"
#include "ops/op.h"
#include "program_plan.h"
#include "program_runs.h"
#include "random_graph.h"

namespace batchwise::properties {
namespace {

constexpr int kGraphs = 640;
constexpr int kLeastGraphsOfAnOp = 20;
constexpr std::int64_t kGhostBatch = 3;
constexpr std::int64_t kSteps = 2;
// Not a multiple of the ghost batch; enough for two lanes now and then.
constexpr std::int64_t kBatch = 13, kLargeBatch = 67;

// A model out of a random graph, and samples with labels for the mean squared error.
struct RandomTraining {
  std::shared_ptr<const TrainableModel> model;
  Samples samples;
  std::vector<float> labels;
  std::int64_t batch = kBatch;
};

RandomTraining make_training(const Graph& graph, std::int64_t batch) {
  RandomTraining training;
  training.batch = batch;
  training.model = std::make_shared<TrainableModel>(make_trainable(graph, {}, kGhostBatch));
  training.samples = fixed_samples(graph, batch, 5);
  training.labels = fixed_floats(batch * graph.shape(graph.outputs[0]).elements(), 6, 1);
  return training;
}

TrainingOptions options_of(const RandomTraining& training, std::int64_t micro_batch, int threads) {
  TrainingOptions options;
  options.loss = Loss::kMeanSquaredError;
  options.batch_size = training.batch;
  options.ghost_batch = kGhostBatch;
  options.micro_batch = micro_batch;
  options.threads = threads;
  return options;
}

// The weights and moments after some steps, by name: of all that the loss depends on.
using Weights = std::map<std::string, std::vector<float>>;

Weights train(const RandomTraining& training, const TrainingOptions& options) {
  TrainingSession session(training.model, options);
  std::vector<const void*> features;
  for (const Bytes& input : training.samples.inputs) features.push_back(input.data());
  for (std::int64_t step = 0; step < kSteps; ++step) {
    session.step({features, training.labels.data(), training.batch}, training.batch, 0.0625);
  }
  EXPECT_EQ(plan_faults(session.step_program()), "");
  EXPECT_EQ(plan_faults(session.update_program()), "");
  Weights weights;
  for (const CompiledProgram* program : {&session.step_program(), &session.update_program()}) {
    for (const StateUse& use : program->states()) {
      if (use.state.rfind("gradient.", 0) == 0 || use.state.rfind("optimizer.", 0) == 0) continue;
      const auto values = session.state(use.state);
      weights[use.state].assign(values.begin(), values.end());
    }
  }
  return weights;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// The name of what differs first; empty: nothing.
std::string first_difference(const Weights& a, const Weights& b) {
  for (const auto& [name, values] : a) {
    if (!same_bits(values, b.at(name))) return name;
  }
  return "";
}

bool all_finite(const Weights& weights) {
  for (const auto& [name, values] : weights) {
    for (const float value : values) {
      if (!std::isfinite(value)) return false;
    }
  }
  return true;
}

// Whether training has moved a weight of the graph.
bool has_learned(const Graph& graph, const TrainableModel& model, const Weights& weights) {
  return std::any_of(
      model.parameters.begin(), model.parameters.end(), [&](const Parameter& parameter) {
        const auto after = weights.find(parameter.name);
        if (after == weights.end()) return false;
        const Tensor before = graph.value(graph.find(parameter.name)).constant->materialized();
        const auto values = before.values<float>();
        return !same_bits(after->second, {values.begin(), values.end()});
      });
}

struct Tally {
  int graphs = 0, cut_in_three = 0, learned = 0;
  OpCounts ops;
};

// The properties on a graph; what is wrong, or empty.
std::string check_training(const Graph& graph, const RandomTraining& training, Tally& tally) {
  Weights expected;
  std::set<std::int64_t> micro_batches;
  for (const VectorSetting& vectors : available_vectors(false)) {
    const VectorCap cap(vectors);
    std::set<std::pair<std::int64_t, int>> done;
    for (const auto& [wanted, threads] : std::vector<std::pair<std::int64_t, int>>{
             {training.batch, 1}, {1, 2}, {5, 1}, {training.batch, 2}, {8, 4}}) {
      if (vectors.narrow && threads != 1) continue;
      const TrainingOptions options = options_of(training, wanted, threads);
      const std::int64_t micro = TrainingSession(training.model, options, true).micro_batch();
      if (!done.emplace(micro, threads).second) continue;
      micro_batches.insert(micro);
      const Weights weights = train(training, options);
      if (expected.empty()) expected = weights;
      const std::string where = first_difference(weights, expected);
      if (!where.empty()) {
        return fmt::format("{} differs with micro-batch {}, {} threads, {}", where, micro, threads,
                           vectors.name());
      }
    }
  }
  if (!all_finite(expected)) return "weights are not finite";
  tally.cut_in_three += micro_batches.size() >= 3;
  tally.learned += has_learned(graph, *training.model, expected);
  return "";
}

// The ops that a gradient passes through on its way from the first output to a weight.
std::set<std::string> ops_trained_through(const TrainableModel& model) {
  const Graph& graph = model.evaluation;  // ops by the names that models give them
  std::vector<bool> from_weight(graph.values.size()), to_output(graph.values.size());
  for (std::size_t i = 0; i < graph.values.size(); ++i) {
    from_weight[i] = graph.values[i].kind == ValueKind::kState;
  }
  for (const Node& node : graph.nodes) {
    for (ValueId input : node.inputs) {
      if (input == kNoValue || !from_weight[index(input)]) continue;
      for (ValueId output : node.outputs) {
        if (output != kNoValue) from_weight[index(output)] = true;
      }
    }
  }
  to_output[index(graph.outputs[0])] = true;
  std::set<std::string> ops;
  for (std::size_t n = graph.nodes.size(); n-- > 0;) {
    const Node& node = graph.nodes[n];
    if (!to_output[index(node.outputs[0])] || !from_weight[index(node.outputs[0])]) continue;
    ops.insert(node.op);
    for (ValueId input : node.inputs) {
      if (input != kNoValue) to_output[index(input)] = true;
    }
  }
  return ops;
}

// Whether there is a way from the output to a weight, and every op on all of them has a gradient.
bool is_trainable(const std::set<std::string>& ops) {
  return !ops.empty() && std::all_of(ops.begin(), ops.end(), [](const std::string& op) {
    return op_row(op).gradient != nullptr;
  });
}

// Rows of models' ops with a gradient that float values pass through.
bool is_expected(const OpDef& row) { return row.gradient != nullptr && row.min_opset > 0; }

TEST(RandomTraining, GivesTheSameBitsHoweverTheBatchIsCut) {
  const bool is_quick = std::getenv("BATCHWISE_QUICK_TESTS") != nullptr;
  const int num_graphs = is_quick ? kGraphs / 8 : kGraphs;
  Tally tally;
  RandomGraphOptions options;
  options.most_elements = 1000;
  options.begins_with_layer = true;
  for (std::uint64_t seed = 1; tally.graphs < num_graphs; ++seed) {
    OpCounts counts = tally.ops;  // what is rarely trained through is drawn more often
    const Graph graph = random_graph(seed, options, counts);
    const RandomTraining training = make_training(graph, seed % 8 == 0 ? kLargeBatch : kBatch);
    const std::set<std::string> ops = ops_trained_through(*training.model);
    if (!is_trainable(ops)) continue;
    ++tally.graphs;
    std::string wrong;
    try {
      wrong = check_training(graph, training, tally);
    } catch (const Error& error) {
      wrong = error.what();
    }
    ASSERT_EQ(wrong, "") << "graph " << seed << ":\n" << to_string(graph);
    for (const std::string& op : ops) ++tally.ops[op];
  }
  // Otherwise the above says little.
  EXPECT_GE(tally.cut_in_three, num_graphs * 3 / 4);
  EXPECT_GE(tally.learned, num_graphs * 3 / 4);
  if (is_quick) return;
  for (const OpDef* row : all_ops()) {
    if (!is_expected(*row)) continue;
    EXPECT_GE(tally.ops[std::string(row->name)], kLeastGraphsOfAnOp) << row->name;
  }
}

}  // namespace
}  // namespace batchwise::properties
