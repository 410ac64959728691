// SPDX-License-Identifier: Apache-2.0
// The memory that a process takes is the memory that was planned. Each measurement is a process of
// its own: this program, started again with the name of what to run.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <filesystem>

#include <unistd.h>

#include "fit/training_session.h"
#include "fixed_models.h"
#include "measure/process_memory.h"
#include "onnx_io/onnx_io.h"
#include "predict/predictor.h"

namespace batchwise::properties {
namespace {

constexpr std::int64_t kMiB = std::int64_t{1} << 20;
constexpr std::int64_t kBatch = 128, kMicroBatch = 64;
constexpr std::int64_t kFewSamples = 4;

struct Measurement {
  std::int64_t planned = 0, measured = 0;
};

// Within 4 MiB or 3 %, whichever is larger.
bool is_close(const Measurement& memory) {
  const std::int64_t allowed = std::max(4 * kMiB, memory.planned * 3 / 100);
  return std::abs(memory.measured - memory.planned) <= allowed;
}

// --- in the child ---

MappedBuffer touched(std::int64_t bytes, int byte) {
  MappedBuffer buffer(bytes);
  std::memset(buffer.data(), byte, static_cast<std::size_t>(bytes));
  return buffer;
}

// Runs the model over a batch; returns the plan.
std::int64_t run_prediction(const std::string& path, int threads) {
  const auto model = std::make_shared<EngineModel>(onnx_io::read_onnx(path), ModelOptions{});
  Predictor predictor(model, kMicroBatch, threads);
  const MappedBuffer features = touched(kMicroBatch * predictor.input_bytes(0), 0);
  const MappedBuffer results = touched(kMicroBatch * predictor.output_bytes(0), 0);
  const void* input = features.data();
  void* output = results.data();
  for (int run = 0; run < 2; ++run) predictor.run({&input, 1}, kMicroBatch, {&output, 1});
  const auto program = model->plan(kMicroBatch, threads);
  return inference_memory(program->memory(), results.bytes(), features.bytes()).total();
}

std::int64_t run_batches(const std::string& path, std::int64_t batch, std::int64_t micro_batch,
                         int threads) {
  const auto model = [&] {
    const Graph graph = onnx_io::read_onnx(path);
    return std::make_shared<const TrainableModel>(make_trainable(graph, {}, 16));
  }();
  TrainingOptions options;
  options.batch_size = batch;
  options.ghost_batch = 16;
  options.micro_batch = micro_batch;
  options.threads = threads;
  TrainingSession session(model, options);
  const std::int64_t elements = model->graph.shape(model->graph.inputs[0]).elements();
  const MappedBuffer features = touched(batch * elements * 4, 0);
  const MappedBuffer labels = touched(batch * 8, 0);
  const void* input = features.data();
  for (int step = 0; step < 2; ++step) {
    session.step({{&input, 1}, labels.data(), batch}, batch, 0.0625);
  }
  const TrainingMemory& memory = session.memory();
  return memory.weights_bytes + memory.packed_weights_bytes + memory.gradient_bytes +
         memory.optimizer_bytes + memory.arena_bytes + memory.constant_bytes + memory.table_bytes +
         memory.io_bytes + features.bytes() + labels.bytes();
}

std::int64_t run_training(const std::string& path, int threads) {
  return run_batches(path, kBatch, kMicroBatch, threads);
}

// So few that dense layers read their weights as they lie.
std::int64_t run_few_samples(const std::string& path, int threads) {
  return run_batches(path, kFewSamples, kFewSamples, threads);
}

using Use = std::int64_t (*)(const std::string& path, int threads);

// A tiny model of each kind first, so that code, threads and allocators are in the base.
// `hidden` bytes are taken that no plan counts; below 0, the plan counts what is not taken.
int measure(Use use, const std::string& tiny, const std::string& path, int threads,
            std::int64_t hidden) {
  use(tiny, threads);
  reset_peak_rss();
  const std::int64_t base = read_process_memory().rss_bytes;
  const MappedBuffer taken = touched(std::max<std::int64_t>(0, hidden), 1);
  const std::int64_t planned = use(path, threads) - std::min<std::int64_t>(0, hidden);
  std::printf("%ld %ld\n", static_cast<long>(planned),
              static_cast<long>(read_process_memory().peak_rss_bytes - base));
  return 0;
}

// --- in the parent ---

class PlannedMemory : public testing::Test {
 public:
  PlannedMemory() : folder_(fmt::format("{}memory_test.{}", testing::TempDir(), getpid())) {
    std::filesystem::create_directory(folder_);
    onnx_io::write_onnx(fixed_architecture("resnet20", {3, 8, 8}), tiny_path());
  }
  ~PlannedMemory() override { std::filesystem::remove_all(folder_); }

 protected:
  std::string tiny_path() const { return folder_ + "/tiny.onnx"; }

