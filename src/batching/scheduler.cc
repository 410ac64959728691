// SPDX-License-Identifier: Apache-2.0
#include "batching/scheduler.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "batching/policies.h"

namespace batchwise {
namespace {

using Decide = void (*)(const QueueView&, const SchedulerOptions&, double, Decision&);

struct PolicyRow {
  Policy policy;
  std::string_view name;
  Decide decide;
};
constexpr std::array kPolicies{
    PolicyRow{Policy::kDeadline, "deadline", decide_deadline},
    PolicyRow{Policy::kDelay, "delay", decide_delay},
    PolicyRow{Policy::kGreedy, "greedy", decide_greedy},
    PolicyRow{Policy::kAimd, "aimd", decide_aimd},
    PolicyRow{Policy::kAdaptive, "adaptive", decide_adaptive},
};

}  // namespace

Policy parse_policy(std::string_view name, std::string_view where) {
  for (const PolicyRow& row : kPolicies) {
    if (row.name == name) return row.policy;
  }
  fail_input(where, "{} is unknown; there are deadline, delay, greedy, aimd and adaptive", name);
}

std::string_view policy_name(Policy policy) {
  return kPolicies[static_cast<std::size_t>(policy)].name;
}

std::string_view reason_text(Reason reason) {
  switch (reason) {
    case Reason::kNothingWaits:
      return "nothing waits";
    case Reason::kFull:
      return "the batch is full";
    case Reason::kNoGain:
      return "waiting would gain nothing";
    case Reason::kDeadline:
      return "a larger batch would miss a deadline";
    case Reason::kDelayOver:
      return "the queue delay is over";
    case Reason::kPreferred:
      return "a preferred size is reached";
    case Reason::kForCompany:
      return "company is expected, and no deadline near";
  }
  return "";
}

void check_scheduler_options(const SchedulerOptions& options) {
  if (options.max_batch_rows < 1) fail_input("max batch", "{} is below 1", options.max_batch_rows);
  if (options.max_queue_requests < 1) {
    fail_input("max queue", "{} is below 1", options.max_queue_requests);
  }
  if (!(options.max_queue_delay_us >= 0)) {
    fail_input("queue delay", "{} us is below 0", options.max_queue_delay_us);
  }
  if (!(options.queue_timeout_us > 0)) {
    fail_input("queue timeout", "{} us is not above 0", options.queue_timeout_us);
  }
  if (!(options.latency_target_us > 0)) {
    fail_input("latency target", "{} us is not above 0", options.latency_target_us);
  }
  for (const std::int64_t rows : options.preferred_rows) {
    if (rows < 1) fail_input("preferred size", "{} is below 1", rows);
  }
}

std::int64_t most_rows(const CostCurve& curve, const SchedulerOptions& options,
                       std::int64_t bytes) {
  const std::int64_t most = std::min(options.max_batch_rows, curve.max_rows());
  return bytes == kNoLimit ? most : std::min(most, curve.rows_within_bytes(bytes));
}

std::int64_t rows_now(const QueueView& view, const SchedulerOptions& options, std::int32_t model) {
  return most_rows(view.models[static_cast<std::size_t>(model)], options, view.free_bytes);
}

bool can_admit(const WaitingRequest& request, const CostCurve& curve,
               const SchedulerOptions& options, std::int64_t most, std::size_t num_waiting,
               double free_us) {
  if (static_cast<std::int64_t>(num_waiting) >= options.max_queue_requests) return false;
  // Triton's batcher does not split a request.
  if (options.policy == Policy::kDelay && request.rows > most) return false;
  if (options.policy != Policy::kDeadline || request.deadline_us == kNever) return true;
  return std::max(free_us, request.arrival_us) + curve.safe_us_alone(request.rows, most) <=
         request.deadline_us;
}

bool add_piece(const QueueView& view, std::size_t index, std::int64_t most, Decision& decision) {
  const std::int64_t room = most - decision.rows;
  std::int64_t rows = view.waiting[index].rows;
  if (rows > room) {
    if (rows <= most || room < 1) return false;
    rows = room;
  }
  decision.batch.push_back({index, static_cast<std::int32_t>(rows)});
  decision.rows += rows;
  return true;
}

void finish_batch(const QueueView& view, Reason reason, Decision& decision) {
  decision.reason = reason;
  decision.wait_until_us = kNever;
  decision.model = view.waiting[decision.batch.front().index].model;
  const CostCurve& curve = view.models[static_cast<std::size_t>(decision.model)];
  decision.run_rows = curve.run_rows(decision.rows);
}

void decide(const QueueView& view, const SchedulerOptions& options, double now_us,
            Decision& decision) {
  decision.refused.clear();
  decision.batch.clear();
  decision.rows = decision.run_rows = 0;
  decision.wait_until_us = kNever;
  decision.reason = Reason::kNothingWaits;
  if (view.waiting.empty()) return;
  kPolicies[static_cast<std::size_t>(options.policy)].decide(view, options, now_us, decision);
}

}  // namespace batchwise
