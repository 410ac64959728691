// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <vector>

#include "data/data_source.h"
#include "data/order.h"

namespace batchwise {

// Mean and (population) standard deviation of a feature over `range`, a channel each: the first
// axis of samples of rank 3, all elements together otherwise.
// The same bits at every call; reads the data once, in about 1 MiB of memory.
struct ChannelStatistics {
  std::vector<double> mean, std;
};
ChannelStatistics channel_statistics(const DataSource& source, std::size_t feature,
                                     SampleRange range);

// The class ids over `range`; those of all samples are read once. Throws Error where the labels are
// no class ids.
LabelRange label_range(const DataSource& source, SampleRange range);

// Throws Error naming the first sample whose class id is not in [0, classes).
void check_labels(const DataSource& source, std::int64_t classes);

}  // namespace batchwise
