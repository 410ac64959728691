// SPDX-License-Identifier: Apache-2.0
#include "measure/statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "base/check.h"

namespace batchwise {
namespace {

constexpr double kTail = 0.025;

// The terms of a binomial distribution from k = 0 on, kept as logarithms so that none underflows
// into the next.
class BinomialTerms {
 public:
  BinomialTerms(std::int64_t n, double p)
      : n_(n),
        log_odds_(std::log(p) - std::log1p(-p)),
        log_term_(static_cast<double>(n) * std::log1p(-p)) {}
  double next() {
    const double term = std::exp(log_term_);
    log_term_ += log_odds_ + std::log(static_cast<double>(n_ - k_) / static_cast<double>(k_ + 1));
    ++k_;
    return term;
  }

 private:
  std::int64_t n_;
  std::int64_t k_ = 0;
  double log_odds_;
  double log_term_;
};

// The largest rank l (from 1) with P(X <= l - 1) <= tail, or 0 where there is none.
std::int64_t lower_rank(std::int64_t n, double p) {
  BinomialTerms terms(n, p);
  double sum = 0;
  for (std::int64_t k = 0; k < n; ++k) {
    sum += terms.next();
    if (sum > kTail) return k;
  }
  return n;
}

double quantile_of_sorted(const std::vector<double>& sorted, double quantile) {
  const std::size_t n = sorted.size();
  if (quantile == 0.5 && n % 2 == 0) return (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
  const auto rank = static_cast<std::size_t>(std::ceil(quantile * static_cast<double>(n) - 1e-9));
  return sorted[std::clamp<std::size_t>(rank, 1, n) - 1];
}

}  // namespace

double binomial_cdf(std::int64_t k, std::int64_t n, double probability) {
  if (k < 0) return 0;
  if (k >= n) return 1;
  BinomialTerms terms(n, probability);
  double sum = 0;
  for (std::int64_t i = 0; i <= k; ++i) sum += terms.next();
  return std::min(sum, 1.0);
}

Interval quantile_interval(std::span<const double> samples, double quantile) {
  BW_CHECK(!samples.empty() && quantile > 0 && quantile < 1, "quantile {} of {} samples", quantile,
           samples.size());
  std::vector<double> sorted(samples.begin(), samples.end());
  std::sort(sorted.begin(), sorted.end());
  const auto n = static_cast<std::int64_t>(sorted.size());
  const std::int64_t low = lower_rank(n, quantile);
  // The upper rank mirrors the lower one of the complementary quantile.
  const std::int64_t high_from_end = lower_rank(n, 1 - quantile);
  Interval interval;
  interval.median = quantile_of_sorted(sorted, quantile);
  interval.low = sorted[static_cast<std::size_t>(std::max<std::int64_t>(low, 1) - 1)];
  interval.high = sorted[static_cast<std::size_t>(n - std::max<std::int64_t>(high_from_end, 1))];
  interval.covers = low >= 1 && high_from_end >= 1;
  return interval;
}

Interval median_interval(std::span<const double> samples) {
  return quantile_interval(samples, 0.5);
}

Interval p99_interval(std::span<const double> samples) { return quantile_interval(samples, 0.99); }

double student_t_95(std::int64_t degrees_of_freedom) {
  constexpr double kTable[] = {12.706, 4.303, 3.182, 2.776, 2.571,
                               2.447,  2.365, 2.306, 2.262, 2.228};
  BW_CHECK(degrees_of_freedom >= 1, "degrees of freedom: {}", degrees_of_freedom);
  if (degrees_of_freedom <= 10) return kTable[degrees_of_freedom - 1];
  // Cornish-Fisher expansion around the normal quantile; off by less than 1e-3 from 11 on.
  const double z = 1.959963985;
  const double v = static_cast<double>(degrees_of_freedom);
  const double z3 = z * z * z;
  const double z5 = z3 * z * z;
  const double z7 = z5 * z * z;
  return z + (z3 + z) / (4 * v) + (5 * z5 + 16 * z3 + 3 * z) / (96 * v * v) +
         (3 * z7 + 19 * z5 + 17 * z3 - 15 * z) / (384 * v * v * v);
}

Interval mean_interval(std::span<const double> samples) {
  BW_CHECK(!samples.empty(), "mean of no samples");
  const auto n = static_cast<double>(samples.size());
  double sum = 0;
  for (double sample : samples) sum += sample;
  const double mean = sum / n;
  if (samples.size() == 1) return {mean, mean, mean, false};
  double squares = 0;
  for (double sample : samples) squares += (sample - mean) * (sample - mean);
  const double half = student_t_95(static_cast<std::int64_t>(samples.size()) - 1) *
                      std::sqrt(squares / (n - 1) / n);
  return {mean - half, mean, mean + half, true};
}

Interval reciprocal(const Interval& x, double a) {
  const auto over = [a](double value) {
    return value > 0 ? a / value : std::numeric_limits<double>::infinity();
  };
  return {over(x.high), over(x.median), over(x.low), x.covers};
}

}  // namespace batchwise
