// SPDX-License-Identifier: Apache-2.0
#include "fit/training_graph.h"

#include "base/check.h"
#include "engine/evaluator.h"
#include "fit/select_parameters.h"
#include "passes/bind_batch.h"

namespace batchwise {
namespace {

// Batch normalization and dropout as training wants them.
void use_training_form(TrainableModel& model, std::int64_t ghost_batch) {
  Graph& graph = model.graph;
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    Node& node = graph.nodes[n];
    if (node.op == "BatchNormalization") {
      const auto is_state = [&](int i) {
        return graph.value(node.inputs[static_cast<std::size_t>(i)]).kind == ValueKind::kState;
      };
      if (!is_state(3) || !is_state(4)) continue;  // frozen: it stays what it is in predict
      node.op = "BatchNormalizationTraining";
      node.attributes.set("group", ghost_batch);
      node.attributes.set("momentum", node.attributes.get_float("momentum", 0.9));
      for (int extra = 1; extra < 5; ++extra) {
        const ValueId made = graph.add_value(
            {.name = fmt::format("{}:{}", graph.nodes[n].name, extra), .producer = NodeId(n)});
        graph.nodes[n].outputs.resize(1 + static_cast<std::size_t>(extra), kNoValue);
        graph.nodes[n].outputs[static_cast<std::size_t>(extra)] = made;
      }
      graph.nodes[n].has_effect = true;
      model.normalizes_batch = true;
    } else if (node.op == "Dropout") {
      double ratio = 0.5;
      if (const Tensor* given = NodeView(graph, node).constant(1)) {
        float value = 0;
        given->reshaped(Shape()).copy_to(&value);
        ratio = static_cast<double>(value);
      }
      // Rows that one sample has: masks are drawn by sample, whatever the micro-batch.
      const std::int64_t block = graph.value(node.inputs[0]).batch.block;
      node.op = "DropoutTraining";
      node.inputs.resize(1);
      node.outputs.resize(1);
      node.attributes = {
          {"ratio", ratio}, {"stream", static_cast<std::int64_t>(n)}, {"block", block}};
    }
  }
}

ValueId find_output(const Graph& graph, const std::string& name) {
  if (name.empty()) return graph.outputs.front();
  for (ValueId id : graph.outputs) {
    if (graph.value(id).name == name) return id;
  }
  fail_input("--output", "the model has no output {}", name);
}

// Adds labels, loss and metric; returns what the graph is to put out.
std::vector<ValueId> add_objective(Graph& graph, const Objective& objective) {
  const ValueId output = find_output(graph, objective.output_name);
  ValueId labels = kNoValue, loss = kNoValue;
  GraphBuilder build(graph);
  if (objective.custom_loss) {
    const Shape per_sample{graph.shape(output)[0]};
    labels = objective.integer_labels
                 ? graph.add_input("labels", {DType::kInt64, per_sample}, {0, 1})
                 : graph.add_input("labels", graph.type(output), {0, 1});
    loss = objective.custom_loss(build, output, labels);
    if (graph.shape(loss) != per_sample) {
      fail_input("loss", "a loss is one number a sample, {}, not {}", per_sample.to_string(),
                 graph.shape(loss).to_string());
    }
  } else {
    const LossNodes nodes = add_loss(graph, objective.loss, output);
    labels = nodes.labels;
    loss = nodes.loss;
  }
  std::vector<ValueId> outputs{loss, output};
  if (objective.custom_metric) {
    outputs.push_back(objective.custom_metric(build, output, labels));
    if (graph.shape(outputs.back()) != graph.shape(loss)) {
      fail_input("metric", "a metric is one number a sample, {}, not {}",
                 graph.shape(loss).to_string(), graph.shape(outputs.back()).to_string());
    }
  }
  return outputs;
}

ValueId state_of(Graph& graph, const std::string& name, const Shape& shape) {
  return graph.add_state(name, {DType::kFloat32, shape});
}

}  // namespace

Optimizer parse_optimizer(const std::string& name) {
  if (name == "sgd") return Optimizer::kSgd;
  if (name == "adam") return Optimizer::kAdam;
  fail_input("--optimizer", "{} is unknown; there are sgd and adam", name);
}

TrainableModel make_trainable(const Graph& model, const TrainingSelection& selection,
                              std::int64_t ghost_batch) {
  TrainableModel trainable;
  trainable.graph = model;
  select_parameters(trainable, selection);
  trainable.evaluation = trainable.graph;
  use_training_form(trainable, ghost_batch);
  trainable.graph_bytes = heap_bytes(trainable.graph);
  return trainable;
}

