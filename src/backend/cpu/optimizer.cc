// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/optimizer.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "backend/cpu/parallel_range.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "backend/cpu/optimizer.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "backend/cpu/vector_lanes-inl.h"

#ifndef BATCHWISE_BACKEND_CPU_OPTIMIZER_ARGS
#define BATCHWISE_BACKEND_CPU_OPTIMIZER_ARGS
namespace batchwise::cpu {
struct SgdArgs {
  Sgd sgd;
  const float* gradient;
  float* parameter;
  float* velocity;
  std::int64_t begin, end;
};

struct AdamArgs {
  Adam adam;
  float rate;        // divided by the first moment's correction
  float correction;  // of the root of the second moment
  const float* gradient;
  float* parameter;
  float* mean;
  float* square;
  std::int64_t begin, end;
};

// The sums of squares of blocks [begin, end), each of block_size elements.
struct SquaresArgs {
  const float* x;
  std::int64_t count, block_size;
  double* sums;
  std::int64_t begin, end;
};
}  // namespace batchwise::cpu
#endif

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu {
namespace HWY_NAMESPACE {

struct SgdKernel {
  template <class D>
  void operator()(D d, const SgdArgs& args) const {
    const auto rate = hn::Set(d, args.sgd.rate);
    const auto multiplier = hn::Set(d, args.sgd.multiplier);
    const auto momentum = hn::Set(d, args.sgd.momentum);
    const auto decay = hn::Set(d, args.sgd.weight_decay);
    const bool nesterov = args.sgd.nesterov;
    for_each_vector(d, args.begin, args.end, [&](auto io, std::int64_t i) HWY_ATTR {
      const auto parameter = io.load(args.parameter + i);
      const auto scaled = hn::Mul(io.load(args.gradient + i), multiplier);
      const auto gradient = hn::MulAdd(decay, parameter, scaled);
      auto step = gradient;
      if (args.velocity != nullptr) {
        const auto velocity = hn::MulAdd(momentum, io.load(args.velocity + i), gradient);
        io.store(velocity, args.velocity + i);
        step = nesterov ? hn::MulAdd(momentum, velocity, gradient) : velocity;
      }
      io.store(hn::NegMulAdd(rate, step, parameter), args.parameter + i);
    });
  }
};

struct AdamKernel {
  template <class D>
  void operator()(D d, const AdamArgs& args) const {
    const Adam& adam = args.adam;
    const auto rate = hn::Set(d, args.rate);
    const auto correction = hn::Set(d, args.correction);
    const auto epsilon = hn::Set(d, adam.epsilon);
    const auto multiplier = hn::Set(d, adam.multiplier);
    const auto decay = hn::Set(d, adam.decoupled ? 0.0f : adam.weight_decay);
    const auto keep = hn::Set(d, adam.decoupled ? 1.0f - adam.rate * adam.weight_decay : 1.0f);
    const auto keep1 = hn::Set(d, static_cast<float>(adam.beta1));
    const auto take1 = hn::Set(d, static_cast<float>(1.0 - adam.beta1));
    const auto keep2 = hn::Set(d, static_cast<float>(adam.beta2));
    const auto take2 = hn::Set(d, static_cast<float>(1.0 - adam.beta2));
    for_each_vector(d, args.begin, args.end, [&](auto io, std::int64_t i) HWY_ATTR {
      const auto parameter = io.load(args.parameter + i);
      const auto scaled = hn::Mul(io.load(args.gradient + i), multiplier);
      const auto gradient = hn::MulAdd(decay, parameter, scaled);
      const auto mean = hn::MulAdd(take1, gradient, hn::Mul(keep1, io.load(args.mean + i)));
      const auto square =
          hn::MulAdd(hn::Mul(take2, gradient), gradient, hn::Mul(keep2, io.load(args.square + i)));
      io.store(mean, args.mean + i);
      io.store(square, args.square + i);
      const auto divisor = hn::Add(hn::Div(hn::Sqrt(square), correction), epsilon);
      const auto step = hn::Div(hn::Mul(rate, mean), divisor);
      io.store(hn::Sub(hn::Mul(parameter, keep), step), args.parameter + i);
    });
  }
};

struct SquaresKernel {
  template <class D>
  static HWY_INLINE double sum_block(D d, const float* x, std::int64_t count) {
    const hn::Half<D> half;
    const hn::Rebind<double, hn::Half<D>> dd;
    constexpr std::int64_t kLanes = hn::MaxLanes(D());
    constexpr int kVectors = static_cast<int>(kVirtualLanes / kLanes);
    hn::Vec<decltype(dd)> low[kVectors], high[kVectors];
    for (int v = 0; v < kVectors; ++v) low[v] = high[v] = hn::Zero(dd);
    const auto add = [&](int v, hn::Vec<D> term) HWY_ATTR {
      const auto first = hn::PromoteTo(dd, hn::LowerHalf(half, term));
      const auto second = hn::PromoteTo(dd, hn::UpperHalf(half, term));
      low[v] = hn::MulAdd(first, first, low[v]);
      high[v] = hn::MulAdd(second, second, high[v]);
    };
    std::int64_t i = 0;
    for (; i + kVirtualLanes <= count; i += kVirtualLanes) {
      for (int v = 0; v < kVectors; ++v) add(v, hn::LoadU(d, x + i + v * kLanes));
    }
    for (int v = 0; v < kVectors && i < count; ++v, i += kLanes) {
      const std::int64_t rest = count - i < kLanes ? count - i : kLanes;
      add(v, PartVector<D>{static_cast<std::size_t>(rest)}.load(x + i));
    }
    HWY_ALIGN double lane[kVirtualLanes];
    for (int v = 0; v < kVectors; ++v) {
      hn::Store(low[v], dd, lane + v * kLanes);
      hn::Store(high[v], dd, lane + v * kLanes + kLanes / 2);
    }
    for (int middle = kVirtualLanes / 2; middle > 0; middle /= 2) {
      for (int j = 0; j < middle; ++j) lane[j] += lane[j + middle];
    }
    return lane[0];
  }

  template <class D>
  void operator()(D d, const SquaresArgs& args) const {
    for (std::int64_t block = args.begin; block < args.end; ++block) {
      const std::int64_t first = std::min(args.count, block * args.block_size);
      const std::int64_t last = std::min(args.count, first + args.block_size);
      args.sums[block] = sum_block(d, args.x + first, last - first);
    }
  }
};

void sgd_range(const SgdArgs& args) { at_vector_width<SgdKernel>(args); }
void adam_range(const AdamArgs& args) { at_vector_width<AdamKernel>(args); }
void squares_range(const SquaresArgs& args) { at_vector_width<SquaresKernel>(args); }

}  // namespace HWY_NAMESPACE
}  // namespace batchwise::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace batchwise::cpu {

