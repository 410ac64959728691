// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <vector>

namespace batchwise {

// The sizes that a server prepares programs for, ascending, `most` among them: all up to eight and
// then four an octave, so that few rows are padded and a deep model's tables stay small.
std::vector<std::int64_t> prepared_sizes(std::int64_t most);

}  // namespace batchwise
