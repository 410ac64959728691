// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/dense.h"
#include "backend/cpu/rows.h"
#include "base/check.h"

namespace batchwise::cpu {
namespace {

// A product as the kernels see it: `batches` products of m x k by k x n.
struct Sizes {
  std::int64_t m = 0, n = 0, k = 0;
  std::int64_t batches = 1;
  bool trans_b = false;
};

Sizes gemm_sizes(const KernelRequest& request) {
  Sizes sizes;
  sizes.trans_b = request.attributes().get_int("transB", 0) != 0;
  sizes.m = request.input(0)[0];
  sizes.k = request.input(0)[1];
  sizes.n = request.output(0)[1];
  return sizes;
}

Sizes matmul_sizes(const KernelRequest& request) {
  const Shape& a = request.input(0);
  Sizes sizes;
  sizes.k = a[-1];
  sizes.n = request.output(0)[-1];
  if (request.input(1).rank() == 2) {
    sizes.m = a.elements(0, a.rank() - 1);
  } else {
    sizes.m = a[-2];
    sizes.batches = a.elements(0, a.rank() - 2);
  }
  return sizes;
}

Sizes sizes_of(const KernelRequest& request) {
  return request.node().op == "Gemm" ? gemm_sizes(request) : matmul_sizes(request);
}

// A bias of one value a column; other forms of C are left to the reference.
bool is_column_bias(const KernelRequest& request) {
  if (!request.has_input(2)) return true;
  const Shape& c = request.input(2);
  const std::int64_t n = request.output(0)[-1];
  return c.rank() >= 1 && c.elements() == n && c[-1] == n;
}

std::optional<std::string> refuse_gemm(const KernelRequest& request) {
  if (auto refusal = refuse_other_types(request)) return refusal;
  const Attributes& attributes = request.attributes();
  if (attributes.get_int("transA", 0) != 0) return "A is transposed";
  if (attributes.get_float("alpha", 1) != 1) return "alpha is not 1";
  if (request.has_input(2) && attributes.get_float("beta", 1) != 1) return "beta is not 1";
  if (!is_column_bias(request)) return "C is not one value a column";
  return std::nullopt;
}

std::optional<std::string> refuse_matmul(const KernelRequest& request) {
  if (auto refusal = refuse_other_types(request)) return refusal;
  const Shape& a = request.input(0);
  const Shape& b = request.input(1);
  if (a.rank() < 2 || b.rank() < 2) return "a factor is a vector";
  if (!is_column_bias(request)) return "what is added is not one value a column";
  if (b.rank() == 2) return std::nullopt;
  if (a.rank() != b.rank()) return "the factors' leading axes broadcast";
  for (int axis = 0; axis < a.rank() - 2; ++axis) {
    if (a[axis] != b[axis]) return "the factors' leading axes broadcast";
  }
  return std::nullopt;
}

std::optional<Attributes> packing_of_b(const KernelRequest& request, int input) {
  if (input != 1 || request.input(1).rank() != 2) return std::nullopt;
  const Sizes sizes = sizes_of(request);
  // A state changes after every use or a few: packing it for so few rows would take longer.
  const bool changes = request.input_value(1).kind == ValueKind::kState;
  if (changes && dense_takes_unpacked(sizes.m, sizes.n)) return std::nullopt;
  return Attributes{{"form", std::string("dense")},
                    {"k", sizes.k},
                    {"n", sizes.n},
                    {"transposed", static_cast<std::int64_t>(sizes.trans_b)},
                    {"floats", static_cast<std::int64_t>(packed_matrix_floats(sizes.k, sizes.n))}};
}

std::int64_t round_up_to_line(std::int64_t floats) { return (floats + 15) / 16 * 16; }

std::unique_ptr<Kernel> prepare_product(const KernelRequest& request) {
  const Sizes sizes = sizes_of(request);
  const bool packed_ahead = request.is_packed(1);
  const Epilogue epilogue = prepared_epilogue(request.node());
  const int residual = request.node().epilogue.residual_input;
  const bool has_bias = request.has_input(2);
  const std::int64_t own = round_up_to_line(
      static_cast<std::int64_t>(dense_scratch_floats(sizes.m, sizes.n, sizes.k, request.threads)));
  const bool unpacked = !packed_ahead && dense_takes_unpacked(sizes.m, sizes.n);
  const std::int64_t pack_floats =
      packed_ahead || unpacked ? 0
                               : static_cast<std::int64_t>(packed_matrix_floats(sizes.k, sizes.n));
  const auto run = [=](const KernelCall& call) {
    auto* scratch = static_cast<float*>(call.scratch);
    for (std::int64_t batch = 0; batch < sizes.batches; ++batch) {
      const float* b = call.input<float>(1) + batch * sizes.k * sizes.n;
      if (!packed_ahead && !unpacked) {
        float* packed = scratch + own;
        pack_matrix(b, sizes.k, sizes.n, sizes.trans_b ? 1 : sizes.n, sizes.trans_b ? sizes.k : 1,
                    packed, call.pool);
        b = packed;
      }
      DenseJob job{sizes.m,
                   sizes.n,
                   sizes.k,
                   call.input<float>(0) + batch * sizes.m * sizes.k,
                   sizes.k,
                   b,
                   call.output<float>(0) + batch * sizes.m * sizes.n,
                   sizes.n,
                   epilogue,
                   b,
                   sizes.trans_b};
      if (has_bias) job.epilogue.bias = call.input<float>(2);
      if (residual >= 0) {
        job.epilogue.residual = call.input<float>(residual) + batch * sizes.m * sizes.n;
        job.epilogue.residual_stride = sizes.n;
      }
      unpacked ? dense_forward_unpacked(job, call.pool) : dense_forward(job, call.pool, scratch);
    }
  };
  return make_kernel(run, (own + pack_floats) * 4);
}

std::optional<std::string> refuse_weight_gradient(const KernelRequest& request) {
  return refuse_other_types(request);
}

std::unique_ptr<Kernel> prepare_weight_gradient(const KernelRequest& request) {
  const Shape& x = request.input(0);
  WeightGradientJob job;
  job.m = x.elements(0, x.rank() - 1);
  job.k = x[-1];
  job.n = request.input(1)[-1];
  job.x_stride = job.k;
  job.dy_stride = job.n;
  job.dw_stride = job.n;
  const bool has_accumulator = request.has_input(2);
  const auto run = [=](const KernelCall& call) {
    WeightGradientJob now = job;
    now.x = call.input<float>(0);
    now.dy = call.input<float>(1);
    now.dw = call.output<float>(0);
    now.accumulate = has_accumulator && call.state.accumulate;
    weight_gradient(now, call.pool, static_cast<float*>(call.scratch));
  };
  const auto floats = weight_gradient_scratch_floats(job.m, job.k, job.n, request.threads);
  return make_kernel(run, static_cast<std::int64_t>(floats) * 4);
}

}  // namespace

void pack_dense(const Attributes& packing, const float* source, float* packed, ThreadPool& pool) {
  const std::int64_t k = packing.get_int("k"), n = packing.get_int("n");
  const bool transposed = packing.get_int("transposed") != 0;
  pack_matrix(source, k, n, transposed ? 1 : n, transposed ? k : 1, packed, pool);
}

std::span<const KernelDef> dense_rows() {
  static const KernelDef rows[] = {
      {.op = "Gemm",
       .name = "cpu dense",
       .refuse = refuse_gemm,
       .prepare = prepare_product,
       .packing = packing_of_b,
       .takes_epilogue = takes_any_epilogue},
      {.op = "MatMul",
       .name = "cpu dense",
       .refuse = refuse_matmul,
       .prepare = prepare_product,
       .packing = packing_of_b,
       .takes_epilogue = takes_any_epilogue},
      {.op = "MatMulGradWeight",
       .name = "cpu weight gradient",
       .refuse = refuse_weight_gradient,
       .prepare = prepare_weight_gradient},
  };
  return rows;
}

}  // namespace batchwise::cpu
