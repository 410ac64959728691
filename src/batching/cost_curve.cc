// SPDX-License-Identifier: Apache-2.0
#include "batching/cost_curve.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace batchwise {
namespace {

// A size beyond this is no request batch, and the table is as long.
constexpr std::int64_t kMostRows = 1 << 20;

void check_points(const std::vector<CostPoint>& points) {
  if (points.empty()) fail_input("profile", "it has no measurement");
  for (const CostPoint& point : points) {
    if (point.rows < 1 || point.rows > kMostRows) {
      fail_input("profile", "batch size {} is not from 1 to {}", point.rows, kMostRows);
    }
    const Interval& us = point.us;
    if (!(us.median > 0) || !(us.low > 0) || us.low > us.median || us.high < us.median ||
        !std::isfinite(us.high)) {
      fail_input("profile", "batch size {} takes {} us, from {} to {}: no such time", point.rows,
                 us.median, us.low, us.high);
    }
    if (point.bytes < 0) {
      fail_input("profile", "batch size {} has {} bytes", point.rows, point.bytes);
    }
  }
  for (std::size_t i = 1; i < points.size(); ++i) {
    if (points[i].rows == points[i - 1].rows) {
      fail_input("profile", "batch size {} is there twice", points[i].rows);
    }
  }
}

}  // namespace

CostCurve::CostCurve(std::vector<CostPoint> points) : points_(std::move(points)) {
  std::sort(points_.begin(), points_.end(),
            [](const CostPoint& a, const CostPoint& b) { return a.rows < b.rows; });
  check_points(points_);
  fill_table();
}

CostCurve::Entry CostCurve::interpolate(std::int64_t rows) const {
  const auto above =
      std::lower_bound(points_.begin(), points_.end(), rows,
                       [](const CostPoint& p, std::int64_t r) { return p.rows < r; });
  const CostPoint& b = *above;
  const CostPoint& a = above == points_.begin() || b.rows == rows ? b : *(above - 1);
  const double part =
      a.rows == b.rows ? 0
                       : static_cast<double>(rows - a.rows) / static_cast<double>(b.rows - a.rows);
  const auto mix = [part](double x, double y) { return x + part * (y - x); };
  Entry entry;
  entry.run_rows = rows;
  entry.us = mix(a.us.median, b.us.median);
  entry.low_us = mix(a.us.low, b.us.low);
  entry.high_us = mix(a.us.high, b.us.high);
  entry.bytes = static_cast<std::int64_t>(
      std::ceil(mix(static_cast<double>(a.bytes), static_cast<double>(b.bytes))));
  return entry;
}

void CostCurve::fill_table() {
  const std::int64_t most = max_rows();
  table_.resize(static_cast<std::size_t>(most) + 1);
  // From above, so that what is padded to is known.
  for (std::int64_t rows = most; rows >= 1; --rows) {
    Entry entry = interpolate(rows);
    if (rows < most && at(rows + 1).us < entry.us) entry = at(rows + 1);
    table_[static_cast<std::size_t>(rows)] = entry;
  }
  table_[0].best_us_per_row = at(1).us;
  for (std::int64_t rows = 1; rows <= most; ++rows) {
    Entry& entry = table_[static_cast<std::size_t>(rows)];
    const Entry& before = at(rows - 1);
    entry.best_us_per_row = std::min(before.best_us_per_row, entry.us / static_cast<double>(rows));
    entry.most_us = std::max(before.most_us, entry.high_us);
    entry.most_bytes = std::max(before.most_bytes, entry.bytes);
  }
}

std::int64_t CostCurve::rows_within_bytes(std::int64_t bytes) const {
  const auto beyond = std::partition_point(table_.begin() + 1, table_.end(),
                                           [&](const Entry& e) { return e.most_bytes <= bytes; });
  return beyond - table_.begin() - 1;
}

std::int64_t CostCurve::rows_within_us(double us) const {
  const auto beyond = std::partition_point(table_.begin() + 1, table_.end(),
                                           [&](const Entry& e) { return e.most_us <= us; });
  return beyond - table_.begin() - 1;
}

double CostCurve::safe_us_alone(std::int64_t rows, std::int64_t most) const {
  if (rows <= most) return safe_us(rows);
  const std::int64_t whole = rows / most, rest = rows % most;
  return static_cast<double>(whole) * safe_us(most) + (rest > 0 ? safe_us(rest) : 0);
}

}  // namespace batchwise
