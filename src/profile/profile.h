// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <string_view>

#include "batching/cost_curve.h"

namespace batchwise {

// Reads a profile: JSON with `measurements` (study.json has them), or a list of them alone. Of each
// `batch_size` and `median_us` are needed; `low_us`, `high_us`, and `bytes` or `peak_bytes` are
// taken where they are there. Rows marked `automatic` are passed over: they repeat a size. Throws
// Error{kInvalidInput} naming `where`.
CostCurve parse_profile(std::string_view text, const std::string& where);
CostCurve read_profile(const std::string& path);

}  // namespace batchwise
