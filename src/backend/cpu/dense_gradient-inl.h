// SPDX-License-Identifier: Apache-2.0
// The weight gradient: the paths to it by the number of samples and columns, how X and dY are
// packed for its tiles, and what each thread computes.
#if defined(BATCHWISE_BACKEND_CPU_DENSE_GRADIENT_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef BATCHWISE_BACKEND_CPU_DENSE_GRADIENT_INL_H_
#undef BATCHWISE_BACKEND_CPU_DENSE_GRADIENT_INL_H_
#else
#define BATCHWISE_BACKEND_CPU_DENSE_GRADIENT_INL_H_
#endif

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "backend/cpu/dense_gradient_few-inl.h"
#include "backend/cpu/dense_gradient_layout.h"
#include "backend/cpu/dense_gradient_tile-inl.h"
#include "backend/cpu/dense_narrow-inl.h"
#include "backend/cpu/dense_tile-inl.h"

HWY_BEFORE_NAMESPACE();
namespace batchwise::cpu::HWY_NAMESPACE {

// Panels of dY, [panel][sample][16], padded with zeros.
inline void pack_dy(const WeightGradientJob& job, std::int64_t sample, std::int64_t samples,
                    std::int64_t column, std::int64_t column_end, float* packed) {
  for (; column < column_end; column += kPanelColumns) {
    const std::int64_t columns = std::min(kPanelColumns, job.n - column);
    const float* from = job.dy + sample * job.dy_stride + column;
    float* to = packed + column * samples;
    for (std::int64_t s = 0; s < samples; ++s, from += job.dy_stride, to += kPanelColumns) {
      if (columns == kPanelColumns) {
        std::memcpy(to, from, kPanelColumns * sizeof(float));
      } else {
        for (std::int64_t i = 0; i < kPanelColumns; ++i) to[i] = i < columns ? from[i] : 0.0f;
      }
    }
  }
}

// Strips of X, [strip][sample][rows of the strip].
template <class D>
void pack_x(const WeightGradientJob& job, std::int64_t sample, std::int64_t samples,
            std::int64_t row, std::int64_t row_end, float* packed) {
  while (row < row_end) {
    const std::int64_t rows = std::min<std::int64_t>(kStripRows<D>, row_end - row);
    const float* from = job.x + sample * job.x_stride + row;
    for (std::int64_t s = 0; s < samples; ++s, from += job.x_stride, packed += rows) {
      if (rows == kStripRows<D>) {
        std::memcpy(packed, from, kStripRows<D> * sizeof(float));
      } else {
        for (std::int64_t i = 0; i < rows; ++i) packed[i] = from[i];
      }
    }
    row += rows;
  }
}

template <class D>
class GradientBlock {
 public:
  GradientBlock(const WeightGradientJob& job, std::int64_t sample, std::int64_t samples,
                const float* packed_dy)
      : job_(job), sample_(sample), samples_(samples), packed_dy_(packed_dy) {}

  // Rows [row, row_end) of dW, a block of strips at a time.
  void run(std::int64_t row, std::int64_t row_end, float* strips) const {
    while (row < row_end) {
      const std::int64_t end = std::min(row + kGradientRowBlock, row_end);
      pack_x<D>(job_, sample_, samples_, row, end, strips);
      // As many panels as stay in the second cache pass under all strips of the block.
      const std::int64_t floats = 48 * 1024;
      const std::int64_t columns =
          std::max<std::int64_t>(floats / samples_ / kTileColumns, 1) * kTileColumns;
      for (std::int64_t column = 0; column < job_.n; column += columns) {
        run_columns(row, end, column, std::min(column + columns, job_.n), strips);
      }
      row = end;
    }
  }

  // Columns [column, column_end), with strips of X that are packed already.
  void run_columns(std::int64_t row, std::int64_t row_end, std::int64_t column,
                   std::int64_t column_end, const float* packed_x) const {
    Strip strip;
    strip.samples = samples_;
    strip.dy = packed_dy_ + column * samples_;
    strip.dw_stride = job_.dw_stride;
    strip.columns = column_end - column;
    const bool accumulate = job_.accumulate || sample_ > 0;
    const auto& table = accumulate ? kStripTable<Rows::kStrip, true, D, kGradientVectors<D>>
                                   : kStripTable<Rows::kStrip, false, D, kGradientVectors<D>>;
    while (row < row_end) {
      const std::int64_t rows = std::min<std::int64_t>(kStripRows<D>, row_end - row);
      strip.x = packed_x;
      strip.x_stride = rows;
      strip.dw = job_.dw + row * job_.dw_stride + column;
      table[static_cast<std::size_t>(rows)](strip);
      packed_x += rows * samples_;
      row += rows;
    }
  }

 private:
  static constexpr std::int64_t kTileColumns =
      std::max<std::int64_t>(kGradientVectors<D> * kLanes<D>, kPanelColumns);

