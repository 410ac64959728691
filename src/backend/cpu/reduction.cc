// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/reduction.h"

#include <algorithm>

#include "backend/cpu/parallel_range.h"
#include "backend/cpu/reduction_walk.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/reduction.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "backend/cpu/vector_lanes-inl.h"

#ifndef BATCHWISE_BACKEND_CPU_REDUCTION_ARGS
#define BATCHWISE_BACKEND_CPU_REDUCTION_ARGS
namespace batchwise::cpu {
constexpr std::int64_t kReduceChunk = 64;   // columns
constexpr std::int64_t kReduceBlock = 256;  // terms of a column

// Outputs [begin, end), or, where the innermost axis stays, chunks of them.
struct ReduceArgs {
  ReduceOp op;
  bool continues;
  const ReducePlan& plan;
  const float* x;
  float* y;
  std::int64_t begin, end;
};
}  // namespace batchwise::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu {
namespace HWY_NAMESPACE {

// Takes the sum or the maximum; lowest() leaves the other operand as it is.
struct TakeSum {
  template <class D>
  static HWY_INLINE hn::Vec<D> lowest(D d) {
    return hn::Zero(d);
  }
  template <class D>
  static HWY_INLINE hn::Vec<D> take(D, hn::Vec<D> a, hn::Vec<D> b) {
    return hn::Add(a, b);
  }
  template <class D>
  static HWY_INLINE float row(D d, const float* x, std::int64_t count) {
    return sum_lanes(d, count, [&](auto io, std::int64_t i) HWY_ATTR { return io.load(x + i); });
  }
  static float take_one(float a, float b) { return a + b; }
  static float lowest_one() { return 0.0f; }
};

struct TakeMax {
  template <class D>
  static HWY_INLINE hn::Vec<D> lowest(D d) {
    return hn::Set(d, lowest_one());
  }
  template <class D>
  static HWY_INLINE hn::Vec<D> take(D d, hn::Vec<D> a, hn::Vec<D> b) {
    return max_keeping_nan(d, a, b);
  }
  template <class D>
  static HWY_INLINE float row(D d, const float* x, std::int64_t count) {
    return max_lanes(d, x, count, KeepNan());
  }
  static float take_one(float a, float b) { return a != a || a >= b ? a : b; }
  static float lowest_one() { return -std::numeric_limits<float>::infinity(); }
};

struct ReduceKernel {
  // The innermost axis is reduced: one output at a time.
  template <class Take, class D>
  static HWY_INLINE void rows(D d, const ReduceArgs& args) {
    const ReducePlan& plan = args.plan;
    WalkPlace kept(plan.kept, args.begin);
    for (std::int64_t o = args.begin; o < args.end; ++o, kept.next()) {
      float result = args.continues ? args.y[o] : Take::lowest_one();
      for (std::int64_t link = 0; link < plan.links; ++link) {
        const float* x = args.x + kept.offset() + link * plan.link_stride;
        float partial = Take::lowest_one();
        WalkPlace place(plan.reduced);
        for (std::int64_t r = 0; r < plan.reduced.count; ++r, place.next()) {
          partial = Take::take_one(partial, Take::row(d, x + place.offset(), plan.run));
        }
        result = Take::take_one(result, partial);
      }
      args.y[o] = args.op == ReduceOp::kMean ? result / static_cast<float>(plan.terms) : result;
    }
  }

  // The sum of one link over kVectors vectors of columns at x.
  template <class Take, int kVectors, class D, class Io>
  static HWY_INLINE void add_link(D d, const Io& io, const ReducePlan& plan, const float* x,
                                  hn::Vec<D> (&total)[kVectors]) {
    constexpr std::int64_t kLanes = hn::MaxLanes(D());
    if (plan.reduced.count == 1) {
      for (int v = 0; v < kVectors; ++v) {
        total[v] = Take::take(d, total[v], io.load(x + v * kLanes));
      }
      return;
    }
    hn::Vec<D> link[kVectors];
    for (auto& v : link) v = Take::lowest(d);
    WalkPlace place(plan.reduced);
    for (std::int64_t r = 0; r < plan.reduced.count;) {
      const std::int64_t end = std::min(r + kReduceBlock, plan.reduced.count);
      hn::Vec<D> partial[kVectors];
      for (auto& v : partial) v = Take::lowest(d);
      for (; r < end; ++r, place.next()) {
        const float* row = x + place.offset();
        for (int v = 0; v < kVectors; ++v) {
          partial[v] = Take::take(d, partial[v], io.load(row + v * kLanes));
        }
      }
      for (int v = 0; v < kVectors; ++v) link[v] = Take::take(d, link[v], partial[v]);
    }
    for (int v = 0; v < kVectors; ++v) total[v] = Take::take(d, total[v], link[v]);
  }

