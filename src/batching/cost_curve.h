// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <vector>

#include "measure/statistics.h"

namespace batchwise {

// What was measured of one batch size.
struct CostPoint {
  std::int64_t rows = 1;
  Interval us;             // of one run
  std::int64_t bytes = 0;  // that the run holds
};

// The time and the memory of a run by its rows, t(b) and bytes(b), from measured points with
// straight lines between them. Below the first point all is as there; there is nothing beyond the
// last one. A value, immutable; safe to read from several threads.
class CostCurve {
 public:
  // Throws Error{kInvalidInput} where points are missing, doubled, or make no sense.
  explicit CostCurve(std::vector<CostPoint> points);

  const std::vector<CostPoint>& points() const { return points_; }
  // The largest size that may run.
  std::int64_t max_rows() const { return points_.back().rows; }

  // Requires for all below: 1 <= rows <= max_rows().
  // The size at which `rows` rows run cheapest: a slower small size is padded to a faster large
  // one.
  std::int64_t run_rows(std::int64_t rows) const { return at(rows).run_rows; }
  double us(std::int64_t rows) const { return at(rows).us; }            // the median, as it is run
  double safe_us(std::int64_t rows) const { return at(rows).high_us; }  // the interval's high end
  double low_us(std::int64_t rows) const { return at(rows).low_us; }
  std::int64_t bytes(std::int64_t rows) const { return at(rows).bytes; }  // as it is run
  // The least microseconds a row of any size up to `rows`.
  double best_us_per_row(std::int64_t rows) const { return at(rows).best_us_per_row; }

  // The largest size of which it and all smaller ones hold at most so many bytes, or take at most
  // so long by the interval's high end; 0 where not even 1.
  std::int64_t rows_within_bytes(std::int64_t bytes) const;
  std::int64_t rows_within_us(double us) const;
  // The time of any number of rows, alone, in slices of at most `most` rows: the high end.
  double safe_us_alone(std::int64_t rows, std::int64_t most) const;

 private:
  struct Entry {
    std::int64_t run_rows = 1;
    double us = 0, low_us = 0, high_us = 0;
    std::int64_t bytes = 0;
    double best_us_per_row = 0;
    double most_us = 0;  // high ends of this size and all smaller ones
    std::int64_t most_bytes = 0;
  };
  const Entry& at(std::int64_t rows) const { return table_[static_cast<std::size_t>(rows)]; }
  Entry interpolate(std::int64_t rows) const;
  void fill_table();

  std::vector<CostPoint> points_;
  std::vector<Entry> table_;  // by rows; [0] is not used
};

}  // namespace batchwise
