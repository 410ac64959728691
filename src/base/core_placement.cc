// SPDX-License-Identifier: Apache-2.0
#include "base/core_placement.h"

namespace batchwise {
namespace {

// A move costs some tens of microseconds. On a loaded machine threads may meet again and again.
constexpr std::chrono::microseconds kBetweenMoves{500};

}  // namespace

CorePlacement::CorePlacement(int threads)
    : cores_(static_cast<std::size_t>(threads)), last_moves_(static_cast<std::size_t>(threads)) {
  if (sched_getaffinity(0, sizeof allowed_, &allowed_) != 0) CPU_ZERO(&allowed_);
  for (auto& core : cores_) core.store(-1, std::memory_order_relaxed);
}

void CorePlacement::note(int part) {
  auto& mine = cores_[static_cast<std::size_t>(part)];
  const int core = sched_getcpu();
  if (mine.load(std::memory_order_relaxed) != core) mine.store(core, std::memory_order_relaxed);
}

bool CorePlacement::shares_core(int part) const {
  const int mine = core(part);
  for (int other = 0; other < part; ++other) {
    if (core(other) == mine) return true;
  }
  return false;
}

void CorePlacement::leave_shared_core(int part) {
  const auto now = std::chrono::steady_clock::now();
  auto& last_move = last_moves_[static_cast<std::size_t>(part)];
  if (now - last_move < kBetweenMoves) return;
  last_move = now;
  cpu_set_t free = allowed_;
  for (int other = 0; other < static_cast<int>(cores_.size()); ++other) {
    if (other != part && core(other) >= 0) CPU_CLR(core(other), &free);
  }
  if (CPU_COUNT(&free) == 0) return;
  // Moves the thread before it returns.
  if (sched_setaffinity(0, sizeof free, &free) == 0) note(part);
}

}  // namespace batchwise
