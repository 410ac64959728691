// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <vector>

namespace batchwise {

// A run of samples that go through the graph together.
struct BatchSlice {
  std::int64_t first = 0, count = 0;
  bool starts_lane = false;
  bool operator==(const BatchSlice&) const = default;
};

// Cuts `count` samples for inference into slices of at most `micro_batch`, as equal as can be, so
// that none is left small: small slices cost more a sample.
std::vector<BatchSlice> cut_evenly(std::int64_t count, std::int64_t micro_batch);
// The same cut one by one, for what runs without allocating: the number of slices, and slice i.
std::int64_t count_even_slices(std::int64_t count, std::int64_t micro_batch);
BatchSlice even_slice(std::int64_t count, std::int64_t num_slices, std::int64_t i);

// The number of independent sums of gradients that a batch is cut into: 1, 2 or 4. A function of
// the batch alone, so that results do not depend on how it is run.
std::int64_t lane_count(std::int64_t batch_size);

// How a batch is trained on. A granule is the smallest group of samples that must stay together
// (1, or the ghost batch); a short last one joins the one before it.
struct TrainingCut {
  std::int64_t lanes = 1;
  std::int64_t micro_batch = 1;  // the largest slice: whole granules and what joined the last one
  // The granules of a slice, in samples. Batches of other sizes are cut alike when they are cut by
  // this; the same batch is when it is cut by this or by micro_batch.
  std::int64_t whole_granules = 1;
  std::vector<BatchSlice> slices;
};
// Requires: all at least 1. `granule` 0: the batch stays in one piece. `micro_batch` is rounded up
// to a size that a slice can have.
TrainingCut cut_training_batch(std::int64_t batch_size, std::int64_t granule,
                               std::int64_t micro_batch);
// The same into `cut`, whose memory is used again: nothing is allocated where it had as many
// slices.
void cut_training_batch(std::int64_t batch_size, std::int64_t granule, std::int64_t micro_batch,
                        TrainingCut& cut);
// The smallest micro-batch that cuts the batch's longest lane into as few slices as `micro_batch`
// does: they are nearly equal then.
std::int64_t even_micro_batch(std::int64_t batch_size, std::int64_t granule,
                              std::int64_t micro_batch);

}  // namespace batchwise
