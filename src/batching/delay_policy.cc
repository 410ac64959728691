// SPDX-License-Identifier: Apache-2.0
// Triton's dynamic batcher: preferred sizes, a queue delay, a queue timeout and what is done at it.
#include <algorithm>

#include "batching/policies.h"

namespace batchwise {
namespace {

using OnTimeout = SchedulerOptions::OnTimeout;

// What the batcher of one model would send now.
struct Candidate {
  std::size_t count = 0;  // of requests at the front of its queue
  bool ready = false;
  Reason reason = Reason::kNoGain;
  double wait_until_us = kNever;
  double oldest_us = kNever;  // arrival
};

std::int64_t largest_preferred(const SchedulerOptions& options, std::int64_t rows) {
  std::int64_t best = 0;
  for (const std::int64_t size : options.preferred_rows) {
    if (size <= rows) best = std::max(best, size);
  }
  return best;
}

// Refuses what has waited too long, or puts it behind all others; the rest of this model's queue,
// in order of priority and arrival, is appended to `order`.
void line_up(const QueueView& view, const SchedulerOptions& options, std::int32_t model,
             double now_us, Decision& decision) {
  const auto timed_out = [&](const WaitingRequest& request) {
    return now_us - request.arrival_us > options.queue_timeout_us && !request.started;
  };
  // Where arrival alone decides, no more of a long queue is looked at than a batch can have.
  const bool by_arrival = view.one_priority && (options.queue_timeout_us == kNever ||
                                                options.on_timeout == OnTimeout::kReject);
  std::int64_t room = rows_now(view, options, model);
  std::vector<std::size_t>& order = decision.order;
  const auto begin = static_cast<std::ptrdiff_t>(order.size());
  for (std::size_t i = 0; i < view.waiting.size() && !(by_arrival && room < 0); ++i) {
    const WaitingRequest& request = view.waiting[i];
    if (request.model != model) continue;
    if (timed_out(request) && options.on_timeout == OnTimeout::kReject) {
      decision.refused.push_back(i);
    } else {
      order.push_back(i);
      room -= request.rows;
    }
  }
  if (by_arrival) return;
  std::stable_sort(order.begin() + begin, order.end(), [&](std::size_t a, std::size_t b) {
    const WaitingRequest &x = view.waiting[a], &y = view.waiting[b];
    const bool x_late = timed_out(x), y_late = timed_out(y);
    return x_late != y_late ? y_late : x.priority < y.priority;
  });
}

// Walks the queue as the batcher does: a request of another shape, or one too many, closes the
// batch.
Candidate form(const QueueView& view, const SchedulerOptions& options,
               std::span<const std::size_t> queue, std::int64_t most, double now_us) {
  Candidate found;
  if (queue.empty()) return found;
  const WaitingRequest& head = view.waiting[queue.front()];
  std::int64_t rows = 0, preferred_rows = 0;
  std::size_t preferred_count = 0;
  bool closed = false;
  for (const std::size_t index : queue) {
    const WaitingRequest& request = view.waiting[index];
    closed = !share_batch(request, head) || rows + request.rows > most;
    if (closed) break;
    rows += request.rows;
    ++found.count;
    found.oldest_us = std::min(found.oldest_us, request.arrival_us);
    if (const std::int64_t size = largest_preferred(options, rows); size == rows) {
      preferred_rows = size;
      preferred_count = found.count;
    }
  }
  if (found.count == 0) return found;
  const double delay_over_us = found.oldest_us + options.max_queue_delay_us;
  if (preferred_rows > 0 && now_us < delay_over_us) {
    return {preferred_count, true, Reason::kPreferred, kNever, found.oldest_us};
  }
  found.ready = closed || rows == most || now_us >= delay_over_us;
  found.reason = closed || rows == most ? Reason::kFull : Reason::kDelayOver;
  found.wait_until_us = std::min(delay_over_us, found.oldest_us + options.queue_timeout_us);
  if (found.wait_until_us <= now_us) found.wait_until_us = delay_over_us;
  return found;
}

void send(const QueueView& view, std::span<const std::size_t> queue, const Candidate& candidate,
          Decision& decision) {
  for (const std::size_t index : queue.first(candidate.count)) {
    decision.batch.push_back({index, view.waiting[index].rows});
    decision.rows += view.waiting[index].rows;
  }
  finish_batch(view, candidate.reason, decision);
}

}  // namespace

void decide_delay(const QueueView& view, const SchedulerOptions& options, double now_us,
                  Decision& decision) {
  decision.order.clear();
  Candidate best;
  std::size_t best_begin = 0, best_end = 0;
  double wait_until_us = kNever;
  for (std::size_t m = 0; m < view.models.size(); ++m) {
    const std::size_t begin = decision.order.size();
    line_up(view, options, static_cast<std::int32_t>(m), now_us, decision);
    const std::span<const std::size_t> queue = std::span(decision.order).subspan(begin);
    const std::int64_t most = rows_now(view, options, static_cast<std::int32_t>(m));
    const Candidate found = form(view, options, queue, most, now_us);
    if (found.ready && found.oldest_us < best.oldest_us) {
      best = found;
      best_begin = begin;
      best_end = decision.order.size();
    }
    if (!found.ready) wait_until_us = std::min(wait_until_us, found.wait_until_us);
  }
  std::sort(decision.refused.begin(), decision.refused.end());
  if (best.ready) {
    send(view, std::span(decision.order).subspan(best_begin, best_end - best_begin), best,
         decision);
  } else if (wait_until_us < kNever) {
    decision.wait_until_us = wait_until_us;
    decision.reason = Reason::kForCompany;
  }
}

}  // namespace batchwise
