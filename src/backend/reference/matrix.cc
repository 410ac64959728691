// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <vector>

#include "backend/reference/dispatch.h"
#include "backend/reference/families.h"
#include "backend/reference/walk.h"

namespace batchwise::reference {
namespace {

// A matrix in memory: element (i, j) lies at i * row + j * column.
struct MatrixStrides {
  std::int64_t row, column;
};

// sums[j] = sum over k of a(i, k) b(k, j), k in order: a plain product's row.
template <typename T>
void multiply_row(const T* a_row, std::int64_t a_step, const T* b, MatrixStrides b_strides,
                  std::int64_t depth, std::vector<T>& sums) {
  std::fill(sums.begin(), sums.end(), T{0});
  for (std::int64_t k = 0; k < depth; ++k) {
    const T factor = a_row[k * a_step];
    const T* b_row = b + k * b_strides.row;
    for (std::size_t j = 0; j < sums.size(); ++j) {
      sums[j] += factor * b_row[static_cast<std::int64_t>(j) * b_strides.column];
    }
  }
}

void gemm(const ReferenceCall& call) {
  const Attributes& attributes = call.view.attributes();
  const bool trans_a = attributes.get_int("transA", 0) != 0;
  const bool trans_b = attributes.get_int("transB", 0) != 0;
  const Shape& a_shape = call.view.input(0);
  const Shape& b_shape = call.view.input(1);
  const MatrixStrides a_strides =
      trans_a ? MatrixStrides{1, a_shape[1]} : MatrixStrides{a_shape[1], 1};
  const MatrixStrides b_strides =
      trans_b ? MatrixStrides{1, b_shape[1]} : MatrixStrides{b_shape[1], 1};
  const std::int64_t depth = a_shape[trans_a ? 0 : 1];
  const std::int64_t rows = call.view.output(0)[0], columns = call.view.output(0)[1];
  const bool has_c = call.has_input(2);
  const Strides c_strides =
      has_c ? broadcast_strides(call.view.input(2), call.view.output(0)) : Strides{};
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    const T alpha = static_cast<T>(attributes.get_float("alpha", 1.0));
    const T beta = static_cast<T>(attributes.get_float("beta", 1.0));
    std::vector<T> sums(static_cast<std::size_t>(columns));
    for (std::int64_t i = 0; i < rows; ++i) {
      multiply_row(call.input<T>(0) + i * a_strides.row, a_strides.column, call.input<T>(1),
                   b_strides, depth, sums);
      T* y = call.output<T>(0) + i * columns;
      const T* c = has_c ? call.input<T>(2) + i * c_strides[0] : nullptr;
      for (std::int64_t j = 0; j < columns; ++j) {
        y[j] = alpha * sums[static_cast<std::size_t>(j)];
        if (c != nullptr) y[j] += beta * c[j * c_strides[1]];
      }
    }
  });
}

// A MatMul as products of matrices: one at each place of the leading axes.
struct MatMulPlan {
  std::int64_t rows, columns, depth;
  Shape lead;
  std::array<Strides, 2> strides;  // of the factors' matrices along the leading axes
};

MatMulPlan plan_matmul(const NodeView& view) {
  std::vector<std::int64_t> a = view.input(0).dims(), b = view.input(1).dims();
  if (a.size() == 1) a.insert(a.begin(), 1);
  if (b.size() == 1) b.push_back(1);
  const Shape lead_a(std::vector<std::int64_t>(a.begin(), a.end() - 2));
  const Shape lead_b(std::vector<std::int64_t>(b.begin(), b.end() - 2));
  const Shape lead = broadcast_shapes(lead_a, lead_b, view.where());
  return {a[a.size() - 2],
          b.back(),
          a.back(),
          lead,
          {broadcast_strides(lead_a, lead), broadcast_strides(lead_b, lead)}};
}

// Adds the bias, which broadcasts to the output.
template <typename T>
void add_bias(const ReferenceCall& call) {
  const Shape& output = call.view.output(0);
  const std::array<Strides, 1> strides{broadcast_strides(call.view.input(2), output)};
  const T* bias = call.input<T>(2);
  T* y = call.output<T>(0);
  walk(output, strides, [&](std::int64_t i, const auto& offsets) { y[i] += bias[offsets[0]]; });
}

void matmul(const ReferenceCall& call) {
  const MatMulPlan plan = plan_matmul(call.view);
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    std::vector<T> sums(static_cast<std::size_t>(plan.columns));
    T* y = call.output<T>(0);
    walk(plan.lead, plan.strides, [&](std::int64_t, const auto& matrices) {
      const T* a = call.input<T>(0) + matrices[0] * plan.rows * plan.depth;
      const T* b = call.input<T>(1) + matrices[1] * plan.depth * plan.columns;
      for (std::int64_t i = 0; i < plan.rows; ++i) {
        multiply_row(a + i * plan.depth, 1, b, {plan.columns, 1}, plan.depth, sums);
        y = std::copy(sums.begin(), sums.end(), y);
      }
    });
    if (call.has_input(2)) add_bias<T>(call);
  });
}

void matmul_grad_weight(const ReferenceCall& call) {
  const std::int64_t depth = call.view.input(0)[-1], columns = call.view.input(1)[-1];
  const std::int64_t rows = call.view.input(0).elements(0, call.view.input(0).rank() - 1);
  const bool continues = call.state.accumulate && call.has_input(2);
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    T* sum = call.output<T>(0);
    if (!continues) {
      std::fill_n(sum, depth * columns, T{0});
    } else if (sum != call.input<T>(2)) {
      std::copy_n(call.input<T>(2), depth * columns, sum);
    }
    for (std::int64_t row = 0; row < rows; ++row) {
      const T* x = call.input<T>(0) + row * depth;
      const T* dy = call.input<T>(1) + row * columns;
      for (std::int64_t k = 0; k < depth; ++k) {
        for (std::int64_t j = 0; j < columns; ++j) sum[k * columns + j] += x[k] * dy[j];
      }
    }
  });
}

constexpr ReferenceRow kRows[] = {
    {"Gemm", gemm}, {"MatMul", matmul}, {"MatMulGradWeight", matmul_grad_weight}};

}  // namespace

std::span<const ReferenceRow> matrix_kernels() { return kRows; }

}  // namespace batchwise::reference
