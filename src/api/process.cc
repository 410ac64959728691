// SPDX-License-Identifier: Apache-2.0
#include "batchwise/process.h"

#include <filesystem>
#include <memory>
#include <vector>

#include "architectures/architecture.h"
#include "base/atomic_file.h"
#include "base/sha256.h"
#include "base/thread_pool.h"
#include "data/batch_loader.h"
#include "engine/model.h"
#include "fit/fit.h"
#include "measure/process_memory.h"
#include "metrics/loss.h"
#include "onnx_io/onnx_io.h"
#include "predict/predictor.h"

namespace batchwise {
namespace {

// A few samples of zeros.
class ZeroSource : public DataSource {
 public:
  ZeroSource() {
    path_ = "zeros";
    num_samples_ = 8;
    features_ = {{"input", Shape{3, 8, 8}, DType::kFloat32}};
    label_ = LabelInfo{};
  }
  void read(std::span<const std::int64_t> indices, std::span<std::byte* const> features,
            std::byte* labels, std::span<std::byte>) const override {
    for (std::size_t i = 0; i < indices.size() * features_[0].sample_bytes(); ++i) {
      if (features[0] != nullptr) features[0][i] = std::byte{0};
    }
    for (std::size_t i = 0; labels != nullptr && i < indices.size() * 8; ++i) {
      labels[i] = std::byte{0};
    }
  }
  std::size_t scratch_bytes() const override { return 0; }
  std::size_t resident_bytes() const override { return 0; }
};

// Convolutions, normalization, dense layers, pooling, softmax, elementwise: the kinds of kernels.
Graph tiny_model() {
  ArchitectureOptions options;
  options.input = {3, 8, 8};
  options.classes = 2;
  Graph graph = make_architecture("resnet20", options);
  GraphBuilder build(graph);
  build.set_prefix("base.");
  const ValueId extra = build.op("Softmax", {build.op("Tanh", {graph.outputs[0]})});
  graph.outputs.push_back(extra);
  return graph;
}

void run_tiny_model(const Graph& graph, const ZeroSource& data, int threads) {
  Predictor predictor(std::make_shared<const EngineModel>(graph, ModelOptions{}), 4, threads);
  LoaderOptions loader;
  loader.batch_size = 4;
  loader.feature_dtypes = {DType::kFloat32};
  BatchLoader batches(data, loader);
  std::vector<float> a(8), b(8);
  const std::vector<void*> outputs{a.data(), b.data()};
  while (const SamplePiece* piece = batches.next()) {
    const std::vector<const void*> inputs{piece->features[0]};
    predictor.run(inputs, piece->count, outputs);
  }
}

void train_tiny_model(const Graph& graph, const ZeroSource& data, int threads) {
  FitOptions options;
  options.training.batch_size = 4;
  options.training.threads = threads;
  options.training.evaluates = true;
  options.training.measure_gradients = true;
  options.steps = 1;
  TrainingSession session(std::make_shared<TrainableModel>(make_trainable(graph, {}, 0)),
                          options.training);
  options.train_range = {0, data.num_samples()};
  run_fit(session, data, {&data, {0, data.num_samples()}}, options, {});
}

}  // namespace

MemoryBase measure_memory_base(int threads, bool training) {
  const ZeroSource data;
  const int count = threads > 0 ? threads : usable_cores();
  {
    const Graph graph = tiny_model();
    run_tiny_model(graph, data, count);
    Sha256().hex();  // initializes its library, which takes a few MB
    if (training) {
      train_tiny_model(graph, data, count);
      onnx_io::write_onnx(graph, "/dev/null");  // the code that writes a model, for the base
    }
  }
  reset_peak_rss();
  const ProcessMemory now = read_process_memory();
  return {now.rss_bytes, now.data_bytes};
}

int usable_threads() { return usable_cores(); }

void require_writable(const std::string& path) {
  std::error_code error;
  // Whoever reads a pipe would take the probe for the end.
  if (std::filesystem::is_fifo(path, error)) return;
  const AtomicFile probe(path);
}

void write_text_file(const std::string& path, const std::string& text) {
  AtomicFile file(path);
  file.write(text);
  file.finish();
}

std::string version() { return BATCHWISE_VERSION; }

}  // namespace batchwise
