// SPDX-License-Identifier: Apache-2.0
#include "peers/step_profile.h"

#include <fmt/format.h>

#include "base/thread_pool.h"
#include "fit/training_passes.h"
#include "ops/op.h"

namespace batchwise::bench {
namespace {

double bytes_of(const Graph& graph, const std::vector<ValueId>& values) {
  double bytes = 0;
  for (ValueId id : values) {
    if (id == kNoValue) continue;
    bytes += static_cast<double>(graph.shape(id).elements()) *
             static_cast<double>(dtype_bytes(graph.type(id).dtype));
  }
  return bytes;
}

std::string step_row(const CompiledProgram& program, std::size_t i, double us, double total_us) {
  const Step& step = program.steps()[i];
  const Graph& graph = program.graph();
  const Node& node = graph.node(step.node);
  const double flops = static_cast<double>(node_flops(graph, node));
  const double bytes = bytes_of(graph, node.inputs) + bytes_of(graph, node.outputs);
  std::string shapes;
  for (ValueId id : node.inputs) {
    if (id != kNoValue) shapes += fmt::format("{} ", fmt::join(graph.shape(id).dims(), "x"));
  }
  const std::string to =
      node.outputs.empty() || node.outputs[0] == kNoValue
          ? ""
          : fmt::format("{}", fmt::join(graph.shape(node.outputs[0]).dims(), "x"));
  return fmt::format("{:9.1f} {:5.1f} {:8.1f} {:7.1f}  {:28} {:24} {}-> {}\n", us,
                     100 * us / total_us, flops * 1e-3 / us, bytes * 1e-3 / us,
                     step.choice.kernel->name, node.op + "+" + node.epilogue.activation, shapes,
                     to);
}

std::string profile_program(const std::shared_ptr<const CompiledProgram>& program) {
  std::vector<std::vector<float>> inputs, outputs;
  std::vector<MappedBuffer> states;  // aligned, as kernels ask
  std::vector<void*> state_pointers, output_pointers;
  std::vector<const void*> input_pointers;
  for (const StateUse& use : program->states()) {
    states.emplace_back(use.bytes);
    const std::vector<float> values = random_floats(use.bytes / 4, 3);
    auto* state = reinterpret_cast<float*>(states.back().data());
    std::transform(values.begin(), values.end(), state, [](float x) { return 0.01f * x; });
    state_pointers.push_back(state);
  }
  const Graph& graph = program->graph();
  for (ValueId id : graph.inputs) {
    const bool floats = graph.type(id).dtype == DType::kFloat32;
    inputs.emplace_back();
    if (floats && graph.shape(id).elements() > 1) {
      inputs.back() = random_floats(graph.shape(id).elements(), 1);
    } else {  // labels of class 0, a scale or rate of 0
      inputs.back().assign(static_cast<std::size_t>(graph.shape(id).elements()) * 2 + 2, 0.0f);
    }
  }
  for (auto& input : inputs) input_pointers.push_back(input.data());
  for (ValueId id : graph.outputs) {
    outputs.emplace_back(static_cast<std::size_t>(graph.shape(id).elements()) * 2 + 2);
  }
  for (auto& output : outputs) output_pointers.push_back(output.data());
  Workspace workspace(program, std::make_shared<MappedBuffer>(program->memory().arena_bytes),
                      std::make_shared<ThreadPool>(kThreads), state_pointers);
  const auto run = [&] { workspace.run(input_pointers, output_pointers); };
  const double whole_us = median_us(run, 150);
  std::vector<double> step_us(program->steps().size());
  std::vector<std::vector<double>> all(step_us.size());
  workspace.time_steps(step_us);
  const double begin = now_us();
  for (int i = 0; i < 5 || (now_us() - begin < 400e3 && i < 2000); ++i) {
    run();
    for (std::size_t s = 0; s < step_us.size(); ++s) all[s].push_back(step_us[s]);
  }
  double total_us = 0;
  for (std::size_t s = 0; s < step_us.size(); ++s) {
    std::sort(all[s].begin(), all[s].end());
    step_us[s] = all[s][all[s].size() / 2];
    total_us += step_us[s];
  }
  std::string table =
      fmt::format("{:.1f} us a run, {:.1f} us the steps alone\n", whole_us, total_us);
  table += "       us     %   GFLOP/s   GB/s  kernel                       op\n";
  for (std::size_t s = 0; s < step_us.size(); ++s) {
    table += step_row(*program, s, std::max(step_us[s], 0.01), total_us);
  }
  return table;
}

}  // namespace

std::string profile_predict(LoadedModel& model, std::int64_t batch) {
  const std::int64_t micro = model.choose_micro_batch(batch);
  return fmt::format("predict batch {} micro-batch {}\n", batch, micro) +
         profile_program(model.engine()->program(micro, kThreads));
}

std::string profile_fit(LoadedModel& model, std::int64_t batch) {
  const auto trainable = trainable_model(model);
  const TrainingOptions options = training_options(batch);
  const std::int64_t micro = training_micro_batch(trainable, batch);
  StepGraph step = make_step_graph(*trainable, micro, objective_of(options));
  const auto constants = std::make_shared<ConstantStore>();
  const auto update =
      std::make_shared<CompiledProgram>(make_update_graph(*trainable, step, options.optimizer),
                                        ProgramOptions{.threads = kThreads}, constants);
  run_training_passes(step.graph, kThreads, options.backends);
  const auto pass =
      std::make_shared<CompiledProgram>(step.graph, ProgramOptions{.threads = kThreads}, constants);
  return fmt::format("fit batch {} micro-batch {}\n", batch, micro) + profile_program(pass) +
         "update\n" + profile_program(update);
}

}  // namespace batchwise::bench
