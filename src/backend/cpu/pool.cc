// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/pool.h"

#include <algorithm>

#include "backend/cpu/pool_kernels.h"

namespace batchwise::cpu {
namespace {

// The taps of a window along one axis that lie inside the input, and those that a divisor counts.
struct AxisWindow {
  std::int64_t first, count, counted;
};
AxisWindow axis_window(std::int64_t begin, std::int64_t kernel, std::int64_t dilation,
                       std::int64_t size, std::int64_t pad_end) {
  const auto taps_below = [&](std::int64_t bound) {
    return std::clamp<std::int64_t>((bound - begin + dilation - 1) / dilation, 0, kernel);
  };
  const std::int64_t skipped = begin >= 0 ? 0 : taps_below(0);
  const std::int64_t end = size > begin ? taps_below(size) : 0;
  const std::int64_t counted = size + pad_end > begin ? taps_below(size + pad_end) : 0;
  return {begin + skipped * dilation, std::max<std::int64_t>(end - skipped, 0), counted};
}

class Windows {
 public:
  explicit Windows(const PoolShape& shape) : s_(shape) {}

  AxisWindow row(std::int64_t i) const {
    return axis_window(i * s_.stride_h - s_.pad_top, s_.kernel_h, s_.dilation_h, s_.in_height,
                       s_.pad_bottom);
  }
  PoolWindow window(const AxisWindow& row, std::int64_t j) const {
    const AxisWindow column = axis_window(j * s_.stride_w - s_.pad_left, s_.kernel_w, s_.dilation_w,
                                          s_.in_width, s_.pad_right);
    const std::int64_t inside = row.count * column.count;
    const std::int64_t divisor = s_.count_include_pad ? row.counted * column.counted : inside;
    PoolWindow window{};
    window.first = (row.first * s_.in_width + column.first) * s_.channels;
    window.rows = column.count > 0 ? row.count : 0;
    window.columns = column.count;
    window.divisor = static_cast<float>(std::max<std::int64_t>(divisor, 1));
    return window;
  }
  PoolSteps steps(std::int64_t channels) const {
    return {s_.dilation_h * s_.in_width * s_.channels, s_.dilation_w * s_.channels,
            s_.stride_w * s_.channels, s_.channels, channels};
  }
  // How many windows of a row from the j-th on are like it, with all their columns inside; 1 where
  // it is not.
  std::int64_t equal_windows(std::int64_t j) const {
    const std::int64_t first = j * s_.stride_w - s_.pad_left;
    const std::int64_t room = s_.in_width - 1 - (s_.kernel_w - 1) * s_.dilation_w - first;
    if (first < 0 || room < 0) return 1;
    return std::min(room / s_.stride_w + 1, s_.out_width - j);
  }

