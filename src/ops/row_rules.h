// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <span>
#include <string_view>
#include <vector>

#include "ops/builder.h"
#include "ops/rules.h"

namespace batchwise {

// Rules of layers, normalizations, losses and optimizers, beyond those that all rows share.
// Checks throw Error naming the node.

// Inputs [begin, end) that are present must have the floating-point type of input 0.
void require_one_float_type(const NodeView& view, int begin, int end);
// Input i must have this shape; `what` says what it is.
void require_shape(const NodeView& view, int i, const Shape& expected, std::string_view what);
void require_rank_at_least(const NodeView& view, int i, int rank);
// The residual that a fused epilogue adds lies behind the op's own `own_inputs` inputs and has the
// shape of the output; further inputs are an error.
void require_only_residual(const NodeView& view, int own_inputs, const Shape& output);

// The type of input i.
inline TensorType type_of(const NodeView& view, int i) { return view.input_value(i).type; }
// One output of the type of input 0, which must be floating-point.
std::vector<TensorType> infer_like_first(const NodeView& view);

// Inputs whose bit is set in `activations` must count samples along one common axis before
// `first_mixed_axis`, all others must be the same for every sample; outputs then count samples
// along that axis.
BatchCarry carry_along(const NodeView& view, std::span<const BatchAxis> batch,
                       std::uint32_t activations, int first_mixed_axis);
// For rows that sum over samples.
BatchCarry carry_sums_samples(const NodeView& view, std::span<const BatchAxis> batch);

// Is the value a parameter or a constant, so that its gradient sums over samples?
bool is_parameter(const Graph& graph, ValueId id);
// `value` summed down to the shape of `target`, which is input of the node; of a parameter always
// by SumTo, so that sums over samples can continue.
ValueId sum_to_input(GradientContext& context, ValueId value, int i);
// Values of shape (N, C, ...) summed to [C].
ValueId sum_to_channels(GraphBuilder& build, ValueId value);
// `value` with its last two axes exchanged.
ValueId transpose_last_two(GraphBuilder& build, ValueId value);
// A vector [C] as [C, 1, ...], so that it broadcasts along axis 1 of a value of rank `rank`.
ValueId as_channels(GraphBuilder& build, ValueId vector, int rank);
// Throws Error where something depends on an output after the first: statistics have no gradient.
void require_gradient_of_first_only(GradientContext& context);
// The outputs of the node with optional outputs up to `count` made present.
std::vector<ValueId> complete_outputs(GradientContext& context, int count);

}  // namespace batchwise