  template <class Take, int kVectors, class D, class Io>
  static HWY_INLINE void column_vectors(D d, const Io& io, const ReduceArgs& args, const float* x,
                                        float* y) {
    constexpr std::int64_t kLanes = hn::MaxLanes(D());
    hn::Vec<D> total[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      total[v] = args.continues ? io.load(y + v * kLanes) : Take::lowest(d);
    }
    for (std::int64_t link = 0; link < args.plan.links; ++link) {
      add_link<Take, kVectors>(d, io, args.plan, x + link * args.plan.link_stride, total);
    }
    const auto divisor = hn::Set(d, static_cast<float>(args.plan.terms));
    for (int v = 0; v < kVectors; ++v) {
      if (args.op == ReduceOp::kMean) total[v] = hn::Div(total[v], divisor);
      io.store(total[v], y + v * kLanes);
    }
  }

  // The innermost axis stays: chunks of columns.
  template <class Take, class D>
  static HWY_INLINE void columns(D d, const ReduceArgs& args) {
    constexpr int kVectors = static_cast<int>(kReduceChunk / hn::MaxLanes(D()));
    const std::int64_t run = args.plan.run;
    const std::int64_t chunks = (run + kReduceChunk - 1) / kReduceChunk;
    for (std::int64_t item = args.begin; item < args.end; ++item) {
      const std::int64_t kept = item / chunks;
      const std::int64_t first = item % chunks * kReduceChunk;
      const float* x = args.x + WalkPlace(args.plan.kept, kept).offset();
      float* y = args.y + kept * run;
      if (first + kReduceChunk <= run) {
        column_vectors<Take, kVectors>(d, WholeVector<D>(), args, x + first, y + first);
      } else {
        for_each_vector(d, first, run, [&](auto io, std::int64_t c) HWY_ATTR {
          column_vectors<Take, 1>(d, io, args, x + c, y + c);
        });
      }
    }
  }

  template <class D>
  void operator()(D d, const ReduceArgs& args) const {
    const bool is_max = args.op == ReduceOp::kMax;
    if (args.plan.run_is_reduced) return is_max ? rows<TakeMax>(d, args) : rows<TakeSum>(d, args);
    return is_max ? columns<TakeMax>(d, args) : columns<TakeSum>(d, args);
  }
};

void reduce_range(const ReduceArgs& args) { at_vector_width<ReduceKernel>(args); }

}  // namespace HWY_NAMESPACE
}  // namespace batchwise::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace batchwise::cpu {
namespace {

HWY_EXPORT(reduce_range);

void run_reduction(ReduceOp op, bool continues, const ReducePlan& plan, const float* x, float* y,
                   ThreadPool* pool) {
  if (plan.outputs == 0) return;
  const std::int64_t chunks = (plan.run + kReduceChunk - 1) / kReduceChunk;
  const std::int64_t items = plan.run_is_reduced ? plan.outputs : plan.kept.count * chunks;
  for_each_range(pool, items, plan.terms * (plan.outputs / std::max<std::int64_t>(items, 1)), 1,
                 [&](std::int64_t begin, std::int64_t end) {
                   HWY_DYNAMIC_DISPATCH(reduce_range)({op, continues, plan, x, y, begin, end});
                 });
}

}  // namespace

void reduce(ReduceOp op, const ReducePlan& plan, const float* x, float* y, ThreadPool* pool) {
  run_reduction(op, false, plan, x, y, pool);
}

void sum_to(const ReducePlan& plan, const float* x, bool continues, float* y, ThreadPool* pool) {
  run_reduction(ReduceOp::kSum, continues, plan, x, y, pool);
}

}  // namespace batchwise::cpu
#endif  // HWY_ONCE
