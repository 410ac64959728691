// SPDX-License-Identifier: Apache-2.0
#include "plan/check_plan.h"

#include <algorithm>
#include <map>

#include "base/check.h"

namespace batchwise {
namespace {

std::int64_t rounded_bytes(const BufferRow& row) {
  const std::int64_t rest = row.bytes % row.alignment;
  return rest == 0 ? row.bytes : row.bytes + row.alignment - rest;
}

// Whether `later` is written over `earlier` by step `step`.
bool in_place(std::span<const BufferRow> rows, const Plan& plan, int earlier, int later, int step) {
  return rows[later].shares_with == earlier && rows[earlier].last_step == step &&
         rows[later].first_step == step && plan.offsets[earlier] == plan.offsets[later];
}

void check_step(std::span<const BufferRow> rows, const Plan& plan, int step,
                const std::vector<int>& live, std::vector<std::string>& faults) {
  // Among rows in the order of offsets, any that overlap a row follow it before its end.
  for (std::size_t i = 0; i < live.size(); ++i) {
    const std::int64_t end = plan.offsets[live[i]] + rows[live[i]].bytes;
    for (std::size_t j = i + 1; j < live.size() && plan.offsets[live[j]] < end; ++j) {
      if (in_place(rows, plan, live[i], live[j], step) ||
          in_place(rows, plan, live[j], live[i], step)) {
        continue;
      }
      faults.push_back(fmt::format("step {}: rows {} and {} overlap at offset {}", step, live[i],
                                   live[j], plan.offsets[live[j]]));
    }
  }
}

void check_rows_alone(std::span<const BufferRow> rows, const Plan& plan,
                      std::vector<std::string>& faults) {
  std::int64_t end = 0;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (plan.offsets[i] < 0 || plan.offsets[i] % rows[i].alignment != 0) {
      faults.push_back(fmt::format("row {}: offset {} with alignment {}", i, plan.offsets[i],
                                   rows[i].alignment));
    }
    if (rows[i].bytes > 0) end = std::max(end, plan.offsets[i] + rounded_bytes(rows[i]));
  }
  if (end != plan.peak_bytes) {
    faults.push_back(fmt::format("the peak is {}, the rows end at {}", plan.peak_bytes, end));
  }
  if (plan.peak_bytes < plan.lower_bound_bytes) {
    faults.push_back(fmt::format("the peak {} is below the lower bound {}", plan.peak_bytes,
                                 plan.lower_bound_bytes));
  }
}

}  // namespace

std::vector<std::string> check_plan(std::span<const BufferRow> rows, const Plan& plan) {
  std::vector<std::string> faults;
  if (plan.offsets.size() != rows.size()) {
    return {fmt::format("{} offsets for {} rows", plan.offsets.size(), rows.size())};
  }
  check_rows_alone(rows, plan, faults);
  std::map<int, std::vector<int>> begins;
  for (int i = 0; i < static_cast<int>(rows.size()); ++i) {
    if (rows[i].bytes > 0) begins[rows[i].first_step].push_back(i);
  }
  // Overlaps can only begin where a row begins.
  std::vector<int> live;
  for (const auto& [step, rows_that_begin] : begins) {
    std::erase_if(live, [&, now = step](int row) { return rows[row].last_step < now; });
    live.insert(live.end(), rows_that_begin.begin(), rows_that_begin.end());
    std::sort(live.begin(), live.end(),
              [&](int a, int b) { return plan.offsets[a] < plan.offsets[b]; });
    check_step(rows, plan, step, live, faults);
  }
  return faults;
}

}  // namespace batchwise
