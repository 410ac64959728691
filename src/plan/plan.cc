// SPDX-License-Identifier: Apache-2.0
#include "plan/plan.h"

#include <algorithm>
#include <functional>
#include <numeric>

#include "base/check.h"
#include "plan/placement.h"

namespace batchwise {
namespace {

// A try costs about the square of the items; this many pairs are a few dozen milliseconds.
constexpr std::int64_t kMaxPairs = 24'000'000;
constexpr int kMaxTries = 400;
// A peak this far above the lower bound is worth more of them.
constexpr double kFarAbove = 1.03;
constexpr int kMaxTriesFarAbove = 20'000;

void check_rows(std::span<const BufferRow> rows) {
  for (int i = 0; i < static_cast<int>(rows.size()); ++i) {
    const BufferRow& row = rows[i];
    BW_CHECK(row.bytes >= 0, "row {}: {} bytes", i, row.bytes);
    BW_CHECK(row.first_step <= row.last_step, "row {}: steps {} to {}", i, row.first_step,
             row.last_step);
    BW_CHECK(row.alignment > 0 && (row.alignment & (row.alignment - 1)) == 0,
             "row {}: alignment {}", i, row.alignment);
    BW_CHECK(row.shares_with < i, "row {}: shares with the later row {}", i, row.shares_with);
  }
}

// By size, by area (size times steps), by start, by steps: none is best for every net.
std::vector<std::vector<int>> starting_orders(std::span<const PlacementItem> items) {
  using Before = std::function<bool(const PlacementItem&, const PlacementItem&)>;
  const auto steps = [](const PlacementItem& a) { return a.last_step - a.first_step + 1; };
  const auto area = [steps](const PlacementItem& a) {
    return static_cast<double>(a.bytes) * steps(a);
  };
  const std::vector<Before> befores = {
      [](const auto& a, const auto& b) { return a.bytes > b.bytes; },
      [area](const auto& a, const auto& b) { return area(a) > area(b); },
      [](const auto& a, const auto& b) {
        return a.first_step != b.first_step ? a.first_step < b.first_step : a.bytes > b.bytes;
      },
      [steps](const auto& a, const auto& b) {
        return steps(a) != steps(b) ? steps(a) > steps(b) : a.bytes > b.bytes;
      },
  };
  std::vector<std::vector<int>> orders;
  for (const Before& before : befores) {
    std::vector<int> order(items.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return before(items[a], items[b]); });
    orders.push_back(std::move(order));
  }
  return orders;
}

// Keeps the best placement over tries of orders, until it meets the lower bound or the tries end.
class Search {
 public:
  Search(std::span<const PlacementItem> items, std::span<const BufferRow> rows,
         std::int64_t lower_bound_bytes)
      : items_(items), rows_(rows), lower_bound_bytes_(lower_bound_bytes) {
    const auto pairs = std::max<std::int64_t>(
        1, static_cast<std::int64_t>(items.size()) * static_cast<std::int64_t>(items.size()));
    const auto tries = [&](std::int64_t most) {
      return static_cast<int>(std::clamp<std::int64_t>(kMaxPairs / pairs, 4, most));
    };
    max_tries_ = tries(kMaxTries);
    max_tries_far_above_ = tries(kMaxTriesFarAbove);
  }

  Placement run() {
    for (const std::vector<int>& order : starting_orders(items_)) {
      attempt(order, GapRule::kLowest);
      attempt(order, GapRule::kTightest);
    }
    while (!is_done()) attempt(disturbed_order(), best_rule_);
    return best_;
  }

 private:
  bool is_done() const {
    if (best_.peak_bytes == lower_bound_bytes_) return true;
    const bool is_far =
        static_cast<double>(best_.peak_bytes) > kFarAbove * static_cast<double>(lower_bound_bytes_);
    return tries_ >= (is_far ? max_tries_far_above_ : max_tries_);
  }