  const WeightGradientJob& job_;
  const std::int64_t sample_, samples_;
  const float* packed_dy_;
};

// to[j][i] = from[i][j]; four by four, the last four again where they are not four.
HWY_NOINLINE inline void transpose(const float* from, std::int64_t from_stride, std::int64_t rows,
                                   std::int64_t columns, float* to, std::int64_t to_stride) {
  if (rows < 4 || columns < 4) {
    for (std::int64_t i = 0; i < rows; ++i) {
      for (std::int64_t j = 0; j < columns; ++j) to[j * to_stride + i] = from[i * from_stride + j];
    }
    return;
  }
  const hn::CappedTag<float, 4> d;
  for (std::int64_t row = 0; row < rows; row += 4) {
    const std::int64_t i = std::min(row, rows - 4);
    for (std::int64_t column = 0; column < columns; column += 4) {
      const std::int64_t j = std::min(column, columns - 4);
      hn::Vec<decltype(d)> part[4];
      load_transposed(d, from + i * from_stride + j, from_stride, part);
      float* out = to + j * to_stride + i;
      hn::StoreU(part[0], d, out);
      hn::StoreU(part[1], d, out + to_stride);
      hn::StoreU(part[2], d, out + 2 * to_stride);
      hn::StoreU(part[3], d, out + 3 * to_stride);
    }
  }
}

// dW of few columns is computed as its transpose [n][k]: vectors along k are full, and the sums are
// the same. Rows [row, row_end) of dW.
template <class D>
void narrow_gradient_rows(const WeightGradientJob& job, std::int64_t row, std::int64_t row_end,
                          const NarrowGradientLayout& layout, float* scratch) {
  const std::int64_t rows = row_end - row;
  const std::int64_t stride = narrow_gradient_stride(rows);
  float* transposed = scratch;
  float* strips = transposed + layout.transpose_floats;
  float* panels = strips + layout.strip_floats;
  float* const dw = job.dw + row * job.dw_stride;
  if (job.accumulate) transpose(dw, job.dw_stride, rows, job.n, transposed, stride);
  const WeightGradientJob swapped{job.m,       job.n,        rows,       job.dy, job.dy_stride,
                                  job.x + row, job.x_stride, transposed, stride, job.accumulate};
  for (std::int64_t sample = 0; sample < job.m; sample += kNarrowSamples) {
    const std::int64_t samples = std::min(kNarrowSamples, job.m - sample);
    pack_x<D>(swapped, sample, samples, 0, job.n, strips);
    for (std::int64_t column = 0; column < rows; column += kNarrowColumns) {
      const std::int64_t end = std::min(column + kNarrowColumns, rows);
      float* const first_panel = panels - column * samples;
      pack_dy(swapped, sample, samples, column, end, first_panel);
      GradientBlock<D>(swapped, sample, samples, first_panel)
          .run_columns(0, job.n, column, end, strips);
    }
  }
  transpose(transposed, stride, job.n, rows, dw, job.dw_stride);
}

// Threads split the rows of dW; panels of dY are packed once for all of them.
template <class D>
void weight_gradient_with(const WeightGradientJob& job, ThreadPool& pool, float* scratch) {
  const bool alone = is_for_one_thread(job.m, job.k, job.n);
  const int threads = alone ? 1 : pool.threads();
  const auto run = [&](auto&& body) {
    if (alone) {
      body(0);
    } else {
      pool.run(body);
    }
  };
  const GradientPath path = choose_gradient_path(job.m, job.n);
  if (path == GradientPath::kFewSamples) {
    return run([&](int part) {
      const PartRange rows = part_range(job.k, part, threads);
      if (job.accumulate) {
        add_few_samples_by_count<true>(D(), job, rows.begin, rows.end);
      } else {
        add_few_samples_by_count<false>(D(), job, rows.begin, rows.end);
      }
    });
  }
  if (path == GradientPath::kNarrow) {
    const NarrowGradientLayout layout(job.k, job.n, threads);
    return run([&](int part) {
      const PartRange rows = part_range(job.k, part, threads, kPanelColumns);
      float* own = scratch + part * layout.part_floats;
      if (rows.begin < rows.end) {
        narrow_gradient_rows<D>(job, rows.begin, rows.end, layout, own);
      }
    });
  }
  const GradientLayout layout(job.m, job.n);
  for (std::int64_t sample = 0; sample < job.m; sample += layout.block_samples) {
    const std::int64_t samples = std::min(layout.block_samples, job.m - sample);
    run([&](int part) {
      const PartRange columns = part_range(job.n, part, threads, kPanelColumns);
      pack_dy(job, sample, samples, columns.begin, columns.end, scratch);
    });
    run([&](int part) {
      const PartRange rows = part_range(job.k, part, threads, kStripRows<D>);
      float* strips = scratch + layout.panel_floats + part * layout.strip_floats;
      GradientBlock<D>(job, sample, samples, scratch).run(rows.begin, rows.end, strips);
    });
  }
}

template <class D>
HWY_NOINLINE void bias_gradient_range(D d, const BiasGradientJob& job, std::int64_t column,
                                      std::int64_t column_end) {
  for (; column < column_end; column += kLanes<D>) {
    const std::int64_t count = std::min<std::int64_t>(kLanes<D>, column_end - column);
    auto sum = job.accumulate ? load_first(d, job.db + column, count) : hn::Zero(d);
    for (std::int64_t m = 0; m < job.m; ++m) {
      const float* dy = job.dy + m * job.dy_stride + column;
      sum = hn::Add(sum, count == kLanes<D> ? hn::LoadU(d, dy) : load_first(d, dy, count));
    }
    store_first(d, sum, job.db + column, count);
  }
}

template <class D>
void bias_gradient_with(const BiasGradientJob& job, ThreadPool& pool) {
  if (job.m * job.n < 16 * 1024 || pool.threads() == 1) {
    return bias_gradient_range(D(), job, 0, job.n);
  }
  pool.run([&](int part) {
    const PartRange columns = part_range(job.n, part, pool.threads(), kPanelColumns);
    bias_gradient_range(D(), job, columns.begin, columns.end);
  });
}

}  // namespace batchwise::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif  // BATCHWISE_BACKEND_CPU_DENSE_GRADIENT_INL_H_
