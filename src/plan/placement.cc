// SPDX-License-Identifier: Apache-2.0
#include "plan/placement.h"

#include <algorithm>
#include <limits>

namespace batchwise {
namespace {

// A row that has its offset.
struct PlacedRow {
  std::int64_t offset = 0;
  std::int64_t bytes = 0;
  int first_step = 0;
  int last_step = 0;
};

bool live_together(int first_a, int last_a, int first_b, int last_b) {
  return first_a <= last_b && first_b <= last_a;
}

std::int64_t row_bytes(const BufferRow& row) { return align_up(row.bytes, row.alignment); }

// Whether `row` takes over the place of rows[row.shares_with]: it begins in the step that ends the
// other, and that step did not begin the other by a take-over too.
bool takes_over(std::span<const BufferRow> rows, int row) {
  const int other = rows[row].shares_with;
  if (other < 0 || rows[row].bytes == 0 || rows[other].bytes == 0) return false;
  if (rows[other].last_step != rows[row].first_step) return false;
  return rows[other].first_step < rows[other].last_step || rows[other].shares_with < 0;
}

// Walks the gaps between the conflicts of one item from low to high offsets.
class GapSearch {
 public:
  GapSearch(std::int64_t alignment, GapRule rule) : alignment_(alignment), rule_(rule) {}

  // The offsets between `begin` and `end` (both excluded) are taken; calls come in the order of
  // `begin`. True: the answer is known.
  bool exclude(std::int64_t begin, std::int64_t end) {
    const std::int64_t slack = begin - cursor_;
    if (slack >= 0 && slack < best_slack_) {
      best_slack_ = slack;
      best_offset_ = cursor_;
      if (rule_ == GapRule::kLowest) return true;
    }
    if (end > cursor_) cursor_ = align_up(end, alignment_);
    return false;
  }

  std::int64_t offset() const { return best_offset_ >= 0 ? best_offset_ : cursor_; }

 private:
  const std::int64_t alignment_;
  const GapRule rule_;
  std::int64_t cursor_ = 0;
  std::int64_t best_offset_ = -1;
  std::int64_t best_slack_ = std::numeric_limits<std::int64_t>::max();
};

// The most bytes that the item has while `placed` lives; 0: they never meet.
std::int64_t bytes_during(const PlacementItem& item, std::span<const BufferRow> rows,
                          const PlacedRow& placed) {
  if (!live_together(item.first_step, item.last_step, placed.first_step, placed.last_step)) {
    return 0;
  }
  if (item.is_uniform) return item.bytes;
  std::int64_t bytes = 0;
  for (int row : item.rows) {
    if (live_together(rows[row].first_step, rows[row].last_step, placed.first_step,
                      placed.last_step)) {
      bytes = std::max(bytes, row_bytes(rows[row]));
    }
  }
  return bytes;
}

std::int64_t find_offset(const PlacementItem& item, std::span<const BufferRow> rows,
                         std::span<const PlacedRow> placed, GapRule rule) {
  GapSearch search(item.alignment, rule);
  if (item.is_uniform) {
    for (const PlacedRow& other : placed) {
      if (live_together(item.first_step, item.last_step, other.first_step, other.last_step) &&
          search.exclude(other.offset - item.bytes, other.offset + other.bytes)) {
        break;
      }
    }
    return search.offset();
  }
  // The item's bytes differ from conflict to conflict, so the order of offsets is not enough.
  std::vector<std::pair<std::int64_t, std::int64_t>> conflicts;
  for (const PlacedRow& other : placed) {
    const std::int64_t bytes = bytes_during(item, rows, other);
    if (bytes > 0) conflicts.emplace_back(other.offset - bytes, other.offset + other.bytes);
  }
  std::sort(conflicts.begin(), conflicts.end());
  for (const auto& [begin, end] : conflicts) {
    if (search.exclude(begin, end)) break;
  }
  return search.offset();
}

}  // namespace

std::int64_t align_up(std::int64_t bytes, std::int64_t alignment) {
  return (bytes + alignment - 1) & ~(alignment - 1);
}

std::vector<PlacementItem> make_items(std::span<const BufferRow> rows) {
  std::vector<PlacementItem> items;
  std::vector<int> item_of(rows.size(), -1);
  std::vector<bool> is_taken(rows.size(), false);
  for (int i = 0; i < static_cast<int>(rows.size()); ++i) {
    const BufferRow& row = rows[i];
    if (row.bytes == 0) continue;
    if (takes_over(rows, i) && !is_taken[row.shares_with]) {
      is_taken[row.shares_with] = true;
      item_of[i] = item_of[row.shares_with];
    } else {
      item_of[i] = static_cast<int>(items.size());
      items.push_back(
          {.first_step = row.first_step, .last_step = row.last_step, .bytes = row_bytes(row)});
    }
    PlacementItem& item = items[item_of[i]];
    item.is_uniform = item.is_uniform && item.bytes == row_bytes(row);
    item.rows.push_back(i);
    item.last_step = std::max(item.last_step, row.last_step);
    item.bytes = std::max(item.bytes, row_bytes(row));
    item.alignment = std::max(item.alignment, row.alignment);
  }
  return items;
}

std::int64_t lower_bound(std::span<const PlacementItem> items, std::span<const BufferRow> rows) {
  // What is live changes where a row begins; where one takes over, the larger of the two counts.
  struct Change {
    int step;
    std::int64_t bytes;
  };
  std::vector<Change> changes;
  for (const PlacementItem& item : items) {
    for (std::size_t i = 0; i < item.rows.size(); ++i) {
      const BufferRow& row = rows[item.rows[i]];
      const std::int64_t bytes = row_bytes(row);
      changes.push_back({row.first_step, bytes});
      changes.push_back({row.last_step + 1, -bytes});
      if (i + 1 < item.rows.size()) {
        const std::int64_t twice = std::min(bytes, row_bytes(rows[item.rows[i + 1]]));
        changes.push_back({row.last_step, -twice});
        changes.push_back({row.last_step + 1, twice});
      }
    }
  }
  std::sort(changes.begin(), changes.end(),
            [](const Change& a, const Change& b) { return a.step < b.step; });
  std::int64_t live_bytes = 0;
  std::int64_t most_bytes = 0;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    live_bytes += changes[i].bytes;
    if (i + 1 == changes.size() || changes[i + 1].step != changes[i].step) {
      most_bytes = std::max(most_bytes, live_bytes);
    }
  }
  return most_bytes;
}

Placement place_items(std::span<const PlacementItem> items, std::span<const BufferRow> rows,
                      std::span<const int> order, GapRule rule) {
  Placement placement{.offsets = std::vector<std::int64_t>(items.size(), 0)};
  std::vector<PlacedRow> placed;  // in the order of offsets
  placed.reserve(rows.size());
  for (int index : order) {
    const PlacementItem& item = items[index];
    const std::int64_t offset = find_offset(item, rows, placed, rule);
    placement.offsets[index] = offset;
    placement.peak_bytes = std::max(placement.peak_bytes, offset + item.bytes);
    const auto place = std::upper_bound(
        placed.begin(), placed.end(), offset,
        [](std::int64_t value, const PlacedRow& row) { return value < row.offset; });
    if (item.is_uniform) {
      placed.insert(place, {offset, item.bytes, item.first_step, item.last_step});
      continue;
    }
    std::vector<PlacedRow> parts;
    for (int row : item.rows) {
      parts.push_back({offset, row_bytes(rows[row]), rows[row].first_step, rows[row].last_step});
    }
    placed.insert(place, parts.begin(), parts.end());
  }
  return placement;
}

}  // namespace batchwise