 private:
  const PoolShape& s_;
};

// Windows that cover every position once, so that a gradient need not be added.
bool covers_once(const PoolShape& s) {
  const bool unpadded = s.pad_top == 0 && s.pad_left == 0;
  const bool dense = s.dilation_h == 1 && s.dilation_w == 1;
  return unpadded && dense && s.kernel_h == s.stride_h && s.kernel_w == s.stride_w &&
         s.out_height * s.stride_h >= s.in_height && s.out_width * s.stride_w >= s.in_width;
}

// Cuts `rows` independent rows, and their channels where rows are few, into items for the threads:
// body(row, first channel, channels).
template <class Body>
void for_each_item(std::int64_t rows, std::int64_t channels, ThreadPool& pool, const Body& body) {
  const std::int64_t pieces =
      rows >= 4 * pool.threads() ? 1 : std::min<std::int64_t>(8, (channels + 15) / 16);
  pool.run([&](int part) {
    const PartRange items = part_range(rows * pieces, part, pool.threads());
    for (std::int64_t item = items.begin; item < items.end; ++item) {
      const PartRange range =
          part_range(channels, static_cast<int>(item % pieces), static_cast<int>(pieces), 16);
      if (range.begin < range.end) body(item / pieces, range.begin, range.end - range.begin);
    }
  });
}

// Calls body(window, steps, equal windows that follow, sample's first float in x, window's first
// float in y) for all windows, those of one row by one thread.
template <class Body>
void for_each_window(const PoolShape& s, ThreadPool& pool, const Body& body) {
  const Windows windows(s);
  for_each_item(s.batch * s.out_height, s.channels, pool,
                [&](std::int64_t item, std::int64_t first, std::int64_t channels) {
                  const PoolSteps steps = windows.steps(channels);
                  const AxisWindow row = windows.row(item % s.out_height);
                  const std::int64_t sample =
                      item / s.out_height * s.in_height * s.in_width * s.channels + first;
                  std::int64_t y = item * s.out_width * s.channels + first;
                  for (std::int64_t j = 0; j < s.out_width;) {
                    const std::int64_t count = windows.equal_windows(j);
                    body(windows.window(row, j), steps, count, sample, y);
                    j += count;
                    y += count * s.channels;
                  }
                });
}

// The same with all windows of a sample, in order, by one thread, behind clearing dx where windows
// do not cover every position once.
template <class Body>
void for_each_gradient_window(const PoolShape& s, float* dx, ThreadPool& pool, const Body& body) {
  const Windows windows(s);
  const bool add = !covers_once(s);
  const std::int64_t positions = s.in_height * s.in_width;
  for_each_item(s.batch, s.channels, pool,
                [&](std::int64_t n, std::int64_t first, std::int64_t channels) {
                  const std::int64_t sample = n * positions * s.channels + first;
                  for (std::int64_t p = 0; add && p < positions; ++p) {
                    std::fill_n(dx + sample + p * s.channels, channels, 0.0f);
                  }
                  const PoolSteps steps = windows.steps(channels);
                  std::int64_t y = n * s.out_height * s.out_width * s.channels + first;
                  for (std::int64_t i = 0; i < s.out_height; ++i) {
                    const AxisWindow row = windows.row(i);
                    for (std::int64_t j = 0; j < s.out_width; ++j, y += s.channels) {
                      body(windows.window(row, j), steps, sample, y, add);
                    }
                  }
                });
}

}  // namespace

PoolShape global_pool_shape(std::int64_t batch, std::int64_t channels, std::int64_t height,
                            std::int64_t width) {
  PoolShape shape;
  shape.batch = batch;
  shape.channels = channels;
  shape.in_height = shape.kernel_h = shape.stride_h = height;
  shape.in_width = shape.kernel_w = shape.stride_w = width;
  return shape;
}

void max_pool(const PoolShape& shape, const float* x, float* y, ThreadPool& pool) {
  const PoolKernels& kernels = pool_kernels();
  for_each_window(
      shape, pool,
      [&](const PoolWindow& window, const PoolSteps& steps, std::int64_t count, std::int64_t sample,
          std::int64_t at) { kernels.max(window, steps, count, x + sample, y + at); });
}

void average_pool(const PoolShape& shape, const float* x, float* y, ThreadPool& pool) {
  const PoolKernels& kernels = pool_kernels();
  for_each_window(
      shape, pool,
      [&](const PoolWindow& window, const PoolSteps& steps, std::int64_t count, std::int64_t sample,
          std::int64_t at) { kernels.average(window, steps, count, x + sample, y + at); });
}

void max_pool_gradient(const PoolShape& shape, const float* dy, const float* x, const float* y,
                       float* dx, ThreadPool& pool) {
  const PoolKernels& kernels = pool_kernels();
  for_each_gradient_window(shape, dx, pool,
                           [&](const PoolWindow& window, const PoolSteps& steps,
                               std::int64_t sample, std::int64_t at, bool add) {
                             kernels.max_gradient(window, steps, dy + at, x + sample, y + at,
                                                  dx + sample, add);
                           });
}

void average_pool_gradient(const PoolShape& shape, const float* dy, float* dx, ThreadPool& pool) {
  const PoolKernels& kernels = pool_kernels();
  for_each_gradient_window(
      shape, dx, pool,
      [&](const PoolWindow& window, const PoolSteps& steps, std::int64_t sample, std::int64_t at,
          bool add) { kernels.average_gradient(window, steps, dy + at, dx + sample, add); });
}

}  // namespace batchwise::cpu