  void attempt(const std::vector<int>& order, GapRule rule) {
    if (has_best_ && is_done()) return;
    ++tries_;
    Placement placement = place_items(items_, rows_, order, rule);
    // An equal peak is taken too, so that the search does not stand still.
    if (has_best_ && placement.peak_bytes > best_.peak_bytes) return;
    best_ = std::move(placement);
    best_order_ = order;
    best_rule_ = rule;
    has_best_ = true;
  }

  // The best order with one item that reaches the peak placed earlier; where that has not led near
  // the lower bound, with any item placed anywhere, every other time.
  std::vector<int> disturbed_order() {
    if (tries_ >= max_tries_ && tries_ % 2 == 0) return moved(any_place(), any_place());
    std::vector<int> places;
    for (std::size_t i = 0; i < best_order_.size(); ++i) {
      const int item = best_order_[i];
      if (best_.offsets[item] + items_[item].bytes == best_.peak_bytes) {
        places.push_back(static_cast<int>(i));
      }
    }
    const int from = places[next_random() % places.size()];
    const int to = static_cast<int>(next_random() % (static_cast<unsigned>(from) + 1));
    return moved(from, to);
  }

  int any_place() { return static_cast<int>(next_random() % best_order_.size()); }

  // The best order with the item at `from` placed at `to`.
  std::vector<int> moved(int from, int to) const {
    std::vector<int> order = best_order_;
    const auto at = order.begin();
    if (to <= from) {
      std::rotate(at + to, at + from, at + from + 1);
    } else {
      std::rotate(at + from, at + from + 1, at + to + 1);
    }
    return order;
  }

  // A fixed sequence: plans must not differ from run to run.
  std::uint32_t next_random() {
    state_ = state_ * 6364136223846793005U + 1442695040888963407U;
    return static_cast<std::uint32_t>(state_ >> 33);
  }

  const std::span<const PlacementItem> items_;
  const std::span<const BufferRow> rows_;
  const std::int64_t lower_bound_bytes_;
  int max_tries_ = 0, max_tries_far_above_ = 0;
  int tries_ = 0;
  bool has_best_ = false;
  Placement best_;
  std::vector<int> best_order_;
  GapRule best_rule_ = GapRule::kLowest;
  std::uint64_t state_ = 1;
};

}  // namespace

std::string Plan::print(std::span<const BufferRow> rows) const {
  const double above =
      lower_bound_bytes > 0
          ? 100.0 * static_cast<double>(peak_bytes - lower_bound_bytes) / lower_bound_bytes
          : 0.0;
  std::string text = fmt::format("peak {} bytes, lower bound {} bytes, {:.1f} % above\n",
                                 peak_bytes, lower_bound_bytes, above);
  for (std::size_t i = 0; i < rows.size(); ++i) {
    text += fmt::format("{:5} offset {:12} bytes {:12} steps {}..{}", i, offsets[i], rows[i].bytes,
                        rows[i].first_step, rows[i].last_step);
    const int other = rows[i].shares_with;
    if (other >= 0 && offsets[other] == offsets[i] && rows[other].last_step == rows[i].first_step) {
      text += fmt::format(" in place of {}", other);
    }
    text += '\n';
  }
  return text;
}

Plan plan_memory(std::span<const BufferRow> rows) {
  check_rows(rows);
  const std::vector<PlacementItem> items = make_items(rows);
  Plan plan{.offsets = std::vector<std::int64_t>(rows.size(), 0)};
  plan.lower_bound_bytes = lower_bound(items, rows);
  if (items.empty()) return plan;
  const Placement placement = Search(items, rows, plan.lower_bound_bytes).run();
  plan.peak_bytes = placement.peak_bytes;
  for (std::size_t i = 0; i < items.size(); ++i) {
    for (int row : items[i].rows) plan.offsets[row] = placement.offsets[i];
  }
  return plan;
}

}  // namespace batchwise