StepGraph make_step_graph(const TrainableModel& model, std::int64_t micro_batch,
                          const Objective& objective) {
  StepGraph step;
  step.graph = bind_batch(model.graph, micro_batch, engine_evaluator());
  Graph& graph = step.graph;
  const std::vector<ValueId> outputs = add_objective(graph, objective);
  const ValueId scale = graph.add_input("loss_scale", {DType::kFloat32, Shape()});
  GraphBuilder build(graph);
  const ValueId seed = build.op("Expand", {scale, build.int64s(graph.shape(outputs[0]).dims())});
  std::vector<ValueId> wrt;
  std::vector<std::string> names;
  for (const Parameter& parameter : model.parameters) {
    wrt.push_back(graph.find(parameter.name));
    names.push_back(parameter.name);
  }
  const std::vector<GradientSeed> seeds{{outputs[0], seed}};
  const auto contributions = add_gradients(graph, seeds, wrt);
  step.accumulators = attach_accumulators(graph, contributions, names, &step.single_sample);
  graph.outputs = outputs;
  remove_dead(graph, node_has_effect);
  for (Accumulator& accumulator : step.accumulators) accumulator.state = kNoValue;  // ids moved
  return step;
}

Graph make_evaluation_graph(const TrainableModel& model, std::int64_t micro_batch,
                            const Objective& objective) {
  Graph graph = bind_batch(model.evaluation, micro_batch, engine_evaluator());
  graph.outputs = add_objective(graph, objective);
  remove_dead(graph, node_has_effect);
  return graph;
}

Graph make_update_graph(const TrainableModel& model, const StepGraph& step,
                        const OptimizerOptions& options) {
  Graph graph;
  GraphBuilder build(graph);
  const ValueId rate = graph.add_input("learning_rate", {DType::kFloat32, Shape()});
  std::vector<std::vector<ValueId>> parts(model.parameters.size());
  std::vector<int> uses(model.parameters.size(), 0);
  for (const Accumulator& accumulator : step.accumulators) {
    const auto p = static_cast<std::size_t>(accumulator.parameter);
    const std::string suffix = uses[p] == 0 ? "" : fmt::format(".{}", uses[p]);
    ++uses[p];
    parts[p].push_back(state_of(graph, "gradient." + model.parameters[p].name + suffix,
                                model.parameters[p].shape));
  }
  std::vector<ValueId> gradients(parts.size(), kNoValue), used;
  for (std::size_t p = 0; p < parts.size(); ++p) {
    if (parts[p].empty()) continue;
    gradients[p] = sum_values(build, parts[p]);
    used.push_back(gradients[p]);
  }
  ValueId multiplier = build.scalar(1.0, DType::kFloat32);
  if (options.clip_norm > 0) {
    const auto made = build.ops("GlobalNormMultiplier", used, {{"max_norm", options.clip_norm}}, 2);
    multiplier = made[0];
    graph.outputs = {made[1]};
  }
  for (std::size_t p = 0; p < parts.size(); ++p) {
    if (gradients[p] == kNoValue) continue;
    const Parameter& parameter = model.parameters[p];
    const double decay = parameter.decays ? options.weight_decay : 0.0;
    const ValueId weight = state_of(graph, parameter.name, parameter.shape);
    if (options.kind == Optimizer::kSgd) {
      const ValueId velocity =
          options.momentum == 0
              ? kNoValue
              : state_of(graph, "optimizer.velocity." + parameter.name, parameter.shape);
      build.ops("SgdUpdate", {weight, gradients[p], velocity, rate, multiplier},
                {{"momentum", options.momentum},
                 {"nesterov", static_cast<std::int64_t>(options.nesterov)},
                 {"weight_decay", decay}},
                velocity == kNoValue ? 1 : 2);
    } else {
      const ValueId m = state_of(graph, "optimizer.m." + parameter.name, parameter.shape);
      const ValueId v = state_of(graph, "optimizer.v." + parameter.name, parameter.shape);
      build.ops("AdamUpdate", {weight, gradients[p], m, v, rate, multiplier},
                {{"beta1", options.beta1},
                 {"beta2", options.beta2},
                 {"epsilon", options.epsilon},
                 {"weight_decay", decay}},
                3);
    }
  }
  return graph;
}

}  // namespace batchwise
