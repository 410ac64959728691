// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/loss.h"

#include "backend/cpu/parallel_range.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/loss.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "backend/cpu/vector_lanes-inl.h"
#include "backend/cpu/vector_math-inl.h"

#ifndef BATCHWISE_BACKEND_CPU_LOSS_ARGS
#define BATCHWISE_BACKEND_CPU_LOSS_ARGS
namespace batchwise::cpu {
template <class Loss>
struct LossRange {
  const Loss &loss;
  std::int64_t begin, end;
};
}  // namespace batchwise::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu {
namespace HWY_NAMESPACE {

struct CrossEntropyKernel {
  template <class D>
  static HWY_INLINE void sample(D d, const CrossEntropy &args, std::int64_t row) {
    const std::int64_t count = args.classes;
    const float *x = args.logits + row * count;
    float *dx = args.dlogits == nullptr ? nullptr : args.dlogits + row * count;
    const std::int64_t label = args.labels[row];
    const float label_logit = x[label];
    const float max_logit = max_lanes(d, x, count, IgnoreNan());
    const auto largest = hn::Set(d, max_logit);
    const float sum = sum_lanes(d, count, [&](auto io, std::int64_t i) HWY_ATTR {
      const auto e = vector_exp(d, hn::Sub(io.load(x + i), largest));
      if (dx != nullptr) io.store(e, dx + i);
      return e;
    });
    if (args.loss != nullptr) {
      const float log_sum = hn::GetLane(vector_log(d, hn::Set(d, sum)));
      args.loss[row] = log_sum - (label_logit - max_logit);
    }
    if (dx == nullptr) return;
    const float scale = args.dloss == nullptr ? args.scale : args.scale * args.dloss[row];
    const auto divisor = hn::Set(d, sum);
    const auto factor = hn::Set(d, scale);
    const float at_label = (dx[label] / sum - 1.0f) * scale;
    for_each_vector(d, 0, count, [&](auto io, std::int64_t i) HWY_ATTR {
      io.store(hn::Mul(hn::Div(io.load(dx + i), divisor), factor), dx + i);
    });
    dx[label] = at_label;
  }

  template <class D>
  void operator()(D d, const LossRange<CrossEntropy> &range) const {
    for (std::int64_t row = range.begin; row < range.end; ++row) sample(d, range.loss, row);
  }
};

struct SquaredErrorKernel {
  template <class D>
  static HWY_INLINE void sample(D d, const SquaredError &args, std::int64_t row) {
    const std::int64_t count = args.elements;
    const float *p = args.prediction + row * count;
    const float *t = args.target + row * count;
    if (args.loss != nullptr) {
      const float sum = sum_lanes(d, count, [&](auto io, std::int64_t i) HWY_ATTR {
        const auto error = hn::Sub(io.load(p + i), io.load(t + i));
        return hn::Mul(error, error);
      });
      args.loss[row] = sum / static_cast<float>(count);
    }
    if (args.dprediction == nullptr) return;
    float *dp = args.dprediction + row * count;
    const float scale = args.dloss == nullptr ? args.scale : args.scale * args.dloss[row];
    const auto factor = hn::Set(d, 2.0f * scale / static_cast<float>(count));
    for_each_vector(d, 0, count, [&](auto io, std::int64_t i) HWY_ATTR {
      io.store(hn::Mul(hn::Sub(io.load(p + i), io.load(t + i)), factor), dp + i);
    });
  }

  template <class D>
  void operator()(D d, const LossRange<SquaredError> &range) const {
    for (std::int64_t row = range.begin; row < range.end; ++row) sample(d, range.loss, row);
  }
};

void cross_entropy_range(const LossRange<CrossEntropy> &range) {
  at_vector_width<CrossEntropyKernel>(range);
}
void squared_error_range(const LossRange<SquaredError> &range) {
  at_vector_width<SquaredErrorKernel>(range);
}

}  // namespace HWY_NAMESPACE
}  // namespace batchwise::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace batchwise::cpu {

HWY_EXPORT(cross_entropy_range);
HWY_EXPORT(squared_error_range);

std::int64_t softmax_cross_entropy(const CrossEntropy &args, ThreadPool *pool) {
  for (std::int64_t row = 0; row < args.samples; ++row) {
    if (args.labels[row] < 0 || args.labels[row] >= args.classes) return row;
  }
  for_each_range(pool, args.samples, args.classes, 1, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(cross_entropy_range)({args, begin, end});
  });
  return -1;
}

void mean_squared_error(const SquaredError &args, ThreadPool *pool) {
  for_each_range(pool, args.samples, args.elements, 1, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(squared_error_range)({args, begin, end});
  });
}

}  // namespace batchwise::cpu
#endif  // HWY_ONCE
