// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "batching/scheduler.h"

// The policies behind decide(), each with its signature. The decision comes in empty.
namespace batchwise {

void decide_deadline(const QueueView& view, const SchedulerOptions& options, double now_us,
                     Decision& decision);
void decide_delay(const QueueView& view, const SchedulerOptions& options, double now_us,
                  Decision& decision);
void decide_greedy(const QueueView& view, const SchedulerOptions& options, double now_us,
                   Decision& decision);
void decide_aimd(const QueueView& view, const SchedulerOptions& options, double now_us,
                 Decision& decision);
void decide_adaptive(const QueueView& view, const SchedulerOptions& options, double now_us,
                     Decision& decision);

// True where the two may share a batch.
inline bool share_batch(const WaitingRequest& a, const WaitingRequest& b) {
  return a.model == b.model && a.shape == b.shape;
}

// The rows that a batch of this model may have now.
std::int64_t rows_now(const QueueView& view, const SchedulerOptions& options, std::int32_t model);

// Adds what fits of request `index` to the batch, which may have `most` rows: all of it, or, where
// it is larger than any batch, a part. False where nothing was added.
bool add_piece(const QueueView& view, std::size_t index, std::int64_t most, Decision& decision);
// Fills in model and padding of a batch that has its pieces.
void finish_batch(const QueueView& view, Reason reason, Decision& decision);

}  // namespace batchwise
