// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>

#include "batching/memory_room.h"
#include "data/data_source.h"
#include "fit/training_session.h"

namespace batchwise {

// Plans of training one model on one data set, nothing run.
struct TrainingPlanner {
  std::shared_ptr<const TrainableModel> model;
  const DataSource& train;
  const DataSource* validation;  // may be null, or the same as train
  TrainingOptions options;
  MemoryRoom room;

  // The batch cannot be cut: normalization is over the whole of it.
  bool one_piece() const { return model->normalizes_batch && options.ghost_batch == 0; }
  TrainingSession plan(std::int64_t micro_batch) const;
  // The bytes of a session, and of what reads its data.
  MemoryParts parts(const TrainingSession& session) const;
  MemoryParts parts_at(std::int64_t micro_batch) const { return parts(plan(micro_batch)); }
  bool fits(const TrainingSession& session) const { return room.fits(parts(session).total()); }
  // By static cost, within the memory; 0 where not even 1 fits. The batch where it is in one piece.
  std::int64_t choose_micro_batch() const;
  std::int64_t largest_micro_batch(std::int64_t most) const;
  // Requires: one_piece().
  std::int64_t largest_batch(std::int64_t most) const;
};

}  // namespace batchwise
