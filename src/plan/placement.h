// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "plan/plan.h"

namespace batchwise {

std::int64_t align_up(std::int64_t bytes, std::int64_t alignment);

// A chain of rows that take over each other's place, most often a single one: what is placed as
// one.
struct PlacementItem {
  std::vector<int> rows;
  int first_step = 0;
  int last_step = 0;
  std::int64_t bytes = 0;  // the largest row's, aligned
  std::int64_t alignment = 1;
  bool is_uniform = true;  // all rows have the same aligned bytes
};

// Every row in exactly one item; rows without bytes are in none.
std::vector<PlacementItem> make_items(std::span<const BufferRow> rows);

// The largest sum of bytes that the items need at once.
std::int64_t lower_bound(std::span<const PlacementItem> items, std::span<const BufferRow> rows);

// Which of the gaps that an item fits in it gets.
enum class GapRule { kLowest, kTightest };

struct Placement {
  std::vector<std::int64_t> offsets;  // one an item
  std::int64_t peak_bytes = 0;
};

// Places the items one after the other, in `order` (indices of items).
Placement place_items(std::span<const PlacementItem> items, std::span<const BufferRow> rows,
                      std::span<const int> order, GapRule rule);

}  // namespace batchwise
