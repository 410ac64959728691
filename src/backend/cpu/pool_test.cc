// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/pool.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "backend/cpu/dense_law_test.h"

namespace batchwise::cpu {
namespace {

struct PoolCase {
  const char* name;
  PoolShape shape;
};

PoolShape make_pool(std::int64_t channels, std::int64_t height, std::int64_t width,
                    std::int64_t kernel, std::int64_t stride, std::int64_t pad_begin = 0,
                    std::int64_t pad_end = 0, std::int64_t dilation = 1, bool ceil = false,
                    bool include_pad = false) {
  PoolShape s;
  s.batch = 3;
  s.channels = channels;
  s.in_height = height;
  s.in_width = width;
  s.kernel_h = s.kernel_w = kernel;
  s.stride_h = s.stride_w = stride;
  s.dilation_h = s.dilation_w = dilation;
  s.pad_top = s.pad_left = pad_begin;
  s.pad_bottom = s.pad_right = pad_end;
  s.count_include_pad = include_pad;
  const auto out = [&](std::int64_t size) {
    const std::int64_t room = size + pad_begin + pad_end - (kernel - 1) * dilation - 1;
    return (ceil ? room + stride - 1 : room) / stride + 1;
  };
  s.out_height = out(height);
  s.out_width = out(width);
  return s;
}

std::vector<PoolCase> pool_cases() {
  PoolShape line = make_pool(33, 1, 20, 3, 2, 1, 1);
  line.kernel_h = line.stride_h = line.out_height = 1;
  line.pad_top = line.pad_bottom = 0;
  return {{"2x2", make_pool(32, 8, 10, 2, 2)},
          {"2x2 with a row left over", make_pool(17, 7, 9, 2, 2)},
          {"3x3 overlapping", make_pool(21, 8, 9, 3, 2, 1, 1)},
          {"3x3 of stride 1", make_pool(64, 6, 6, 3, 1, 1, 1)},
          {"one-sided pads", make_pool(7, 8, 8, 3, 2, 0, 1)},
          {"ceil mode", make_pool(20, 8, 10, 3, 2, 0, 0, 1, true)},
          {"ceil mode, padding counts", make_pool(20, 8, 10, 3, 2, 1, 1, 1, true, true)},
          {"padding counts", make_pool(20, 8, 10, 3, 2, 1, 1, 1, false, true)},
          {"dilation", make_pool(19, 9, 9, 3, 1, 2, 2, 2)},
          {"stride beyond the kernel", make_pool(19, 9, 9, 2, 3)},
          {"one dimension", line},
          {"global", global_pool_shape(3, 100, 7, 7)},
          {"global over many positions", global_pool_shape(3, 9, 30, 31)}};
}

// Calls f(window's index in y, index in x) for each tap inside the input.
template <typename F>
void for_each_tap(const PoolShape& s, const F& f) {
  for (std::int64_t n = 0; n < s.batch; ++n)
    for (std::int64_t oh = 0; oh < s.out_height; ++oh)
      for (std::int64_t ow = 0; ow < s.out_width; ++ow)
        for (std::int64_t kh = 0; kh < s.kernel_h; ++kh)
          for (std::int64_t kw = 0; kw < s.kernel_w; ++kw) {
            const std::int64_t ih = oh * s.stride_h + kh * s.dilation_h - s.pad_top;
            const std::int64_t iw = ow * s.stride_w + kw * s.dilation_w - s.pad_left;
            if (ih < 0 || ih >= s.in_height || iw < 0 || iw >= s.in_width) continue;
            for (std::int64_t c = 0; c < s.channels; ++c) {
              f(((n * s.out_height + oh) * s.out_width + ow) * s.channels + c,
                ((n * s.in_height + ih) * s.in_width + iw) * s.channels + c);
            }
          }
}

std::int64_t y_size(const PoolShape& s) {
  return s.batch * s.out_height * s.out_width * s.channels;
}
std::int64_t x_size(const PoolShape& s) { return s.batch * s.in_height * s.in_width * s.channels; }

// By what each window is divided.
std::vector<float> divisors(const PoolShape& s) {
  std::vector<float> counts(static_cast<std::size_t>(y_size(s)), 0.0f);
  if (!s.count_include_pad) {
    for_each_tap(s, [&](std::int64_t y, std::int64_t) { ++counts[static_cast<std::size_t>(y)]; });
    return counts;
  }
  // Padding as input: the taps of a larger, unpadded input.
  PoolShape padded = s;
  padded.in_height += s.pad_top + s.pad_bottom;
  padded.in_width += s.pad_left + s.pad_right;
  padded.pad_top = padded.pad_left = padded.pad_bottom = padded.pad_right = 0;
  for_each_tap(padded,
               [&](std::int64_t y, std::int64_t) { ++counts[static_cast<std::size_t>(y)]; });
  return counts;
}

GuardedFloats filled(std::int64_t count, std::uint64_t seed) {
  GuardedFloats floats(count);
  fill_random(floats, seed);
  return floats;
}

// Runs f(pool, what) for every instruction set and several numbers of threads.
template <typename F>
void everywhere(const char* name, const F& f) {
  for (Isa isa : usable_isas()) {
    const IsaCap cap(isa);
    for (int threads : {1, 2, 4}) {
      ThreadPool pool(threads);
      f(pool, std::string(name) + " " + std::string(isa_name(isa)) + " " + std::to_string(threads));
    }
  }
}

void expect_same(const GuardedFloats& values, const std::vector<float>& expected,
                 const std::string& what) {
  EXPECT_TRUE(values.guards_are_whole()) << what;
  for (std::int64_t i = 0; i < values.size(); ++i) {
    const float wanted = expected[static_cast<std::size_t>(i)];
    if (std::isnan(wanted) && std::isnan(values.data()[i])) continue;
    ASSERT_EQ(values.data()[i], wanted) << what << " at " << i;
  }
}

TEST(Pool, MaxAndItsGradientFollowThePlainLoops) {
  for (const auto& [name, s] : pool_cases()) {
    auto x = filled(x_size(s), 1);
    x[3] = std::numeric_limits<float>::quiet_NaN();
    x[x.size() - 1] = std::numeric_limits<float>::infinity();
    for (std::int64_t i = 40; i < std::min<std::int64_t>(x.size(), 200); ++i) x[i] = 1.0f;  // ties
    const auto dy = filled(y_size(s), 2);
    std::vector<std::int64_t> found(static_cast<std::size_t>(y_size(s)), -1);
    for_each_tap(s, [&](std::int64_t yi, std::int64_t xi) {
      std::int64_t& best = found[static_cast<std::size_t>(yi)];
      if (best < 0 || x[xi] > x[best] || (std::isnan(x[xi]) && !std::isnan(x[best]))) best = xi;
    });
    std::vector<float> y(found.size()), dx(static_cast<std::size_t>(x.size()), 0.0f);
    for (std::size_t i = 0; i < found.size(); ++i) {
      y[i] = found[i] < 0 ? -std::numeric_limits<float>::infinity() : x[found[i]];
      if (found[i] >= 0) {
        dx[static_cast<std::size_t>(found[i])] += dy.data()[static_cast<std::int64_t>(i)];
      }
    }
    everywhere(name, [&, &s = s](ThreadPool& pool, const std::string& what) {
      GuardedFloats our_y(y_size(s)), our_dx(x_size(s));
      max_pool(s, x.data(), our_y.data(), pool);
      max_pool_gradient(s, dy.data(), x.data(), our_y.data(), our_dx.data(), pool);
      expect_same(our_y, y, what);
      expect_same(our_dx, dx, what);
    });
  }
}

TEST(Pool, AverageAndItsGradientFollowThePlainLoops) {
  for (const auto& [name, s] : pool_cases()) {
    const auto x = filled(x_size(s), 3);
    const auto dy = filled(y_size(s), 4);
    const auto divisor = divisors(s);
    std::vector<float> block(divisor.size(), 0.0f), total(block);
    std::vector<std::int64_t> taps(divisor.size(), 0);
    std::vector<float> dx(static_cast<std::size_t>(x.size()), 0.0f);
    for_each_tap(s, [&](std::int64_t yi, std::int64_t xi) {
      const auto i = static_cast<std::size_t>(yi);
      block[i] += x.data()[xi];
      if (++taps[i] % 256 == 0) {
        total[i] += block[i];
        block[i] = 0;
      }
      dx[static_cast<std::size_t>(xi)] += dy.data()[yi] / divisor[i];
    });
    std::vector<float> y(divisor.size());
    for (std::size_t i = 0; i < y.size(); ++i) {
      y[i] = (total[i] + block[i]) / std::max(divisor[i], 1.0f);
    }
    everywhere(name, [&, &s = s](ThreadPool& pool, const std::string& what) {
      GuardedFloats our_y(y_size(s)), our_dx(x_size(s));
      average_pool(s, x.data(), our_y.data(), pool);
      average_pool_gradient(s, dy.data(), our_dx.data(), pool);
      expect_same(our_y, y, what);
      expect_same(our_dx, dx, what);
    });
  }
}

// Rounding, not order: an average over 930 positions is close to the exact one.
TEST(Pool, GlobalAverageIsAccurate) {
  const PoolShape s = global_pool_shape(1, 5, 30, 31);
  const auto x = filled(x_size(s), 5);
  GuardedFloats y(5);
  ThreadPool pool(2);
  average_pool(s, x.data(), y.data(), pool);
  for (std::int64_t c = 0; c < 5; ++c) {
    double sum = 0;
    for (std::int64_t p = 0; p < 930; ++p) sum += x.data()[p * 5 + c];
    EXPECT_NEAR(y[c], sum / 930, 1e-6);
  }
}

TEST(Pool, SamplesHaveTheBitsOfBatchOne) {
  ThreadPool pool(2);
  PoolShape s = make_pool(21, 8, 9, 3, 2, 1, 1);
  s.batch = 33;
  const auto x = filled(x_size(s), 6);
  const auto dy = filled(y_size(s), 7);
  PoolShape one = s;
  one.batch = 1;
  GuardedFloats y(y_size(s)), dx(x_size(s));
  for (std::int64_t n = 0; n < 33; ++n) {
    average_pool(one, x.data() + n * x_size(one), y.data() + n * y_size(one), pool);
    average_pool_gradient(one, dy.data() + n * y_size(one), dx.data() + n * x_size(one), pool);
  }
  for (std::int64_t batch = 1; batch <= 33; ++batch) {
    PoolShape part = s;
    part.batch = batch;
    GuardedFloats part_y(y_size(part)), part_dx(x_size(part));
    average_pool(part, x.data(), part_y.data(), pool);
    average_pool_gradient(part, dy.data(), part_dx.data(), pool);
    EXPECT_EQ(std::memcmp(part_y.data(), y.data(), sizeof(float) * part_y.size()), 0);
    EXPECT_EQ(std::memcmp(part_dx.data(), dx.data(), sizeof(float) * part_dx.size()), 0);
  }
}

}  // namespace
}  // namespace batchwise::cpu
