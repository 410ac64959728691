// SPDX-License-Identifier: Apache-2.0
#include "batching/cut_batch.h"

#include <algorithm>

#include "base/check.h"

namespace batchwise {

std::int64_t count_even_slices(std::int64_t count, std::int64_t micro_batch) {
  BW_CHECK(count >= 0 && micro_batch >= 1, "{} samples in slices of {}", count, micro_batch);
  return (count + micro_batch - 1) / micro_batch;
}

BatchSlice even_slice(std::int64_t count, std::int64_t num_slices, std::int64_t i) {
  const std::int64_t first = count * i / num_slices;
  return {first, count * (i + 1) / num_slices - first, i == 0};
}

std::vector<BatchSlice> cut_evenly(std::int64_t count, std::int64_t micro_batch) {
  const std::int64_t number = count_even_slices(count, micro_batch);
  std::vector<BatchSlice> slices;
  for (std::int64_t i = 0; i < number; ++i) slices.push_back(even_slice(count, number, i));
  return slices;
}

std::int64_t lane_count(std::int64_t batch_size) {
  // Two sums are the least from which the gradient's variance can be estimated; more than four
  // would cost memory and say little more.
  if (batch_size < 64) return 1;
  return batch_size < 256 ? 2 : 4;
}

void cut_training_batch(std::int64_t batch_size, std::int64_t granule, std::int64_t micro_batch,
                        TrainingCut& cut) {
  BW_CHECK(batch_size >= 1 && granule >= 0 && micro_batch >= 1);
  cut.slices.clear();
  if (granule == 0) {
    cut.lanes = 1;
    cut.micro_batch = cut.whole_granules = batch_size;
    cut.slices.push_back({0, batch_size, true});
    return;
  }
  const std::int64_t groups = std::max<std::int64_t>(1, batch_size / granule);
  // The samples that join the last granule: a slice that ends with them is as large as was asked
  // for with one granule less.
  const std::int64_t joined = batch_size < granule ? 0 : batch_size % granule;
  const std::int64_t groups_at_once =
      std::max<std::int64_t>(1, (micro_batch - joined + granule - 1) / granule);
  cut.lanes = std::min(lane_count(batch_size), groups);
  cut.micro_batch = 0;
  cut.whole_granules = groups_at_once * granule;
  for (std::int64_t lane = 0; lane < cut.lanes; ++lane) {
    const std::int64_t begin = groups * lane / cut.lanes, end = groups * (lane + 1) / cut.lanes;
    for (std::int64_t group = begin; group < end; group += groups_at_once) {
      const std::int64_t last = std::min(group + groups_at_once, end);
      const std::int64_t stop = last == groups ? batch_size : last * granule;
      cut.slices.push_back({group * granule, stop - group * granule, group == begin});
      cut.micro_batch = std::max(cut.micro_batch, stop - group * granule);
    }
  }
}

TrainingCut cut_training_batch(std::int64_t batch_size, std::int64_t granule,
                               std::int64_t micro_batch) {
  TrainingCut cut;
  cut_training_batch(batch_size, granule, micro_batch, cut);
  return cut;
}

std::int64_t even_micro_batch(std::int64_t batch_size, std::int64_t granule,
                              std::int64_t micro_batch) {
  if (granule == 0) return batch_size;
  const TrainingCut cut = cut_training_batch(batch_size, granule, micro_batch);
  const auto share = [](std::int64_t whole, std::int64_t parts) {
    return (whole + parts - 1) / parts;
  };
  // Of the longest lane.
  const std::int64_t groups = share(std::max<std::int64_t>(1, batch_size / granule), cut.lanes);
  const std::int64_t slices = share(groups, cut.whole_granules / granule);
  return share(groups, slices) * granule;
}

}  // namespace batchwise
