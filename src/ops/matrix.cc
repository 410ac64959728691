// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/check.h"
#include "ops/families.h"
#include "ops/row_rules.h"

namespace batchwise {
namespace {

// --- Gemm: alpha * op(A) op(B) + beta * C ---

struct GemmSizes {
  std::int64_t m, n, k, k_of_b;
};

GemmSizes gemm_sizes(const NodeView& view) {
  const bool trans_a = view.attributes().get_int("transA", 0) != 0;
  const bool trans_b = view.attributes().get_int("transB", 0) != 0;
  const Shape& a = view.input(0);
  const Shape& b = view.input(1);
  return {a[trans_a ? 1 : 0], b[trans_b ? 0 : 1], a[trans_a ? 0 : 1], b[trans_b ? 1 : 0]};
}

// C may broadcast to the output, never the other way.
void require_broadcasts_to(const NodeView& view, int i, const Shape& output) {
  const Shape& shape = view.input(i);
  bool fits = shape.rank() <= output.rank();
  for (int axis = 1; fits && axis <= shape.rank(); ++axis) {
    fits = shape[-axis] == 1 || shape[-axis] == output[-axis];
  }
  if (!fits) {
    fail_input(view.where(), "input {} of shape {} does not broadcast to {}", i, shape.to_string(),
               output.to_string());
  }
}

std::vector<TensorType> infer_gemm(const NodeView& view) {
  require_one_float_type(view, 1, view.num_inputs());
  if (view.input(0).rank() != 2 || view.input(1).rank() != 2) {
    fail_input(view.where(), "A {} and B {} must be matrices", view.input(0).to_string(),
               view.input(1).to_string());
  }
  const GemmSizes sizes = gemm_sizes(view);
  if (sizes.k != sizes.k_of_b) {
    fail_input(view.where(), "A {} and B {} do not multiply: inner sizes {} and {}",
               view.input(0).to_string(), view.input(1).to_string(), sizes.k, sizes.k_of_b);
  }
  const Shape output{sizes.m, sizes.n};
  if (view.has_input(2)) require_broadcasts_to(view, 2, output);
  require_only_residual(view, 3, output);
  return {{view.input_dtype(0), output}};
}

// What is added to the output must follow its batch axis, or be the same for every sample.
std::string added_input_mixes(const NodeView& view, std::span<const BatchAxis> batch, int i,
                              BatchAxis output) {
  if (!view.has_input(i)) return {};
  const int shift = view.output(0).rank() - view.input(i).rank();
  const BatchAxis own = batch[static_cast<std::size_t>(i)];
  if (own.axis >= 0) {
    const bool follows = own.axis + shift == output.axis && own.block == output.block;
    return follows ? "" : fmt::format("input {} counts samples along another axis", i);
  }
  const int axis = output.axis - shift;
  if (output.axis < 0 || axis < 0 || view.input(i)[axis] == 1) return {};
  return fmt::format("input {} of shape {} has fixed values along the axis that counts samples", i,
                     view.input(i).to_string());
}

BatchCarry finish_carry(const NodeView& view, std::span<const BatchAxis> batch, BatchAxis output) {
  for (int i = 2; i < view.num_inputs(); ++i) {
    std::string mixes = added_input_mixes(view, batch, i, output);
    if (!mixes.empty()) return carry_mix(view, std::move(mixes));
  }
  return {{output}, {}};
}

BatchCarry carry_gemm(const NodeView& view, std::span<const BatchAxis> batch) {
  const int rows_axis = view.attributes().get_int("transA", 0) != 0 ? 1 : 0;
  const int columns_axis = view.attributes().get_int("transB", 0) != 0 ? 0 : 1;
  if (batch[0].axis >= 0 && batch[1].axis >= 0) {
    return carry_mix(view, "both A and B count samples");
  }
  if (batch[0].axis >= 0 && batch[0].axis != rows_axis) {
    return carry_mix(view, fmt::format("it sums over axis {} of A", batch[0].axis));
  }
  if (batch[1].axis >= 0 && batch[1].axis != columns_axis) {
    return carry_mix(view, fmt::format("it sums over axis {} of B", batch[1].axis));
  }
  BatchAxis output;
  if (batch[0].axis >= 0) output = {0, batch[0].block};
  if (batch[1].axis >= 0) output = {1, batch[1].block};
  if (output.axis < 0) return carry_mix(view, "only C counts samples");
  return finish_carry(view, batch, output);
}

double flops_gemm(const NodeView& view) {
  const GemmSizes sizes = gemm_sizes(view);
  return 2.0 * static_cast<double>(sizes.m) * static_cast<double>(sizes.n) *
         static_cast<double>(sizes.k);
}

ValueId scaled(GraphBuilder& build, ValueId value, double factor) {
  if (factor == 1.0) return value;
  return build.op("Mul", {value, build.scalar(factor, build.dtype(value))});
}

void gradient_gemm(GradientContext& context) {
  GraphBuilder& build = context.build;
  const Attributes& attributes = context.node().attributes;
  const std::int64_t trans_a = attributes.get_int("transA", 0) != 0;
  const std::int64_t trans_b = attributes.get_int("transB", 0) != 0;
  const ValueId a = context.input(0), b = context.input(1), dy = context.grad_output();
  const double alpha = attributes.get_float("alpha", 1.0);
  if (context.wants(0) && trans_a == 0) {
    context.set(0, build.op("Gemm", {dy, b}, {{"transB", 1 - trans_b}, {"alpha", alpha}}));
  } else if (context.wants(0)) {
    const Attributes swapped{{"transA", trans_b}, {"transB", std::int64_t{1}}, {"alpha", alpha}};
    context.set(0, build.op("Gemm", {b, dy}, swapped));
  }
  if (context.wants(1)) {
    const ValueId rows = trans_a != 0 ? transpose_last_two(build, a) : a;
    const ValueId scaled_dy = scaled(build, dy, alpha);
    std::vector<ValueId> inputs{rows, scaled_dy};
    if (trans_b != 0) std::swap(inputs[0], inputs[1]);
    context.set(1, build.op("MatMulGradWeight", inputs));
  }
  if (context.wants(2)) {
    const ValueId scaled_dy = scaled(build, dy, attributes.get_float("beta", 1.0));
    context.set(2, sum_to_input(context, scaled_dy, 2));
  }
}

// --- MatMul: NumPy's matmul, with an internal third input that is added ---

// Shapes as matrices: a vector on the left is a row, on the right a column.
struct MatMulShapes {
  Shape a, b, output;
};

MatMulShapes matmul_shapes(const NodeView& view) {
  std::vector<std::int64_t> a = view.input(0).dims();
  std::vector<std::int64_t> b = view.input(1).dims();
  const bool row = a.size() == 1, column = b.size() == 1;
  if (row) a.insert(a.begin(), 1);
  if (column) b.push_back(1);
  const std::int64_t k = a.back();
  if (b[b.size() - 2] != k) {
    fail_input(view.where(), "{} and {} do not multiply: inner sizes {} and {}",
               view.input(0).to_string(), view.input(1).to_string(), k, b[b.size() - 2]);
  }
  const Shape lead_a(std::vector<std::int64_t>(a.begin(), a.end() - 2));
  const Shape lead_b(std::vector<std::int64_t>(b.begin(), b.end() - 2));
  std::vector<std::int64_t> output = broadcast_shapes(lead_a, lead_b, view.where()).dims();
  if (!row) output.push_back(a[a.size() - 2]);
  if (!column) output.push_back(b.back());
  return {Shape(std::move(a)), Shape(std::move(b)), Shape(std::move(output))};
}

std::vector<TensorType> infer_matmul(const NodeView& view) {
  require_one_float_type(view, 1, view.num_inputs());
  require_rank_at_least(view, 0, 1);
  require_rank_at_least(view, 1, 1);
  const MatMulShapes shapes = matmul_shapes(view);
  if (view.has_input(2)) require_broadcasts_to(view, 2, shapes.output);
  require_only_residual(view, 3, shapes.output);
  return {{view.input_dtype(0), shapes.output}};
}

// The output axis that axis `axis` of factor `i` becomes; -1: it is summed over.
int matmul_output_axis(const NodeView& view, int i, int axis) {
  const int rank = view.input(i).rank();
  if (rank == 1) return -1;
  const bool left = i == 0;
  if (axis == (left ? rank - 1 : rank - 2)) return -1;
  const int output_rank = view.output(0).rank();
  const bool other_is_vector = view.input(1 - i).rank() == 1;
  if (axis == rank - 1) return output_rank - 1;                          // columns of B
  if (axis == rank - 2) return output_rank - (other_is_vector ? 1 : 2);  // rows of A
  return axis + output_rank - (other_is_vector ? rank - 1 : rank);
}

// Along a leading axis that counts samples of factor `i`, the other factor has to follow or have 1.
bool leading_axis_is_followed(const NodeView& view, std::span<const BatchAxis> batch, int i) {
  const BatchAxis own = batch[static_cast<std::size_t>(i)];
  if (own.axis >= view.input(i).rank() - 2) return batch[static_cast<std::size_t>(1 - i)].axis < 0;
  const int from_end = view.input(i).rank() - own.axis;
  const int other_axis = view.input(1 - i).rank() - from_end;
  const BatchAxis other = batch[static_cast<std::size_t>(1 - i)];
  if (other.axis >= 0) return other.axis == other_axis && other.block == own.block;
  return other_axis < 0 || view.input(1 - i)[other_axis] == 1;
}

BatchCarry carry_matmul(const NodeView& view, std::span<const BatchAxis> batch) {
  BatchAxis output;
  for (int i = 0; i < 2; ++i) {
    const BatchAxis own = batch[static_cast<std::size_t>(i)];
    if (own.axis < 0) continue;
    const int axis = matmul_output_axis(view, i, own.axis);
    if (axis < 0) {
      return carry_mix(view, fmt::format("it sums over axis {} of input {}", own.axis, i));
    }
    if (!leading_axis_is_followed(view, batch, i)) {
      return carry_mix(view,
                       fmt::format("input {} does not follow the batch of input {}", 1 - i, i));
    }
    output = {axis, own.block};
  }
  if (output.axis < 0) return carry_mix(view, "only the bias counts samples");
  return finish_carry(view, batch, output);
}

double flops_matmul(const NodeView& view) {
  const double k = static_cast<double>(view.input(0)[-1]);
  return 2.0 * k * static_cast<double>(view.output(0).elements());
}

ValueId unsqueeze(GraphBuilder& build, ValueId value, std::int64_t axis) {
  return build.op("Unsqueeze", {value, build.int64s({axis})});
}

// dA of matrices a [..., M, K] and b [..., K, N], given dy [..., M, N].
ValueId gradient_left(GradientContext& context, ValueId a, ValueId b, ValueId dy) {
  GraphBuilder& build = context.build;
  const int rank_a = build.shape(a).rank(), rank_b = build.shape(b).rank();
  if (rank_a == 2 && rank_b == 2 && is_parameter(build.graph(), context.input(0))) {
    return build.op("MatMulGradWeight",
                    {transpose_last_two(build, dy), transpose_last_two(build, b)});
  }
  if (build.shape(dy).rank() == 2 && rank_b == 2) {
    return build.op("Gemm", {dy, b}, {{"transB", std::int64_t{1}}});
  }
  return build.op("MatMul", {dy, transpose_last_two(build, b)});
}

ValueId gradient_right(GradientContext& context, ValueId a, ValueId b, ValueId dy) {
  GraphBuilder& build = context.build;
  if (build.shape(b).rank() == 2) return build.op("MatMulGradWeight", {a, dy});
  return build.op("MatMul", {transpose_last_two(build, a), dy});
}

// Sums what broadcasting repeated, in the shape of the matrix form, and takes the added axis away.
ValueId as_input(GradientContext& context, ValueId gradient, ValueId matrix, int i,
                 std::int64_t added_axis) {
  GraphBuilder& build = context.build;
  if (matrix == context.input(i)) {
    const Graph& graph = build.graph();
    const bool is_sum = op_row(graph.node(graph.value(gradient).producer).op).accumulates;
    return is_sum ? gradient : sum_to_input(context, gradient, i);
  }
  const Shape target = build.shape(matrix);
  return build.op("Squeeze", {build.sum_to(gradient, target), build.int64s({added_axis})});
}

void gradient_matmul(GradientContext& context) {
  GraphBuilder& build = context.build;
  ValueId a = context.input(0), b = context.input(1), dy = context.grad_output();
  if (context.wants(2)) context.set(2, sum_to_input(context, dy, 2));
  const bool row = build.shape(a).rank() == 1, column = build.shape(b).rank() == 1;
  if (row) a = unsqueeze(build, a, 0);
  if (column) b = unsqueeze(build, b, 1);
  if (column) dy = unsqueeze(build, dy, -1);
  if (row) dy = unsqueeze(build, dy, -2);
  if (context.wants(0)) {
    context.set(0, as_input(context, gradient_left(context, a, b, dy), a, 0, 0));
  }
  if (context.wants(1)) {
    context.set(1, as_input(context, gradient_right(context, a, b, dy), b, 1, 1));
  }
}

// --- MatMulGradWeight: sum over rows of x^T dy ---

std::vector<TensorType> infer_matmul_grad_weight(const NodeView& view) {
  require_one_float_type(view, 1, view.num_inputs());
  require_rank_at_least(view, 0, 2);
  const Shape& x = view.input(0);
  const Shape& dy = view.input(1);
  bool same_rows = x.rank() == dy.rank();
  for (int axis = 0; same_rows && axis < x.rank() - 1; ++axis) same_rows = x[axis] == dy[axis];
  if (!same_rows) {
    fail_input(view.where(), "x {} and dy {} differ before their last axis", x.to_string(),
               dy.to_string());
  }
  const Shape output{x[-1], dy[-1]};
  if (view.has_input(2)) require_shape(view, 2, output, "the accumulator");
  return {{view.input_dtype(0), output}};
}

double flops_matmul_grad_weight(const NodeView& view) {
  return 2.0 * static_cast<double>(view.input(0).elements()) *
         static_cast<double>(view.input(1)[-1]);
}

constexpr AttributeDef kGemmAttributes[] = {{"alpha", AttributeType::kFloat},
                                            {"beta", AttributeType::kFloat},
                                            {"transA", AttributeType::kInt},
                                            {"transB", AttributeType::kInt}};

const OpDef kOps[] = {
    {.name = "Gemm",
     .doc = "alpha * op(A) op(B) + beta * C, op being a transposition if transA, transB",
     .min_opset = 1,
     .min_inputs = 2,
     .max_inputs = 3,
     .attributes = kGemmAttributes,
     .infer = infer_gemm,
     .carry = carry_gemm,
     .gradient = gradient_gemm,
     .flops = flops_gemm,
     .parameter_inputs = 0b110},
    {.name = "MatMul",
     .doc = "NumPy's matmul; after fusion plus a bias",
     .min_opset = 1,
     .min_inputs = 2,
     .max_inputs = 3,  // the third: a fused bias
     .infer = infer_matmul,
     .carry = carry_matmul,
     .gradient = gradient_matmul,
     .flops = flops_matmul,
     .parameter_inputs = 0b111},
    {.name = "MatMulGradWeight",
     .doc = "x^T dy summed over rows in their order: the gradient of a matrix of weights",
     .min_opset = 0,
     .min_inputs = 2,
     .max_inputs = 3,
     .infer = infer_matmul_grad_weight,
     .carry = carry_sums_samples,
     .flops = flops_matmul_grad_weight,
     .accumulates = true},
};

}  // namespace

std::span<const OpDef> matrix_ops() { return kOps; }

}  // namespace batchwise
