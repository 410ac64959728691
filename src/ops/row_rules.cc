// SPDX-License-Identifier: Apache-2.0
#include "ops/row_rules.h"

#include <numeric>

#include "base/check.h"

namespace batchwise {

void require_one_float_type(const NodeView& view, int begin, int end) {
  require_float(view, 0);
  for (int i = begin; i < end; ++i) {
    if (view.has_input(i) && view.input_dtype(i) != view.input_dtype(0)) {
      fail_input(view.where(), "input {} is {}, but input 0 is {}", i,
                 dtype_name(view.input_dtype(i)), dtype_name(view.input_dtype(0)));
    }
  }
}

void require_shape(const NodeView& view, int i, const Shape& expected, std::string_view what) {
  if (view.input(i) != expected) {
    fail_input(view.where(), "{} has shape {}, not {}", what, view.input(i).to_string(),
               expected.to_string());
  }
}

void require_rank_at_least(const NodeView& view, int i, int rank) {
  if (view.input(i).rank() < rank) {
    fail_input(view.where(), "input {} has shape {}, but rank {} or more is needed", i,
               view.input(i).to_string(), rank);
  }
}

void require_only_residual(const NodeView& view, int own_inputs, const Shape& output) {
  for (int i = own_inputs; i < view.num_inputs(); ++i) {
    if (i != view.node().epilogue.residual_input) {
      fail_input(view.where(), "takes at most {} inputs, not {}", own_inputs, view.num_inputs());
    }
    require_shape(view, i, output, "the residual");
  }
}

std::vector<TensorType> infer_like_first(const NodeView& view) {
  require_one_float_type(view, 1, view.num_inputs());
  return {type_of(view, 0)};
}

BatchCarry carry_along(const NodeView& view, std::span<const BatchAxis> batch,
                       std::uint32_t activations, int first_mixed_axis) {
  BatchAxis common;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (!view.has_input(static_cast<int>(i))) continue;
    const bool is_activation = (activations >> i & 1) != 0;
    if (is_activation && batch[i].axis < 0) {
      return carry_mix(view, fmt::format("input {} does not follow the batch", i));
    }
    if (!is_activation && batch[i].axis >= 0) {
      return carry_mix(view, fmt::format("input {} is shared by all samples of an output, but "
                                         "counts samples along its axis {}",
                                         i, batch[i].axis));
    }
    if (!is_activation) continue;
    if (common.axis >= 0 && common != batch[i]) {
      return carry_mix(view, fmt::format("inputs count samples along axes {} and {}", common.axis,
                                         batch[i].axis));
    }
    common = batch[i];
  }
  if (common.axis >= first_mixed_axis) {
    return carry_mix(view, fmt::format("it sums along axis {}, which counts samples", common.axis));
  }
  return {std::vector<BatchAxis>(static_cast<std::size_t>(view.num_outputs()), common), {}};
}

BatchCarry carry_sums_samples(const NodeView& view, std::span<const BatchAxis>) {
  return carry_mix(view, "it sums over samples");
}

bool is_parameter(const Graph& graph, ValueId id) {
  const ValueKind kind = graph.value(id).kind;
  return kind == ValueKind::kConstant || kind == ValueKind::kState;
}

ValueId sum_to_input(GradientContext& context, ValueId value, int i) {
  const Shape target = context.shape(context.input(i));
  if (!is_parameter(context.build.graph(), context.input(i))) {
    return context.build.sum_to(value, target);
  }
  return context.build.op("SumTo", {value}, {{"shape", target.dims()}});
}

ValueId sum_to_channels(GraphBuilder& build, ValueId value) {
  const Shape shape = build.shape(value);
  if (shape.rank() > 2) {
    std::vector<std::int64_t> perm{0};
    for (int axis = 2; axis < shape.rank(); ++axis) perm.push_back(axis);
    perm.push_back(1);
    value = build.op("Transpose", {value}, {{"perm", perm}});
  }
  return build.op("SumTo", {value}, {{"shape", std::vector<std::int64_t>{shape[1]}}});
}

ValueId transpose_last_two(GraphBuilder& build, ValueId value) {
  std::vector<std::int64_t> perm(static_cast<std::size_t>(build.shape(value).rank()));
  std::iota(perm.begin(), perm.end(), 0);
  std::swap(perm[perm.size() - 1], perm[perm.size() - 2]);
  return build.op("Transpose", {value}, {{"perm", perm}});
}

ValueId as_channels(GraphBuilder& build, ValueId vector, int rank) {
  if (rank <= 2) return vector;
  std::vector<std::int64_t> axes;
  for (int axis = 1; axis < rank - 1; ++axis) axes.push_back(axis);
  return build.op("Unsqueeze", {vector, build.int64s(axes)});
}

void require_gradient_of_first_only(GradientContext& context) {
  for (std::size_t o = 0; o < context.node().outputs.size(); ++o) {
    if ((context.grad_output(static_cast<int>(o)) == kNoValue) == (o != 0)) continue;
    fail_input(NodeView(context.build.graph(), context.node()).where(),
               "cannot be trained through its mean and deviation outputs");
  }
}

std::vector<ValueId> complete_outputs(GradientContext& context, int count) {
  Graph& graph = context.build.graph();
  const NodeId id = graph.value(context.output(0)).producer;
  for (int o = 0; o < count; ++o) {
    const std::size_t at = static_cast<std::size_t>(o);
    if (graph.node(id).outputs.size() <= at) graph.node(id).outputs.resize(at + 1, kNoValue);
    if (graph.node(id).outputs[at] != kNoValue) continue;
    const std::string name = fmt::format("{}.{}", graph.node(id).name, o);
    const ValueId value = graph.add_value({.name = name, .producer = id});
    graph.node(id).outputs[at] = value;
  }
  infer_node(graph, id);
  return graph.node(id).outputs;
}

}  // namespace batchwise