  Measurement measure_in_child(const std::string& use, const std::string& name,
                               std::vector<std::int64_t> input, int threads,
                               std::int64_t hidden = 0) {
    const std::string path = fmt::format("{}/{}.onnx", folder_, name);
    onnx_io::write_onnx(fixed_architecture(name, std::move(input)), path);
    const std::string self = std::filesystem::read_symlink("/proc/self/exe");
    const std::string command = fmt::format("'{}' --child {} '{}' '{}' {} {}", self, use,
                                            tiny_path(), path, threads, hidden);
    Measurement memory;
    std::FILE* child = popen(command.c_str(), "r");
    long planned = 0, measured = 0;
    EXPECT_EQ(std::fscanf(child, "%ld %ld", &planned, &measured), 2) << command;
    EXPECT_EQ(pclose(child), 0) << command;
    memory.planned = planned;
    memory.measured = measured;
    return memory;
  }

  void check(const std::string& use, const std::string& name,
             const std::vector<std::int64_t>& input) {
    for (const int threads : {1, 2}) {
      const Measurement memory = measure_in_child(use, name, input, threads);
      EXPECT_TRUE(is_close(memory))
          << fmt::format("{} of {} with {} threads: {} planned, {} measured", use, name, threads,
                         memory.planned, memory.measured);
    }
  }

 private:
  std::string folder_;
};

TEST_F(PlannedMemory, OfPrediction) {
  check("predict", "mlp", {784});
  check("predict", "cnn", {1, 28, 28});
  check("predict", "resnet20", {3, 64, 64});
}

TEST_F(PlannedMemory, OfTraining) {
  check("train", "mlp", {784});
  check("train", "cnn", {1, 28, 28});
  check("train", "resnet20", {3, 32, 32});
}

TEST_F(PlannedMemory, OfTrainingOnFewSamples) {
  check("few", "mlp", {784});
  check("few", "cnn", {1, 28, 28});
}

// A process that takes 8 MiB that its plan leaves out, or leaves out 8 MiB of it.
TEST_F(PlannedMemory, APlanThatLiesIsFound) {
  for (const char* use : {"predict", "train"}) {
    for (const std::int64_t lie : {8 * kMiB, -8 * kMiB}) {
      const Measurement memory = measure_in_child(use, "mlp", {784}, 1, lie);
      EXPECT_FALSE(is_close(memory)) << fmt::format("{} off by {}: {} planned, {} measured", use,
                                                    lie, memory.planned, memory.measured);
    }
  }
}

// Both packed forms of every dense layer but the last, which has too few columns.
TEST(PlannedBytes, OfFewSamplesHaveNoPackedCopiesOfDenseWeights) {
  const Graph graph = fixed_architecture("mlp", {784});
  const auto trainable = std::make_shared<TrainableModel>(make_trainable(graph, {}, 16));
  const auto packed_bytes = [&](std::int64_t batch) {
    TrainingOptions options;
    options.batch_size = options.micro_batch = batch;
    return TrainingSession(trainable, options, true).memory().packed_weights_bytes;
  };
  const std::int64_t weights = TrainingSession(trainable, {}, true).memory().weights_bytes;
  EXPECT_GT(packed_bytes(kMicroBatch), weights);
  EXPECT_LT(packed_bytes(kFewSamples), weights / 10);
}

// Gaps between values: at most 5 % on real models.
TEST(PlannedBytes, AreNearTheLowerBound) {
  for (const auto& [name, input] : std::vector<std::pair<std::string, std::vector<std::int64_t>>>{
           {"mlp", {784}}, {"cnn", {1, 28, 28}}, {"resnet20", {3, 32, 32}}}) {
    const Graph graph = fixed_architecture(name, input);
    const EngineModel model(graph, {});
    const auto trainable = std::make_shared<TrainableModel>(make_trainable(graph, {}, 16));
    for (const std::int64_t batch : {1, 16, 64, 192}) {
      const ProgramMemory& memory = model.plan(batch, 2)->memory();
      EXPECT_LE(memory.arena_bytes, memory.lower_bound_bytes * 105 / 100) << name << " " << batch;
      TrainingOptions options;
      options.batch_size = options.micro_batch = batch;
      options.ghost_batch = 16;
      const TrainingMemory training = TrainingSession(trainable, options, true).memory();
      EXPECT_LE(training.arena_bytes, training.lower_bound_bytes * 105 / 100)
          << "training " << name << " " << batch;
    }
  }
}

}  // namespace
}  // namespace batchwise::properties

int main(int argc, char** argv) {
  namespace properties = batchwise::properties;
  if (argc == 7 && std::string(argv[1]) == "--child") {
    const std::string name = argv[2];
    const properties::Use use = name == "train" ? properties::run_training
                                : name == "few" ? properties::run_few_samples
                                                : properties::run_prediction;
    return properties::measure(use, argv[3], argv[4], std::stoi(argv[5]), std::stoll(argv[6]));
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
