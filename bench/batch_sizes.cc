// SPDX-License-Identifier: Apache-2.0
// The time a sample at many batch sizes, each cut as predict cuts it, and the ratio to the best
// smaller size, which is to be at most 1.05:
//   bench_batch_sizes [mlp|cnn|resnet50] [threads] [seconds] [batch sizes, ascending]
// ResNet-50 is ONNX's light model, from BATCHWISE_SHARED_DIR or ../shared.
#include <cstdlib>
#include <filesystem>

#include "../bench/bench.h"
#include "architectures/architecture.h"
#include "batching/cost_model.h"
#include "batchwise/process.h"
#include "engine/evaluator.h"
#include "measure/machine.h"
#include "measure/sampling.h"
#include "onnx_io/onnx_io.h"
#include "passes/bind_batch.h"
#include "predict/predictor.h"

namespace batchwise {
namespace {

const std::vector<std::int64_t> kSizes{1, 2, 4, 8, 16, 32, 33, 64, 65, 100, 128, 256, 512, 1000};
constexpr std::int64_t kLargestMicroBatch = 512;  // as predict has it
constexpr double kAllowed = 1.05;

Graph model_of(const std::string& name) {
  if (name == "mlp") return make_architecture("mlp", {.input = {784}});
  if (name == "cnn") return make_architecture("cnn", {.input = {1, 28, 28}});
  const char* shared = std::getenv("BATCHWISE_SHARED_DIR");
  const std::filesystem::path folder = shared != nullptr ? shared : "../shared";
  Graph graph = onnx_io::read_onnx((folder / "models" / "light_resnet50.onnx").string());
  free_batch(graph, engine_evaluator());
  return graph;
}

// A predictor of one batch size, with room for its outputs; the inputs are shared.
class SizedRun {
 public:
  SizedRun(const std::shared_ptr<const EngineModel>& model, std::int64_t batch, int threads,
           const std::shared_ptr<ThreadPool>& pool, const float* input)
      : batch_(batch),
        predictor_(model, choose(*model, batch, threads), threads, pool),
        output_(static_cast<std::size_t>(batch * predictor_.output_bytes(0))),
        input_(input) {}

  void run() {
    void* output = output_.data();
    predictor_.run({&input_, 1}, batch_, {&output, 1});
  }
  std::int64_t micro_batch() const { return predictor_.micro_batch(); }

 private:
  static std::int64_t choose(const EngineModel& model, std::int64_t batch, int threads) {
    const MachineSpeed machine =
        estimate_machine(threads, instruction_set() == "avx512", describe_machine().l2_bytes);
    return choose_micro_batch(
        [&](std::int64_t size) { return estimate_run_us(*model.plan(size, threads), machine); },
        {batch, std::min(batch, kLargestMicroBatch)}, [](std::int64_t) { return true; });
  }

  std::int64_t batch_;
  Predictor predictor_;
  std::vector<std::byte> output_;
  const void* input_;
};

void bench_model(const std::string& name, int threads, double seconds,
                 const std::vector<std::int64_t>& sizes) {
  const auto model = std::make_shared<EngineModel>(model_of(name), ModelOptions{});
  const Graph& graph = model->source();
  const std::int64_t floats = graph.shape(graph.inputs[0]).elements();
  const bench::Floats input = bench::random_floats(floats * sizes.back(), 1);
  const auto pool = std::make_shared<ThreadPool>(threads);
  std::vector<std::unique_ptr<SizedRun>> runs;
  std::vector<Candidate> candidates;
  for (const std::int64_t size : sizes) {
    runs.push_back(std::make_unique<SizedRun>(model, size, threads, pool, input.get()));
    candidates.push_back({std::to_string(size), [run = runs.back().get()] { run->run(); }});
  }
  SamplingOptions options;
  options.warm_up_calls = 1;
  options.min_repeats = 20;
  options.target_relative_width = 0.01;
  options.max_seconds = seconds;
  const std::vector<Samples> measured = measure_interleaved(candidates, options);
  fmt::print("{} with {} threads on {}\n", name, threads, instruction_set());
  double best = 0;
  for (std::size_t i = 0; i < measured.size(); ++i) {
    const auto size = static_cast<double>(sizes[i]);
    const auto median = measured[i].median();
    const double us = median.median / size, ratio = best > 0 ? us / best : 1;
    fmt::print(
        "  batch {:5}  micro-batch {:4}  {:9.2f} us a sample  [{:.2f}, {:.2f}]  {:5.3f}x the best "
        "smaller{}\n",
        sizes[i], runs[i]->micro_batch(), us, median.low / size, median.high / size, ratio,
        ratio > kAllowed ? "  <- above" : "");
    best = best > 0 ? std::min(best, us) : us;
  }
  std::fflush(stdout);
}

}  // namespace
}  // namespace batchwise

int main(int argc, char** argv) {
  std::vector<std::string> names;
  std::vector<double> numbers;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "mlp" || word == "cnn" || word == "resnet50") {
      names.push_back(word);
    } else {
      numbers.push_back(batchwise::bench::parse_number(
          word, "bench_batch_sizes [mlp|cnn|resnet50]... [threads] [seconds] [SIZE...]"));
    }
  }
  if (names.empty()) names = {"mlp", "cnn", "resnet50"};
  const int threads = numbers.empty() ? 2 : static_cast<int>(numbers[0]);
  const double seconds = numbers.size() > 1 ? numbers[1] : 40;
  std::vector<std::int64_t> sizes;
  for (std::size_t i = 2; i < numbers.size(); ++i) {
    sizes.push_back(static_cast<std::int64_t>(numbers[i]));
  }
  if (sizes.empty()) sizes = batchwise::kSizes;
  for (const std::string& name : names) batchwise::bench_model(name, threads, seconds, sizes);
  return 0;
}
