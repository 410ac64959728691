// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/softmax.h"

#include <algorithm>

#include "backend/cpu/parallel_range.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/softmax.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "backend/cpu/vector_lanes-inl.h"
#include "backend/cpu/vector_math-inl.h"

#ifndef BATCHWISE_BACKEND_CPU_SOFTMAX_ARGS
#define BATCHWISE_BACKEND_CPU_SOFTMAX_ARGS
namespace batchwise::cpu {
enum class SoftmaxKind { kSoftmax, kLogSoftmax, kSoftmaxGrad, kLogSoftmaxGrad };
// Rows [begin, end) of outer x chunks of inner (one chunk where inner is 1).
struct SoftmaxArgs {
  SoftmaxKind kind;
  SoftmaxShape shape;
  const float *dy;
  const float *x;  // the output y, for a gradient
  float *y;        // dx, for a gradient
  std::int64_t begin, end;
};
constexpr std::int64_t kSoftmaxChunk = 64;
}  // namespace batchwise::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu {
namespace HWY_NAMESPACE {

template <class D>
HWY_INLINE void softmax_row(D d, const float *x, float *y, std::int64_t count) {
  const auto largest = hn::Set(d, max_lanes(d, x, count, IgnoreNan()));
  const float sum = sum_lanes(d, count, [&](auto io, std::int64_t i) HWY_ATTR {
    const auto e = vector_exp(d, hn::Sub(io.load(x + i), largest));
    io.store(e, y + i);
    return e;
  });
  const auto divisor = hn::Set(d, sum);
  for_each_vector(d, 0, count, [&](auto io, std::int64_t i) HWY_ATTR {
    io.store(hn::Div(io.load(y + i), divisor), y + i);
  });
}

template <class D>
HWY_INLINE float log_of(D d, float x) {
  return hn::GetLane(vector_log(d, hn::Set(d, x)));
}

template <class D>
HWY_INLINE void log_softmax_row(D d, const float *x, float *y, std::int64_t count) {
  const auto largest = hn::Set(d, max_lanes(d, x, count, IgnoreNan()));
  const float sum = sum_lanes(d, count, [&](auto io, std::int64_t i) HWY_ATTR {
    return vector_exp(d, hn::Sub(io.load(x + i), largest));
  });
  const auto log_sum = hn::Set(d, log_of(d, sum));
  for_each_vector(d, 0, count, [&](auto io, std::int64_t i) HWY_ATTR {
    io.store(hn::Sub(hn::Sub(io.load(x + i), largest), log_sum), y + i);
  });
}

template <class D>
HWY_INLINE void softmax_grad_row(D d, const float *dy, const float *y, float *dx,
                                 std::int64_t count) {
  const float sum = sum_lanes(d, count, [&](auto io, std::int64_t i) HWY_ATTR {
    return hn::Mul(io.load(dy + i), io.load(y + i));
  });
  const auto mean = hn::Set(d, sum);
  for_each_vector(d, 0, count, [&](auto io, std::int64_t i) HWY_ATTR {
    io.store(hn::Mul(io.load(y + i), hn::Sub(io.load(dy + i), mean)), dx + i);
  });
}

template <class D>
HWY_INLINE void log_softmax_grad_row(D d, const float *dy, const float *y, float *dx,
                                     std::int64_t count) {
  const float sum =
      sum_lanes(d, count, [&](auto io, std::int64_t i) HWY_ATTR { return io.load(dy + i); });
  const auto total = hn::Set(d, sum);
  for_each_vector(d, 0, count, [&](auto io, std::int64_t i) HWY_ATTR {
    const auto probability = vector_exp(d, io.load(y + i));
    io.store(hn::NegMulAdd(probability, total, io.load(dy + i)), dx + i);
  });
}

// The same over `axis` elements that lie `stride` apart, for one vector of rows
// side by side.
template <class D, class Io>
HWY_INLINE void forward_columns(D d, const Io &io, bool is_log, const float *x, float *y,
                                std::int64_t axis, std::int64_t stride) {
  auto largest = io.load(x);
  for (std::int64_t k = 1; k < axis; ++k) {
    largest = max_keeping_nan(d, largest, io.load(x + k * stride));
  }
  auto sum = hn::Zero(d);
  for (std::int64_t k = 0; k < axis; ++k) {
    const auto e = vector_exp(d, hn::Sub(io.load(x + k * stride), largest));
    sum = hn::Add(sum, e);
    if (!is_log) io.store(e, y + k * stride);
  }
  if (is_log) {
    const auto log_sum = vector_log(d, sum);
    for (std::int64_t k = 0; k < axis; ++k) {
      io.store(hn::Sub(hn::Sub(io.load(x + k * stride), largest), log_sum), y + k * stride);
    }
  } else {
    for (std::int64_t k = 0; k < axis; ++k) {
      io.store(hn::Div(io.load(y + k * stride), sum), y + k * stride);
    }
  }
}

template <class D, class Io>
HWY_INLINE void gradient_columns(D d, const Io &io, bool is_log, const float *dy, const float *y,
                                 float *dx, std::int64_t axis, std::int64_t stride) {
  auto sum = hn::Zero(d);
  for (std::int64_t k = 0; k < axis; ++k) {
    const auto slope = io.load(dy + k * stride);
    sum = hn::Add(sum, is_log ? slope : hn::Mul(slope, io.load(y + k * stride)));
  }
  for (std::int64_t k = 0; k < axis; ++k) {
    const auto slope = io.load(dy + k * stride);
    const auto value = io.load(y + k * stride);
    const auto result = is_log ? hn::NegMulAdd(vector_exp(d, value), sum, slope)
                               : hn::Mul(value, hn::Sub(slope, sum));
    io.store(result, dx + k * stride);
  }
}

struct SoftmaxKernel {
  template <class D>
  static HWY_INLINE void rows(D d, const SoftmaxArgs &args) {
    const std::int64_t count = args.shape.axis;
    for (std::int64_t row = args.begin; row < args.end; ++row) {
      const float *x = args.x + row * count;
      float *y = args.y + row * count;
      switch (args.kind) {
        case SoftmaxKind::kSoftmax:
          softmax_row(d, x, y, count);
          break;
        case SoftmaxKind::kLogSoftmax:
          log_softmax_row(d, x, y, count);
          break;
        case SoftmaxKind::kSoftmaxGrad:
          softmax_grad_row(d, args.dy + row * count, x, y, count);
          break;
        case SoftmaxKind::kLogSoftmaxGrad:
          log_softmax_grad_row(d, args.dy + row * count, x, y, count);
          break;
      }
    }
  }

