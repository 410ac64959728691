// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/elementwise.h"
#include "backend/cpu/elementwise_broadcast.h"
#include "backend/cpu/parallel_range.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/elementwise_binary.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "backend/cpu/vector_lanes-inl.h"
#include "backend/cpu/vector_math-inl.h"

#ifndef BATCHWISE_BACKEND_CPU_ELEMENTWISE_BINARY_ARGS
#define BATCHWISE_BACKEND_CPU_ELEMENTWISE_BINARY_ARGS
namespace batchwise::cpu {
// `count` elements in a row; an operand whose stride is 0 is one element.
struct BinaryArgs {
  BinaryOp op;
  bool a_repeats, b_repeats;
  const float* a;
  const float* b;
  float* y;
  std::int64_t count;
};
}  // namespace batchwise::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu {
namespace HWY_NAMESPACE {

struct BinaryKernel {
  template <class D, class F>
  static HWY_INLINE void map(D d, const BinaryArgs& args, const F& f) {
    const float* const a = args.a;
    const float* const b = args.b;
    float* const y = args.y;
    if (args.a_repeats) {
      const auto repeated = hn::Set(d, *a);
      for_each_vector(d, 0, args.count, [&](auto io, std::int64_t i) HWY_ATTR {
        io.store(f(repeated, io.load(b + i)), y + i);
      });
    } else if (args.b_repeats) {
      const auto repeated = hn::Set(d, *b);
      for_each_vector(d, 0, args.count, [&](auto io, std::int64_t i) HWY_ATTR {
        io.store(f(io.load(a + i), repeated), y + i);
      });
    } else {
      for_each_vector(d, 0, args.count, [&](auto io, std::int64_t i) HWY_ATTR {
        io.store(f(io.load(a + i), io.load(b + i)), y + i);
      });
    }
  }

  template <class D>
  void operator()(D d, const BinaryArgs& args) const {
    using V = hn::Vec<D>;
    switch (args.op) {
      case BinaryOp::kAdd:
        return map(d, args, [&](V a, V b) HWY_ATTR { return hn::Add(a, b); });
      case BinaryOp::kSub:
        return map(d, args, [&](V a, V b) HWY_ATTR { return hn::Sub(a, b); });
      case BinaryOp::kMul:
        return map(d, args, [&](V a, V b) HWY_ATTR { return hn::Mul(a, b); });
      case BinaryOp::kDiv:
        return map(d, args, [&](V a, V b) HWY_ATTR { return hn::Div(a, b); });
      case BinaryOp::kPow:
        return map(d, args, [&](V a, V b) HWY_ATTR { return vector_pow(d, a, b); });
      case BinaryOp::kMax:
        return map(d, args, [&](V a, V b) HWY_ATTR { return max_keeping_nan(d, a, b); });
      case BinaryOp::kMin:
        return map(d, args, [&](V a, V b) HWY_ATTR { return min_keeping_nan(d, a, b); });
    }
  }
};

void binary_run(const BinaryArgs& args) { at_vector_width<BinaryKernel>(args); }

}  // namespace HWY_NAMESPACE
}  // namespace batchwise::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace batchwise::cpu {

HWY_EXPORT(binary_run);

void binary(BinaryOp op, const BroadcastPlan& plan, const float* a, const float* b, float* y,
            ThreadPool* pool) {
  for_each_range(pool, plan.count, 1, kRangeUnit, [&](std::int64_t begin, std::int64_t end) {
    for_each_broadcast_run(
        plan, begin, end, std::array{a, b},
        [&](std::int64_t at, std::int64_t count, const auto& operands, const auto& repeats) {
          HWY_DYNAMIC_DISPATCH(binary_run)
          ({op, repeats[0], repeats[1], operands[0], operands[1], y + at, count});
        });
  });
}

namespace {

template <class Test>
void compare_with(const BroadcastPlan& plan, const float* a, const float* b, std::uint8_t* y,
                  ThreadPool* pool, const Test& test) {
  for_each_range(pool, plan.count, 1, kRangeUnit, [&](std::int64_t begin, std::int64_t end) {
    for_each_broadcast_run(
        plan, begin, end, std::array{a, b},
        [&](std::int64_t at, std::int64_t count, const auto& operands, const auto& repeats) {
          const std::int64_t a_step = repeats[0] ? 0 : 1;
          const std::int64_t b_step = repeats[1] ? 0 : 1;
          for (std::int64_t i = 0; i < count; ++i) {
            y[at + i] = test(operands[0][i * a_step], operands[1][i * b_step]) ? 1 : 0;
          }
        });
  });
}

}  // namespace

void compare(CompareOp op, const BroadcastPlan& plan, const float* a, const float* b,
             std::uint8_t* y, ThreadPool* pool) {
  switch (op) {
    case CompareOp::kEqual:
      return compare_with(plan, a, b, y, pool, [](float p, float q) { return p == q; });
    case CompareOp::kLess:
      return compare_with(plan, a, b, y, pool, [](float p, float q) { return p < q; });
    case CompareOp::kLessOrEqual:
      return compare_with(plan, a, b, y, pool, [](float p, float q) { return p <= q; });
    case CompareOp::kGreater:
      return compare_with(plan, a, b, y, pool, [](float p, float q) { return p > q; });
    case CompareOp::kGreaterOrEqual:
      return compare_with(plan, a, b, y, pool, [](float p, float q) { return p >= q; });
  }
}

void select(const BroadcastPlan& plan, const std::uint8_t* condition, const float* a,
            const float* b, float* y, ThreadPool* pool) {
  for_each_range(pool, plan.count, 1, kRangeUnit, [&](std::int64_t begin, std::int64_t end) {
    BroadcastCursor cursor(plan, begin);
    for (std::int64_t at = begin; at < end;) {
      const std::int64_t count = std::min(end - at, cursor.run_length());
      const std::int64_t c = cursor.offset(0), p = cursor.offset(1), q = cursor.offset(2);
      const std::int64_t c_step = cursor.inner_stride(0), p_step = cursor.inner_stride(1),
                         q_step = cursor.inner_stride(2);
      for (std::int64_t i = 0; i < count; ++i) {
        y[at + i] = condition[c + i * c_step] != 0 ? a[p + i * p_step] : b[q + i * q_step];
      }
      cursor.advance(count);
      at += count;
    }
  });
}

void elementwise_chain(std::span<const ChainStep> steps, const float* x, float* y,
                       std::int64_t count, ThreadPool* pool) {
  constexpr std::int64_t kBlock = 2048;  // 8 KB: stays in the nearest cache
  for_each_range(
      pool, count, static_cast<std::int64_t>(steps.size()), kRangeUnit,
      [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t at = begin; at < end; at += kBlock) {
          const std::int64_t size = std::min(kBlock, end - at);
          const float* from = x + at;
          for (const ChainStep& step : steps) {
            if (step.is_binary) {
              const float* a = step.is_swapped ? step.other + at : from;
              const float* b = step.is_swapped ? from : step.other + at;
              HWY_DYNAMIC_DISPATCH(binary_run)({step.binary, false, false, a, b, y + at, size});
            } else {
              unary(step.unary, from, y + at, size, nullptr);
            }
            from = y + at;
          }
          if (steps.empty()) std::copy(from, from + size, y + at);
        }
      });
}

}  // namespace batchwise::cpu
#endif  // HWY_ONCE
