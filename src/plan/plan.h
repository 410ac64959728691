// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace batchwise {

// One buffer that a program needs: its size, and the first and last step that touch it, both
// included. In steps first_step and last_step it is there at once with whatever else those touch.
struct BufferRow {
  std::int64_t bytes = 0;
  std::int64_t alignment = 64;  // of its offset; a power of two
  int first_step = 0;
  int last_step = 0;
  // The row whose place this one may take over, because step first_step writes it over what it
  // reads; -1: none. It is taken only if that row's last step is this one's first.
  int shares_with = -1;
};

// Where each buffer lies in one block of memory. A value; the block is the caller's to allocate, at
// the largest alignment of its rows.
struct Plan {
  std::vector<std::int64_t> offsets;  // one a row
  std::int64_t peak_bytes = 0;        // the block's size
  // The largest sum of live bytes over the steps, each row rounded up to its alignment and a chain
  // of rows that share a place counted once: no plan is smaller.
  std::int64_t lower_bound_bytes = 0;

  // A line of figures, then a line for each row: offset, bytes, steps.
  std::string print(std::span<const BufferRow> rows) const;
};

// Places the rows so that no two that live at once overlap. Pure and deterministic: tries several
// orders and keeps the smallest peak.
// Requires: bytes >= 0, first_step <= last_step, alignment a power of two, shares_with an earlier
// row or -1.
Plan plan_memory(std::span<const BufferRow> rows);

}  // namespace batchwise
