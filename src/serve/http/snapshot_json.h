// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "serve/server.h"

namespace batchwise::serve {

// What GET /api/snapshot answers and the dashboard polls: the snapshot, whether the server is
// ready, and the repository's index, as one JSON object with the names of ServerSnapshot's fields.
// A histogram is {"count", "sum", "buckets": [[upper, count], ...]}: those that are not empty,
// rising, each with its upper edge; a bucket's lower edge is 8/9 of it at the least. `batches` is
// a list of {"rows", "count", "us"}: how many batches had so many rows, and the sum of their
// compute time.
std::string snapshot_json(const ServerSnapshot& snapshot, bool ready,
                          const std::vector<IndexEntry>& index);

}  // namespace batchwise::serve
