// SPDX-License-Identifier: Apache-2.0
// The plans of real programs: no two values that live at once overlap, and the peak is exact.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "engine/evaluator.h"
#include "fit/training_graph.h"
#include "fit/training_passes.h"
#include "fixed_models.h"
#include "onnx_io/onnx_io.h"
#include "passes/bind_batch.h"
#include "program_plan.h"
#include "program_runs.h"

namespace batchwise::properties {
namespace {

constexpr std::int64_t kGhostBatch = 16;

struct Program {
  std::string name;
  std::shared_ptr<const CompiledProgram> program;
};

std::shared_ptr<const CompiledProgram> planned(Graph graph, int threads, BackendChoice backends) {
  return std::make_shared<CompiledProgram>(
      std::move(graph), ProgramOptions{threads, backends, true}, std::make_shared<ConstantStore>());
}

// The programs of a training step: forward and backward, validation, update. The loss takes
// outputs of any shape.
std::vector<Program> training_programs(const TrainableModel& model, std::int64_t micro_batch,
                                       int threads, BackendChoice backends) {
  std::vector<Program> programs;
  const auto add = [&](const char* name, Graph graph) {
    run_training_passes(graph, threads, backends);
    programs.push_back({name, planned(std::move(graph), threads, backends)});
  };
  const Objective objective{.loss = Loss::kMeanSquaredError};
  StepGraph step = make_step_graph(model, micro_batch, objective);
  OptimizerOptions adam;
  adam.kind = Optimizer::kAdam;
  adam.clip_norm = 1;
  programs.push_back({"update", planned(make_update_graph(model, step, adam), threads, backends)});
  add("step", std::move(step.graph));
  add("evaluation", make_evaluation_graph(model, micro_batch, objective));
  return programs;
}

void expect_sound(const Program& program, const std::string& where) {
  EXPECT_EQ(plan_faults(*program.program), "") << where << ", " << program.name;
  const ProgramMemory& memory = program.program->memory();
  EXPECT_LE(memory.arena_bytes, memory.lower_bound_bytes * 105 / 100)
      << where << ", " << program.name << '\n'
      << layout_of(*program.program, program.program->places()).print();
}

// Weights that a light model computes are no parameters: some have none.
TrainableModel make_trainable_if_any(const Graph& graph) {
  try {
    return make_trainable(graph, {}, kGhostBatch);
  } catch (const Error&) {
    return {};
  }
}

void expect_sound_plans(const std::string& name, const Graph& graph,
                        const std::vector<std::int64_t>& batches, std::int64_t most_trained) {
  const EngineModel model(graph, {});
  const TrainableModel trainable = make_trainable_if_any(graph);
  if (trainable.parameters.empty()) most_trained = 0;
  for (const std::int64_t batch : batches) {
    for (const int threads : {1, 2, 4}) {
      const std::string where = fmt::format("{}, batch {}, {} threads", name, batch, threads);
      expect_sound({"predict", model.plan(batch, threads)}, where);
      if (batch > most_trained || threads == 4) continue;
      for (const Program& program :
           training_programs(trainable, batch, threads, BackendChoice::kFast)) {
        expect_sound(program, where);
      }
    }
  }
}

const std::vector<std::int64_t> kBatches{1, 2, 3, 7, 8, 16, 31, 32, 33, 64, 100, 192, 512};

TEST(ProgramPlans, OfOurArchitectures) {
  for (const auto& [name, input] : std::vector<std::pair<std::string, std::vector<std::int64_t>>>{
           {"mlp", {784}}, {"cnn", {1, 28, 28}}, {"cnn", {1, 8, 8}}, {"resnet20", {3, 32, 32}}}) {
    const Graph graph = fixed_architecture(name, input);
    EXPECT_FALSE(make_trainable_if_any(graph).parameters.empty());
    for (const VectorSetting& vectors : available_vectors(true)) {
      if (vectors.narrow) continue;  // plans as for AVX2
      const VectorCap cap(vectors);
      const std::string shape = fmt::format("{} of {}", name, fmt::join(input, "x"));
      expect_sound_plans(shape + " on " + vectors.name(), graph, kBatches, 192);
    }
  }
}

TEST(ProgramPlans, OfTheReferenceBackend) {
  const Graph graph = fixed_architecture("resnet20", {3, 8, 8});
  const EngineModel model(graph, {BackendChoice::kReferenceOnly, {}});
  const TrainableModel trainable = make_trainable(graph, {}, kGhostBatch);
  for (const std::int64_t batch : {1, 3, 16}) {
    EXPECT_EQ(plan_faults(*model.plan(batch, 1)), "") << batch;
    for (const Program& program :
         training_programs(trainable, batch, 1, BackendChoice::kReferenceOnly)) {
      EXPECT_EQ(plan_faults(*program.program), "") << program.name << " of " << batch;
    }
  }
}

class LightModelPlans : public testing::TestWithParam<const char*> {};

TEST_P(LightModelPlans, AreSound) {
  const char* shared = std::getenv("BATCHWISE_SHARED_DIR");
  const std::filesystem::path folder = shared != nullptr ? shared : "../shared";
  const std::string path = (folder / "models" / (std::string("light_") + GetParam())).string();
  if (!std::filesystem::exists(path + ".onnx")) GTEST_SKIP() << path << ".onnx is missing";
  Graph graph = onnx_io::read_onnx(path + ".onnx");
  ASSERT_EQ(free_batch(graph, engine_evaluator()), "");
  expect_sound_plans(GetParam(), graph, {1, 3, 16, 32}, 16);
}

INSTANTIATE_TEST_SUITE_P(All, LightModelPlans,
                         testing::Values("bvlc_alexnet", "densenet121", "inception_v1",
                                         "inception_v2", "resnet50", "shufflenet", "squeezenet",
                                         "vgg19", "zfnet512"),
                         [](const auto& row) { return std::string(row.param); });

// What a convolution writes is moved to what it reads.
TEST(ProgramPlans, AMovedValueIsFound) {
  const EngineModel model(fixed_architecture("resnet20", {3, 8, 8}), {});
  const auto program = model.plan(3, 1);
  ASSERT_EQ(plan_faults(*program), "");
  int moved = 0;
  for (const Step& step : program->steps()) {
    std::vector<Place> places = program->places();
    const auto first = static_cast<std::size_t>(step.first_place);
    const Place read = places[first];
    const Place written = places[first + static_cast<std::size_t>(step.num_inputs)];
    if (program->graph().node(step.node).op != "Conv" || read.kind != PlaceKind::kPlanned ||
        written.kind != PlaceKind::kPlanned) {
      continue;
    }
    for (Place& place : places) {
      if (place.kind == PlaceKind::kPlanned && place.at == written.at) place.at = read.at;
    }
    EXPECT_NE(plan_faults(*program, places), "") << "step " << moved;
    ++moved;
  }
  EXPECT_GE(moved, 15);
}

}  // namespace
}  // namespace batchwise::properties
