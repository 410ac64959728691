// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>

#include "batchwise/export.h"

namespace batchwise {

// How far two files of outputs lie apart. Equal bits are equal, whatever they mean.
struct OutputDifference {
  std::int64_t samples = 0, differing_samples = 0;
  double max_abs_error = 0, max_rel_error = 0;
  std::uint64_t max_ulp = 0;
  std::int64_t changed_classes = 0;
};
BATCHWISE_API std::string to_json(const OutputDifference& difference);

// Throws Error where the files do not have the same outputs and samples.
BATCHWISE_API OutputDifference compare_output_files(const std::string& a, const std::string& b);

}  // namespace batchwise