HWY_EXPORT(sgd_range);
HWY_EXPORT(adam_range);
HWY_EXPORT(squares_range);

void sgd_update(const Sgd& sgd, std::int64_t count, const float* gradient, float* parameter,
                float* velocity, ThreadPool* pool) {
  for_each_range(pool, count, 1, kRangeUnit, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(sgd_range)({sgd, gradient, parameter, velocity, begin, end});
  });
}

void adam_update(const Adam& adam, std::int64_t count, const float* gradient, float* parameter,
                 float* mean, float* square, ThreadPool* pool) {
  const double time = static_cast<double>(adam.step);
  const auto rate =
      static_cast<float>(static_cast<double>(adam.rate) / (1.0 - std::pow(adam.beta1, time)));
  const auto correction = static_cast<float>(std::sqrt(1.0 - std::pow(adam.beta2, time)));
  for_each_range(pool, count, 2, kRangeUnit, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(adam_range)
    ({adam, rate, correction, gradient, parameter, mean, square, begin, end});
  });
}

double sum_of_squares(const float* x, std::int64_t count, ThreadPool* pool) {
  constexpr std::int64_t kBlocks = 64;
  std::array<double, kBlocks> sums{};
  const std::int64_t least = 4096;
  const std::int64_t size = std::max(least, (count / kBlocks / kRangeUnit + 1) * kRangeUnit);
  const std::int64_t blocks = (count + size - 1) / size;
  for_each_range(pool, blocks, size, 1, [&](std::int64_t begin, std::int64_t end) {
    HWY_DYNAMIC_DISPATCH(squares_range)({x, count, size, sums.data(), begin, end});
  });
  double sum = 0;
  for (std::int64_t block = 0; block < blocks; ++block) {
    sum += sums[static_cast<std::size_t>(block)];
  }
  return sum;
}

}  // namespace batchwise::cpu
#endif  // HWY_ONCE
