// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <span>
#include <string>
#include <vector>

#include "plan/plan.h"

namespace batchwise {

// What is wrong with a plan, a line a fault; empty: nothing. Shares no code with plan_memory: walks
// the steps one by one, and holds the live rows of each against the layout.
std::vector<std::string> check_plan(std::span<const BufferRow> rows, const Plan& plan);

}  // namespace batchwise
