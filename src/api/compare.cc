// SPDX-License-Identifier: Apache-2.0
#include "batchwise/compare.h"

#include "metrics/compare.h"

namespace batchwise {

OutputDifference compare_output_files(const std::string& a, const std::string& b) {
  const Comparison found = compare_files(a, b);
  return {found.samples,       found.differing_samples, found.max_abs_error,
          found.max_rel_error, found.max_ulp,           found.changed_classes};
}

}  // namespace batchwise
