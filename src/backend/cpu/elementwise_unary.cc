// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/elementwise.h"
#include "backend/cpu/parallel_range.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/elementwise_unary.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "backend/cpu/vector_lanes-inl.h"
#include "backend/cpu/vector_math-inl.h"

#ifndef BATCHWISE_BACKEND_CPU_ELEMENTWISE_UNARY_ARGS
#define BATCHWISE_BACKEND_CPU_ELEMENTWISE_UNARY_ARGS
namespace batchwise::cpu {
// Elements [begin, end) of a unary step, or of its gradient (dy is then not null and x is `saved`).
struct UnaryArgs {
  UnaryStep step;
  const float* dy;
  const float* x;
  float* y;
  std::int64_t begin, end;
};
}  // namespace batchwise::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu {
namespace HWY_NAMESPACE {

template <class D, class F>
HWY_INLINE void map_elements(D d, const UnaryArgs& args, const F& f) {
  const float* const x = args.x;
  float* const y = args.y;
  for_each_vector(d, args.begin, args.end,
                  [&](auto io, std::int64_t i) HWY_ATTR { io.store(f(io.load(x + i)), y + i); });
}

template <class D, class F>
HWY_INLINE void map_gradient(D d, const UnaryArgs& args, const F& f) {
  const float* const x = args.x;
  const float* const dy = args.dy;
  float* const dx = args.y;
  for_each_vector(d, args.begin, args.end, [&](auto io, std::int64_t i) HWY_ATTR {
    io.store(f(io.load(dy + i), io.load(x + i)), dx + i);
  });
}

struct UnaryKernel {
  template <class D>
  void operator()(D d, const UnaryArgs& args) const {
    using V = hn::Vec<D>;
    const V a = hn::Set(d, args.step.a);
    const V b = hn::Set(d, args.step.b);
    const V zero = hn::Zero(d);
    const V one = hn::Set(d, 1.0f);
    switch (args.step.op) {
      case UnaryOp::kIdentity:
        return map_elements(d, args, [&](V x) HWY_ATTR { return x; });
      case UnaryOp::kRelu:
        return map_elements(d, args,
                            [&](V x) HWY_ATTR { return hn::IfThenElse(hn::Lt(x, zero), zero, x); });
      case UnaryOp::kLeakyRelu:
        return map_elements(d, args, [&](V x) HWY_ATTR {
          return hn::IfThenElse(hn::Lt(x, zero), hn::Mul(a, x), x);
        });
      case UnaryOp::kClip:
        return map_elements(
            d, args, [&](V x) HWY_ATTR { return keep_nan(d, x, hn::Min(hn::Max(x, a), b)); });
      case UnaryOp::kSigmoid:
        return map_elements(d, args, [&](V x) HWY_ATTR { return vector_sigmoid(d, x); });
      case UnaryOp::kTanh:
        return map_elements(d, args, [&](V x) HWY_ATTR { return vector_tanh(d, x); });
      case UnaryOp::kGelu:
        return map_elements(d, args, [&](V x) HWY_ATTR { return vector_gelu(d, x); });
      case UnaryOp::kGeluTanh:
        return map_elements(d, args, [&](V x) HWY_ATTR { return vector_gelu_tanh(d, x); });
      case UnaryOp::kErf:
        return map_elements(d, args, [&](V x) HWY_ATTR { return vector_erf(d, x); });
      case UnaryOp::kExp:
        return map_elements(d, args, [&](V x) HWY_ATTR { return vector_exp(d, x); });
      case UnaryOp::kLog:
        return map_elements(d, args, [&](V x) HWY_ATTR { return vector_log(d, x); });
      case UnaryOp::kSqrt:
        return map_elements(d, args, [&](V x) HWY_ATTR { return hn::Sqrt(x); });
      case UnaryOp::kNegate:
        return map_elements(d, args, [&](V x) HWY_ATTR { return hn::Neg(x); });
      case UnaryOp::kAbs:
        return map_elements(d, args, [&](V x) HWY_ATTR { return hn::Abs(x); });
      case UnaryOp::kReciprocal:
        return map_elements(d, args, [&](V x) HWY_ATTR { return hn::Div(one, x); });
      case UnaryOp::kSquare:
        return map_elements(d, args, [&](V x) HWY_ATTR { return hn::Mul(x, x); });
      case UnaryOp::kAffine:
        return map_elements(d, args, [&](V x) HWY_ATTR { return hn::MulAdd(a, x, b); });
      case UnaryOp::kPower:
        return map_elements(d, args, [&](V x) HWY_ATTR { return vector_pow(d, x, a); });
    }
  }
};

struct UnaryGradKernel {
  template <class D>
  void operator()(D d, const UnaryArgs& args) const {
    using V = hn::Vec<D>;
    const V a = hn::Set(d, args.step.a);
    const V b = hn::Set(d, args.step.b);
    const V zero = hn::Zero(d);
    const V one = hn::Set(d, 1.0f);
    switch (args.step.op) {
      case UnaryOp::kIdentity:
        return map_gradient(d, args, [&](V dy, V) HWY_ATTR { return dy; });
      case UnaryOp::kRelu:
        return map_gradient(
            d, args, [&](V dy, V y) HWY_ATTR { return hn::IfThenElseZero(hn::Gt(y, zero), dy); });
      case UnaryOp::kLeakyRelu:
        return map_gradient(d, args, [&](V dy, V x) HWY_ATTR {
          return hn::IfThenElse(hn::Lt(x, zero), hn::Mul(a, dy), dy);
        });
      case UnaryOp::kClip:
        return map_gradient(d, args, [&](V dy, V x) HWY_ATTR {
          return hn::IfThenZeroElse(hn::Or(hn::Lt(x, a), hn::Gt(x, b)), dy);
        });
      case UnaryOp::kSigmoid:
        return map_gradient(
            d, args, [&](V dy, V y) HWY_ATTR { return hn::Mul(dy, hn::Mul(y, hn::Sub(one, y))); });
      case UnaryOp::kTanh:
        return map_gradient(
            d, args, [&](V dy, V y) HWY_ATTR { return hn::Mul(dy, hn::NegMulAdd(y, y, one)); });
      case UnaryOp::kGelu:
        return map_gradient(
            d, args, [&](V dy, V x) HWY_ATTR { return hn::Mul(dy, vector_gelu_slope(d, x)); });
      case UnaryOp::kGeluTanh:
        return map_gradient(
            d, args, [&](V dy, V x) HWY_ATTR { return hn::Mul(dy, vector_gelu_tanh_slope(d, x)); });
      case UnaryOp::kErf:
        return map_gradient(d, args, [&](V dy, V x) HWY_ATTR {
          const V t = hn::Min(hn::Abs(x), hn::Set(d, 12.0f));  // so that inf * 0 is not asked
          const V density = hn::Mul(exp_minus_product(d, t, t), hn::Set(d, 1.12837917f));
          return hn::Mul(dy, keep_nan(d, x, density));
        });
      case UnaryOp::kExp:
        return map_gradient(d, args, [&](V dy, V y) HWY_ATTR { return hn::Mul(dy, y); });
      case UnaryOp::kLog:
        return map_gradient(d, args, [&](V dy, V x) HWY_ATTR { return hn::Div(dy, x); });
      case UnaryOp::kSqrt:
        return map_gradient(
            d, args, [&](V dy, V y) HWY_ATTR { return hn::Div(hn::Mul(dy, hn::Set(d, 0.5f)), y); });
      case UnaryOp::kNegate:
        return map_gradient(d, args, [&](V dy, V) HWY_ATTR { return hn::Neg(dy); });
      case UnaryOp::kAbs:
        return map_gradient(d, args, [&](V dy, V x) HWY_ATTR {
          const V left = hn::IfThenElse(hn::Lt(x, zero), hn::Neg(dy), hn::Mul(dy, hn::Abs(x)));
          return hn::IfThenElse(hn::Gt(x, zero), dy, left);
        });
      case UnaryOp::kReciprocal:
        return map_gradient(
            d, args, [&](V dy, V y) HWY_ATTR { return hn::Neg(hn::Mul(dy, hn::Mul(y, y))); });
      case UnaryOp::kSquare:
        return map_gradient(d, args,
                            [&](V dy, V x) HWY_ATTR { return hn::Mul(dy, hn::Add(x, x)); });
      case UnaryOp::kAffine:
        return map_gradient(d, args, [&](V dy, V) HWY_ATTR { return hn::Mul(a, dy); });
      case UnaryOp::kPower:
        return map_gradient(d, args, [&](V dy, V x) HWY_ATTR {
          return hn::Mul(dy, hn::Mul(a, vector_pow(d, x, hn::Sub(a, one))));
        });
    }
  }
};

void unary_range(const UnaryArgs& args) { at_vector_width<UnaryKernel>(args); }
void unary_grad_range(const UnaryArgs& args) { at_vector_width<UnaryGradKernel>(args); }

}  // namespace HWY_NAMESPACE
}  // namespace batchwise::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace batchwise::cpu {

HWY_EXPORT(unary_range);
HWY_EXPORT(unary_grad_range);

void unary(const UnaryStep& step, const float* x, float* y, std::int64_t count, ThreadPool* pool) {
  if (step.op == UnaryOp::kIdentity && x == y) return;
  for_each_range(pool, count, 1, kRangeUnit, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(unary_range)({step, nullptr, x, y, begin, end});
  });
}

bool unary_grad_reads_output(UnaryOp op) {
  switch (op) {
    case UnaryOp::kRelu:
    case UnaryOp::kSigmoid:
    case UnaryOp::kTanh:
    case UnaryOp::kExp:
    case UnaryOp::kSqrt:
    case UnaryOp::kReciprocal:
      return true;
    default:
      return false;
  }
}

void unary_grad(const UnaryStep& step, const float* dy, const float* saved, float* dx,
                std::int64_t count, ThreadPool* pool) {
  if (saved == nullptr) saved = dy;  // read, but not used
  for_each_range(pool, count, 1, kRangeUnit, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(unary_grad_range)({step, dy, saved, dx, begin, end});
  });
}

}  // namespace batchwise::cpu
#endif  // HWY_ONCE
