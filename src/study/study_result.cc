// SPDX-License-Identifier: Apache-2.0
#include "study/study_result.h"

#include <algorithm>

namespace batchwise {

std::string_view name_of(StudyUse use) {
  switch (use) {
    case StudyUse::kPredict:
      return "predict";
    case StudyUse::kServe:
      return "serve";
    case StudyUse::kFit:
      return "fit";
  }
  return "?";
}

Interval PredictRow::samples_per_s() const {
  return reciprocal(us, 1e6 * static_cast<double>(batch_size));
}

Interval PredictRow::us_per_sample() const {
  const auto samples = static_cast<double>(std::max<std::int64_t>(1, batch_size));
  return {us.low / samples, us.median / samples, us.high / samples, us.covers};
}

}  // namespace batchwise
