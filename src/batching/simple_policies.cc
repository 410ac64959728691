// SPDX-License-Identifier: Apache-2.0
// The policies that know no deadline: greedy, and those of Clipper and BentoML.
#include <algorithm>
#include <cmath>

#include "batching/policies.h"

namespace batchwise {
namespace {

// Whoever is first in line, by priority and then by arrival, and all that may go with it.
void take_first(const QueueView& view, std::int64_t limit, const SchedulerOptions& options,
                Decision& decision) {
  std::size_t first = 0;
  for (std::size_t i = 1; i < view.waiting.size() && view.waiting[first].priority != 0; ++i) {
    if (view.waiting[i].priority < view.waiting[first].priority) first = i;
  }
  const WaitingRequest& head = view.waiting[first];
  const std::int64_t most = std::min(limit, rows_now(view, options, head.model));
  if (most < 1) return;
  for (std::size_t i = first; i < view.waiting.size(); ++i) {
    const WaitingRequest& request = view.waiting[i];
    if (!share_batch(request, head) || request.priority != head.priority) continue;
    // What does not fit ends the batch, so that nobody is overtaken for good.
    if (!add_piece(view, i, most, decision) || decision.rows == most) break;
  }
  if (!decision.batch.empty()) {
    finish_batch(view, decision.rows == most ? Reason::kFull : Reason::kNoGain, decision);
  }
}

}  // namespace

void decide_greedy(const QueueView& view, const SchedulerOptions& options, double,
                   Decision& decision) {
  take_first(view, kNoLimit, options, decision);
}

void decide_aimd(const QueueView& view, const SchedulerOptions& options, double,
                 Decision& decision) {
  const double rows = view.state != nullptr ? view.state->aimd_rows : 1;
  take_first(view, static_cast<std::int64_t>(rows), options, decision);
}

// BentoML's CorkDispatcher (1.4, its file dispatcher.py): the newest first, and only once waiting a
// tick more would cost all that wait more than requests wait on average. Two things are left out,
// both in its favour: it looks at the queue each millisecond only, and a batch stays one row below
// its limit.
void decide_adaptive(const QueueView& view, const SchedulerOptions& options, double now_us,
                     Decision& decision) {
  constexpr double kTickUs = 1000, kDecay = 0.95;
  const PolicyState state = view.state != nullptr ? *view.state : PolicyState{};
  const auto count = static_cast<double>(view.waiting.size());
  // What would come too late is cancelled, from the oldest on, down to the last.
  std::size_t first = 0;
  const auto late = [&](const WaitingRequest& request, double left) {
    return now_us - request.arrival_us + state.us_a_request * left + state.us_a_batch >=
           options.latency_target_us;
  };
  while (first + 1 < view.waiting.size() &&
         late(view.waiting[first], count - static_cast<double>(first))) {
    if (!view.waiting[first].started) decision.refused.push_back(first);
    ++first;
  }
  const WaitingRequest& newest = view.waiting.back();
  const double left = count - static_cast<double>(first);
  const std::int64_t most = rows_now(view, options, newest.model);
  const double newest_wait_us = now_us - newest.arrival_us;
  const bool is_full = left >= static_cast<double>(most);
  const bool trains = state.batches < PolicyState::kTraining;
  if (!is_full && !trains &&
      left * (newest_wait_us + kTickUs + state.us_a_request) <= state.wait_us * kDecay) {
    decision.wait_until_us = now_us + kTickUs;
    decision.reason = Reason::kForCompany;
    return;
  }
  for (std::size_t i = view.waiting.size(); i-- > first && decision.rows < most;) {
    if (!share_batch(view.waiting[i], newest)) continue;
    if (!add_piece(view, i, most, decision)) break;
  }
  if (!decision.batch.empty()) finish_batch(view, Reason::kNoGain, decision);
}

}  // namespace batchwise
