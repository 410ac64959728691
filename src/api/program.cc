// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "api/state.h"
#include "base/check.h"
#include "batchwise/model.h"
#include "predict/predictor.h"

namespace batchwise {

struct Program::State {
  std::shared_ptr<const EngineModel> model;
  std::shared_ptr<const CompiledProgram> compiled;
  std::int64_t micro_batch = 1;
};

struct Program::Workspace::State {
  explicit State(const std::shared_ptr<const CompiledProgram>& compiled)
      : program(compiled.get()),
        run(compiled),
        inputs(compiled->graph().inputs.size()),
        outputs(compiled->graph().outputs.size()) {}
  const CompiledProgram* program;
  batchwise::Workspace run;
  std::vector<const void*> inputs;
  std::vector<void*> outputs;
};

Program::Workspace::Workspace(std::unique_ptr<State> state) : state_(std::move(state)) {}
Program::Workspace::Workspace(Workspace&&) noexcept = default;
Program::Workspace& Program::Workspace::operator=(Workspace&&) noexcept = default;
Program::Workspace::~Workspace() = default;

std::int64_t Program::micro_batch() const { return state_->micro_batch; }
std::int64_t Program::workspace_bytes() const { return state_->compiled->memory().arena_bytes; }

Program::Workspace Program::make_workspace() const {
  return Workspace(std::make_unique<Workspace::State>(state_->compiled));
}

namespace {

void check_view(const Value& value, DType dtype, const std::vector<std::int64_t>& shape,
                const void* data) {
  if (dtype == value.type.dtype && shape == value.type.shape.dims() && data != nullptr) return;
  fail_input("run", "'{}' is {} {}, not {} {}{}", value.name, dtype_name(value.type.dtype),
             value.type.shape.to_string(), dtype_name(dtype), Shape(shape).to_string(),
             data == nullptr ? " without data" : "");
}

}  // namespace

void Program::run(Workspace& workspace, std::span<const ConstTensorView> inputs,
                  std::span<const TensorView> outputs) const {
  Workspace::State& state = workspace.state();
  const Graph& graph = state_->compiled->graph();
  if (state.program != state_->compiled.get()) {
    fail_input("run", "the workspace is of another program");
  }
  if (inputs.size() != state.inputs.size() || outputs.size() != state.outputs.size()) {
    fail_input("run", "{} inputs and {} outputs are given, the model has {} and {}", inputs.size(),
               outputs.size(), state.inputs.size(), state.outputs.size());
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    check_view(graph.value(graph.inputs[i]), inputs[i].dtype, inputs[i].shape, inputs[i].data);
    state.inputs[i] = inputs[i].data;
  }
  for (std::size_t o = 0; o < outputs.size(); ++o) {
    check_view(graph.value(graph.outputs[o]), outputs[o].dtype, outputs[o].shape, outputs[o].data);
    state.outputs[o] = outputs[o].data;
  }
  state.run.run(state.inputs, state.outputs);
}

Program Model::prepare(const PrepareOptions& options) const {
  if (options.micro_batch < 1)
    fail_input("prepare", "micro-batch {} is below 1", options.micro_batch);
  if (options.threads < 1) fail_input("prepare", "{} threads are below 1", options.threads);
  if (options.micro_batch > 1 && !state_->fixed_batch.empty()) {
    fail_input(state_->path, "its batch is fixed: {}", state_->fixed_batch);
  }
  const auto engine = state_->engine();
  require_independent_samples(*engine, options.micro_batch);
  return Program(std::make_shared<const Program::State>(Program::State{
      engine, engine->program(options.micro_batch, options.threads), options.micro_batch}));
}

}  // namespace batchwise
