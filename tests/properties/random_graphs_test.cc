// SPDX-License-Identifier: Apache-2.0
// Properties of every graph, on random ones: fast kernels agree with the interpreter, passes and
// the memory plan change nothing, and a sample's bits depend neither on the batch nor on the
// machine.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "engine/evaluator.h"
#include "fixed_models.h"
#include "ops/op.h"
#include "program_plan.h"
#include "program_runs.h"
#include "random_graph.h"

namespace batchwise::properties {
namespace {

constexpr int kGraphs = 520;
constexpr int kLeastGraphsOfAnOp = 20;
constexpr std::int64_t kSamples = 9;
// Rounding of a chain of layers, in parts of the largest element of an output.
constexpr double kTolerance = 1e-4;

std::shared_ptr<const EngineModel> make_model(const Graph& graph, ModelOptions options = {}) {
  return std::make_shared<EngineModel>(graph, std::move(options));
}

ModelOptions without_passes(BackendChoice backends) {
  ModelOptions options{backends, {}};
  for (const PassDef& pass : all_passes()) options.disabled_passes.insert(std::string(pass.name));
  return options;
}

// max |a - b| / max |b| over an output of float32.
double difference(const Bytes& a, const Bytes& b) {
  if (a.size() != b.size()) return INFINITY;
  std::vector<float> x(a.size() / 4), y(b.size() / 4);
  std::memcpy(x.data(), a.data(), a.size());
  std::memcpy(y.data(), b.data(), b.size());
  double error = 0, largest = 1e-3;
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (!std::isfinite(x[i]) || !std::isfinite(y[i])) return INFINITY;
    error = std::max(error, std::abs(double{x[i]} - y[i]));
    largest = std::max(largest, std::abs(double{y[i]}));
  }
  return error / largest;
}

std::string compare_close(const std::vector<Bytes>& got, const std::vector<Bytes>& expected,
                          const char* what) {
  for (std::size_t o = 0; o < got.size(); ++o) {
    const double error = difference(got[o], expected[o]);
    if (!(error <= kTolerance)) return fmt::format("{}: output {} is off by {}", what, o, error);
  }
  return "";
}

std::shared_ptr<const CompiledProgram> without_sharing(const EngineModel& model,
                                                       std::int64_t batch) {
  ProgramOptions options;
  options.share_memory = false;
  return std::make_shared<const CompiledProgram>(
      bind_batch(model.inference(), batch, engine_evaluator()), options,
      std::make_shared<ConstantStore>());
}

// The properties with one kind of vectors. `bits` gets the outputs.
std::string check_on_vectors(const Graph& graph, const Samples& samples,
                             const std::vector<Bytes>& reference, std::vector<Bytes>& bits) {
  const auto model = make_model(graph);
  if (!model->mixes_samples().empty()) return "mixes samples: " + model->mixes_samples();
  const ProgramSource programs = programs_of(model);
  bits = run_one_by_one(programs, samples);
  std::string wrong = compare_close(bits, reference, "fast against the interpreter");
  if (!wrong.empty()) return wrong;
  wrong = find_batch_difference(programs, samples, bits, {2, 3, 5, kSamples}, 1);
  if (!wrong.empty()) return wrong;
  for (const int threads : {2, 4}) {
    wrong = find_batch_difference(programs, samples, bits, {1, kSamples}, threads);
    if (!wrong.empty()) return wrong;
  }
  const auto whole = programs(kSamples, 1);
  if (run_program(without_sharing(*model, kSamples), samples, 0, kSamples) !=
      run_program(whole, samples, 0, kSamples)) {
    return "a place of its own for each value changes bits";
  }
  return plan_faults(*whole);
}

// What is wrong with a graph; empty: nothing.
std::string check_graph(const Graph& graph) {
  const Samples samples = fixed_samples(graph, kSamples, 3);
  const auto interpreter = make_model(graph, without_passes(BackendChoice::kReferenceOnly));
  const std::vector<Bytes> reference =
      run_program(interpreter->program(kSamples, 1), samples, 0, kSamples);
  std::vector<Bytes> fused_bits, bits;
  for (const VectorSetting& vectors : available_vectors(true)) {
    const VectorCap cap(vectors);
    const std::string wrong = check_on_vectors(graph, samples, reference, bits);
    if (!wrong.empty()) return fmt::format("{} ({})", wrong, vectors.name());
    if (!vectors.is_fused()) continue;
    if (fused_bits.empty()) fused_bits = bits;
    if (bits != fused_bits) return "other bits on " + vectors.name();
  }
  const auto plain = make_model(graph, without_passes(BackendChoice::kFast));
  return compare_close(run_program(plain->program(kSamples, 1), samples, 0, kSamples), reference,
                       "fast without passes against the interpreter");
}

// Ops that no model file has: gradients, what training inserts, what the engine inserts.
bool is_internal(const OpDef& row) {
  const std::string_view name = row.name;
  for (const char* part : {"Grad", "Training", "Update"}) {
    if (name.find(part) != std::string_view::npos) return true;
  }
  for (const char* own :
       {"SumTo", "Reorder", "GlobalNormMultiplier", "CrossEntropy", "MeanSquaredError"}) {
    if (name == own) return true;
  }
  return false;
}

TEST(RandomGraphs, HoldTheProperties) {
  OpCounts counts;
  for (std::uint64_t seed = 1; seed <= kGraphs; ++seed) {
    const Graph graph = random_graph(seed, {}, counts);
    std::string wrong;
    try {
      wrong = check_graph(graph);
    } catch (const Error& error) {
      wrong = error.what();
    }
    ASSERT_EQ(wrong, "") << "graph " << seed << ":\n" << to_string(graph);
  }
  for (const OpDef* row : all_ops()) {
    if (is_internal(*row)) continue;
    EXPECT_GE(counts[std::string(row->name)], kLeastGraphsOfAnOp) << row->name;
  }
}

// After a kernel that leaves its output channels-last, an operand of fewer axes lies as it did.
TEST(RandomGraphs, OperandsOfFewerAxesAreBroadcast) {
  for (const Shape& operand : {Shape{4, 5, 6}, Shape{5, 6}, Shape{4, 1, 1}, Shape{4, 1, 6},
                               Shape{1, 4, 5, 6}, Shape{6}, Shape{1, 5, 6}}) {
    GraphDraft draft(11);
    const ValueId x = draft.input({4, 6, 7});
    const ValueId pooled =
        draft.add("MaxPool", {x}, {{"kernel_shape", std::vector<std::int64_t>{2, 2}}});
    draft.graph.outputs = {draft.add("Add", {pooled, draft.weight(operand)})};
    EXPECT_EQ(check_graph(draft.graph), "") << operand.to_string();
  }
}

// A dense layer that cuts its sums in as many parts as there are samples, as a library might that
// wants work for all threads.
class SplitByBatch : public Kernel {
 public:
  explicit SplitByBatch(const KernelRequest& request)
      : m_(request.output(0)[0]), n_(request.output(0)[1]), k_(request.input(0)[1]) {}

