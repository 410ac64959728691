// SPDX-License-Identifier: Apache-2.0
// A prepared program runs without asking for memory.
#include <gtest/gtest.h>

#include <cstdlib>

#include <sys/mman.h>

#include "allocation_counter.h"
#include "fit/training_session.h"
#include "fixed_models.h"
#include "predict/predictor.h"
#include "program_runs.h"

namespace batchwise::properties {
namespace {

constexpr int kRuns = 1000;

// Runs a program `runs` times and returns the allocations.
long allocations_of(const std::shared_ptr<const CompiledProgram>& program, const Samples& samples,
                    int runs) {
  Workspace workspace(program);
  std::vector<const void*> inputs;
  for (const Bytes& input : samples.inputs) inputs.push_back(input.data());
  std::vector<Bytes> results;
  std::vector<void*> outputs;
  for (ValueId id : program->graph().outputs) {
    results.emplace_back(static_cast<std::size_t>(program->graph().shape(id).elements()) * 4);
  }
  for (Bytes& result : results) outputs.push_back(result.data());
  start_counting_allocations();
  for (int run = 0; run < runs; ++run) workspace.run(inputs, outputs);
  return stop_counting_allocations();
}

long allocations_of(const Graph& graph, std::int64_t batch, int threads, int runs) {
  const EngineModel model(graph, {});
  return allocations_of(model.program(batch, threads), fixed_samples(graph, batch, 5), runs);
}

TEST(Allocations, NoneInAThousandRunsOfAnMlp) {
  const Graph graph = fixed_architecture("mlp", {64}, {64, 48});
  for (const int threads : {1, 2}) EXPECT_EQ(allocations_of(graph, 8, threads, kRuns), 0);
}

TEST(Allocations, NoneInAThousandRunsOfACnn) {
  const Graph graph = fixed_architecture("cnn", {1, 8, 8});
  for (const int threads : {1, 2}) EXPECT_EQ(allocations_of(graph, 3, threads, kRuns), 0);
}

TEST(Allocations, NoneInRunsOfAResNet) {
  EXPECT_EQ(allocations_of(fixed_architecture("resnet20", {3, 8, 8}), 2, 2, kRuns), 0);
}

TEST(Allocations, NoneInAThousandPredictionsInSlices) {
  const Graph graph = fixed_architecture("mlp", {64}, {64, 48});
  Predictor predictor(std::make_shared<EngineModel>(graph, ModelOptions{}), 8, 2);
  const Samples samples = fixed_samples(graph, 20, 5);
  Bytes result(static_cast<std::size_t>(20 * predictor.output_bytes(0)));
  const void* input = samples.inputs[0].data();
  void* output = result.data();
  // Sizes of slices are prepared when they are first met.
  predictor.run({&input, 1}, 20, {&output, 1});
  const Bytes first = result;
  start_counting_allocations();
  for (int run = 0; run < kRuns; ++run) predictor.run({&input, 1}, 20, {&output, 1});
  EXPECT_EQ(stop_counting_allocations(), 0);
  EXPECT_EQ(result, first);
}

// The programs of a training step: forward, backward and update.
TEST(Allocations, NoneInTheProgramsOfATrainingStep) {
  const Graph graph = fixed_architecture("cnn", {1, 8, 8});
  const auto model = std::make_shared<TrainableModel>(make_trainable(graph, {}, 0));
  TrainingOptions options;
  options.batch_size = 8;
  options.micro_batch = 4;
  TrainingSession session(model, options);
  for (const CompiledProgram* program : {&session.step_program(), &session.update_program()}) {
    // The session keeps the programs; the pointer here owns nothing.
    const std::shared_ptr<const CompiledProgram> shared(std::shared_ptr<void>(), program);
    std::vector<MappedBuffer> memory;
    std::vector<void*> states;
    for (const StateUse& state : program->states()) {
      memory.emplace_back(state.bytes);
      states.push_back(memory.back().data());
    }
    Workspace workspace(shared, std::make_shared<MappedBuffer>(program->memory().arena_bytes),
                        session.pool(), states);
    std::vector<MappedBuffer> values;
    std::vector<const void*> inputs;
    std::vector<void*> outputs;
    const auto add = [&](ValueId id) {
      values.emplace_back(program->graph().shape(id).elements() * 8);
      return values.back().data();
    };
    for (ValueId id : program->graph().inputs) inputs.push_back(add(id));
    for (ValueId id : program->graph().outputs) outputs.push_back(add(id));
    start_counting_allocations();
    for (int run = 0; run < kRuns; ++run) workspace.run(inputs, outputs, {.accumulate = run > 0});
    EXPECT_EQ(stop_counting_allocations(), 0);
  }
}

// Full batches and smaller ones, as at the end of an epoch, with the gradients measured or not.
TEST(Allocations, NoneInTrainingSteps) {
  const Graph graph = fixed_architecture("cnn", {1, 8, 8});
  const auto model = std::make_shared<TrainableModel>(make_trainable(graph, {}, 0));
  const Samples samples = fixed_samples(graph, 8, 5);
  const std::vector<std::int64_t> labels{3, 1, 4, 1, 5, 9, 2, 6};
  const void* features = samples.inputs[0].data();
  for (const bool measure : {false, true}) {
    TrainingOptions options;
    options.batch_size = 8;
    options.last_batch_size = 5;
    options.micro_batch = 3;
    options.threads = 2;
    options.measure_gradients = measure;
    TrainingSession session(model, options);
    const auto step = [&](std::int64_t count) {
      session.step({{&features, 1}, labels.data(), count}, 8, 0.001);
    };
    step(8);  // the workspaces of a size are made when it is first met
    step(5);
    start_counting_allocations();
    for (int run = 0; run < kRuns / 10; ++run) {
      step(8);
      step(5);
    }
    EXPECT_EQ(stop_counting_allocations(), 0);
  }
}

enum class Planted { kMalloc, kNew, kMap };

// Does its work in memory that it asks for in each run.
class AllocatingKernel : public Kernel {
 public:
  explicit AllocatingKernel(Planted planted) : planted_(planted) {}
  void run(const KernelCall& call) const override {
    void* block = nullptr;
    switch (planted_) {
      case Planted::kMalloc:
        block = std::malloc(64);
        call.output<float>(0)[0] = block != nullptr;
        std::free(block);
        break;
      case Planted::kNew:
        block = ::operator new(64);
        call.output<float>(0)[0] = block != nullptr;
        ::operator delete(block);
        break;
      case Planted::kMap:
        block = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        call.output<float>(0)[0] = block != MAP_FAILED;
        munmap(block, 4096);
        break;
    }
  }

 private:
  Planted planted_;
};

TEST(Allocations, APlantedOneIsFound) {
  const Graph graph = fixed_layer(8, 4);
  for (const Planted planted : {Planted::kMalloc, Planted::kNew, Planted::kMap}) {
    const EngineModel model(graph, {});
    const auto program = model.program(2, 1);
    // Programs are not meant to be changed; a test may.
    const_cast<Step&>(program->steps()[0]).kernel = std::make_unique<AllocatingKernel>(planted);
    EXPECT_EQ(allocations_of(program, fixed_samples(graph, 2, 5), 10), 10)
        << static_cast<int>(planted);
  }
}

}  // namespace
}  // namespace batchwise::properties
