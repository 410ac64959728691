// SPDX-License-Identifier: Apache-2.0
#include "batching/replica.h"

#include "base/check.h"

namespace batchwise {

Replica::Replica(const SimulationOptions& options, int number)
    : options_(options), number_(number), queue_(options.instances) {}

bool Replica::arrive(const Arrival& arrival, std::int64_t id) {
  const WaitingRequest request{id,
                               arrival.at_us,
                               arrival.at_us + arrival.timeout_us,
                               arrival.rows,
                               arrival.model,
                               arrival.shape,
                               arrival.client,
                               arrival.priority};
  if (!queue_.arrive(setup(), request)) {
    if (options_.on_refusal) options_.on_refusal(request);
    return false;
  }
  ++outstanding_;
  return true;
}

bool Replica::start_batch(double now_us, RunningBatch& batch) {
  num_refused_ = 0;
  wake_us_ = kNever;
  if (!queue_.can_start()) return false;
  const Decision& decision = queue_.decide(setup(), now_us);
  if (!decision.batch.empty() && options_.on_batch) {
    const CostCurve& curve = options_.models[static_cast<std::size_t>(decision.model)];
    options_.on_batch({number_, now_us, curve.us(decision.rows),
                       queue_.held_bytes() + curve.bytes(decision.rows), &queue_.view(),
                       &decision});
  }
  const bool starts = queue_.take(setup(), now_us, batch);
  if (starts) note_splits(batch);
  note_refused();
  if (!starts) wake_us_ = decision.wait_until_us;
  return starts;
}

void Replica::note_splits(const RunningBatch& batch) {
  for (const RunningPiece& piece : batch.pieces) {
    if (piece.whole) continue;
    const auto [split, is_new] = splits_.try_emplace(piece.id);
    if (is_new) split->second.rows = piece.waiting_rows;
  }
}

void Replica::note_refused() {
  for (const WaitingRequest& request : queue_.refused()) {
    if (options_.on_refusal) options_.on_refusal(request);
    if (request.started) splits_.at(request.id).refused = true;
    --outstanding_;
    ++num_refused_;
  }
}

void Replica::finish(const RunningBatch& batch) {
  queue_.finish(setup(), batch);
  for (const RunningPiece& piece : batch.pieces) outstanding_ -= piece.whole ? 1 : 0;
}

bool Replica::finish_part(const RunningPiece& piece) {
  const auto split = splits_.find(piece.id);
  BW_CHECK(split != splits_.end(), "request {} has no rest", piece.id);
  split->second.rows -= piece.rows;
  if (split->second.rows > 0) return false;
  const bool refused = split->second.refused;
  splits_.erase(split);
  outstanding_ -= refused ? 0 : 1;
  return !refused;
}

}  // namespace batchwise