  void run(const KernelCall& call) const override {
    for (std::int64_t i = 0; i < m_; ++i) {
      for (std::int64_t j = 0; j < n_; ++j) call.output<float>(0)[i * n_ + j] = cell(call, i, j);
    }
  }

 private:
  float cell(const KernelCall& call, std::int64_t i, std::int64_t j) const {
    float total = 0;
    for (std::int64_t part = 0; part < m_; ++part) {
      float sum = 0;
      for (std::int64_t k = part * k_ / m_; k < (part + 1) * k_ / m_; ++k) {
        sum += call.input<float>(0)[i * k_ + k] * weight(k, j);
      }
      total += sum;
    }
    return total;
  }
  static float weight(std::int64_t k, std::int64_t j) {
    return static_cast<float>((k * 7 + j * 3) % 11 - 5) * 0.1f;
  }
  std::int64_t m_, n_, k_;
};

// Takes the place of the kernels of dense layers.
ProgramSource planted(const Graph& graph) {
  return [graph](std::int64_t batch, int threads) {
    auto program = std::make_shared<CompiledProgram>(bind_batch(graph, batch, engine_evaluator()),
                                                     ProgramOptions{threads},
                                                     std::make_shared<ConstantStore>());
    for (const Step& step : program->steps()) {
      const Node& node = program->graph().node(step.node);
      if (node.op != "Gemm") continue;
      // Programs are not meant to be changed; a test may.
      const_cast<Step&>(step).kernel =
          std::make_unique<SplitByBatch>(KernelRequest(program->graph(), node, threads));
    }
    return program;
  };
}

TEST(RandomGraphs, AKernelThatSplitsByTheBatchIsCaught) {
  int caught = 0;
  for (const std::int64_t n : {1, 3, 10}) {
    const Graph graph = fixed_layer(300, n);
    const Samples samples = fixed_samples(graph, kSamples, 3);
    const ProgramSource programs = planted(graph);
    const std::vector<Bytes> bits = run_one_by_one(programs, samples);
    if (!find_batch_difference(programs, samples, bits, {2, 3, 5, kSamples}, 1).empty()) ++caught;
  }
  EXPECT_EQ(caught, 3);
}

}  // namespace
}  // namespace batchwise::properties
