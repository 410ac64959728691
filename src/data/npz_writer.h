// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/output_writer.h"

namespace batchwise {

// Writes several arrays at once into a stored zip archive: their sizes are known from the start,
// so each has its place, and rows arrive in any of them.
std::unique_ptr<OutputWriter> make_npz_writer(const std::string& path,
                                              std::vector<OutputInfo> outputs,
                                              std::int64_t total_rows);

}  // namespace batchwise