  template <class D>
  void operator()(D d, const SoftmaxArgs &args) const {
    const auto &shape = args.shape;
    if (shape.inner == 1) return rows(d, args);
    const std::int64_t chunks = (shape.inner + kSoftmaxChunk - 1) / kSoftmaxChunk;
    const bool is_log =
        args.kind == SoftmaxKind::kLogSoftmax || args.kind == SoftmaxKind::kLogSoftmaxGrad;
    for (std::int64_t item = args.begin; item < args.end; ++item) {
      const std::int64_t base = item / chunks * shape.axis * shape.inner;
      const std::int64_t begin = item % chunks * kSoftmaxChunk;
      const std::int64_t end =
          begin + kSoftmaxChunk < shape.inner ? begin + kSoftmaxChunk : shape.inner;
      for_each_vector(d, begin, end, [&](auto io, std::int64_t i) HWY_ATTR {
        const std::int64_t at = base + i;
        if (args.dy == nullptr) {
          forward_columns(d, io, is_log, args.x + at, args.y + at, shape.axis, shape.inner);
        } else {
          gradient_columns(d, io, is_log, args.dy + at, args.x + at, args.y + at, shape.axis,
                           shape.inner);
        }
      });
    }
  }
};

void softmax_range(const SoftmaxArgs &args) { at_vector_width<SoftmaxKernel>(args); }

}  // namespace HWY_NAMESPACE
}  // namespace batchwise::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace batchwise::cpu {
namespace {

HWY_EXPORT(softmax_range);

void run_softmax(SoftmaxKind kind, const SoftmaxShape &shape, const float *dy, const float *x,
                 float *y, ThreadPool *pool) {
  const bool is_row = shape.inner == 1;
  const std::int64_t chunks = is_row ? 1 : (shape.inner + kSoftmaxChunk - 1) / kSoftmaxChunk;
  const std::int64_t width = is_row ? 1 : std::min(shape.inner, kSoftmaxChunk);
  for_each_range(pool, shape.outer * chunks, shape.axis * width, 1,
                 [&](std::int64_t begin, std::int64_t end) {
                   HWY_DYNAMIC_DISPATCH(softmax_range)
                   ({kind, shape, dy, x, y, begin, end});
                 });
}

}  // namespace

void softmax(const SoftmaxShape &shape, const float *x, float *y, ThreadPool *pool) {
  run_softmax(SoftmaxKind::kSoftmax, shape, nullptr, x, y, pool);
}

void log_softmax(const SoftmaxShape &shape, const float *x, float *y, ThreadPool *pool) {
  run_softmax(SoftmaxKind::kLogSoftmax, shape, nullptr, x, y, pool);
}

void softmax_grad(const SoftmaxShape &shape, const float *dy, const float *y, float *dx,
                  ThreadPool *pool) {
  run_softmax(SoftmaxKind::kSoftmaxGrad, shape, dy, y, dx, pool);
}

void log_softmax_grad(const SoftmaxShape &shape, const float *dy, const float *y, float *dx,
                      ThreadPool *pool) {
  run_softmax(SoftmaxKind::kLogSoftmaxGrad, shape, dy, y, dx, pool);
}

}  // namespace batchwise::cpu
#endif  // HWY_ONCE
