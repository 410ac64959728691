// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <span>

#include "batching/arrivals.h"

namespace batchwise::bench {

// Requests that no schedule can exceed, even one that knows all arrivals: each needs at least its
// rows' share of the best batch that its deadline allows, and those that arrive in a stretch of
// time must run within it and the longest deadline. The least over several lengths of a stretch.
double clairvoyant_bound(std::span<const Arrival> arrivals, std::span<const CostCurve> models,
                         int instances);

}  // namespace batchwise::bench
