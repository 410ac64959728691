// SPDX-License-Identifier: Apache-2.0
#include "batchwise/model.h"

#include <algorithm>

#include "api/state.h"
#include "architectures/architecture.h"
#include "base/check.h"
#include "engine/evaluator.h"
#include "onnx_io/onnx_io.h"
#include "passes/bind_batch.h"

namespace batchwise {
namespace {

bool has_free_batch(const Graph& graph) {
  return std::all_of(graph.inputs.begin(), graph.inputs.end(),
                     [&](ValueId id) { return graph.value(id).batch.axis >= 0; });
}

ModelPort port_of(const Graph& graph, ValueId id) {
  const Value& value = graph.value(id);
  std::vector<std::int64_t> dims = value.type.shape.dims();
  if (!dims.empty()) dims.erase(dims.begin());
  return {value.name, value.type.dtype, dims};
}

}  // namespace

std::shared_ptr<const Model::State> make_model_state(Graph graph, std::string path,
                                                     std::string fixed_batch) {
  auto state = std::make_shared<Model::State>();
  state->source = std::move(graph);
  state->path = std::move(path);
  state->fixed_batch = std::move(fixed_batch);
  return state;
}

std::shared_ptr<const EngineModel> Model::State::engine() const {
  const std::lock_guard lock(mutex_);
  if (!engine_) engine_ = std::make_shared<const EngineModel>(source, ModelOptions{});
  return engine_;
}

Model Model::load(const std::string& path) {
  Graph graph = onnx_io::read_onnx(path);
  std::string fixed;
  if (!has_free_batch(graph)) fixed = free_batch(graph, engine_evaluator());
  return Model(make_model_state(std::move(graph), path, std::move(fixed)));
}

std::vector<std::string> Model::architectures() { return {"mlp", "cnn", "resnet20"}; }

Model Model::make(const Architecture& architecture) {
  ArchitectureOptions options;
  options.input = architecture.input;
  options.classes = architecture.classes;
  options.hidden = architecture.hidden;
  options.seed = architecture.seed;
  return Model(
      make_model_state(make_architecture(architecture.name, options), architecture.name, {}));
}

void Model::save(const std::string& path) const { onnx_io::write_onnx(state_->source, path); }

std::vector<ModelPort> Model::inputs() const {
  std::vector<ModelPort> ports;
  for (ValueId id : state_->source.inputs) ports.push_back(port_of(state_->source, id));
  return ports;
}

std::vector<ModelPort> Model::outputs() const {
  std::vector<ModelPort> ports;
  for (ValueId id : state_->source.outputs) ports.push_back(port_of(state_->source, id));
  return ports;
}

std::int64_t Model::num_parameters() const {
  std::int64_t count = 0;
  for (const Value& value : state_->source.values) {
    const bool number = value.type.dtype == DType::kFloat32;
    if (value.kind == ValueKind::kConstant && number) count += value.type.shape.elements();
  }
  return count;
}

std::string Model::to_string() const { return batchwise::to_string(state_->source); }

}  // namespace batchwise
