// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <vector>

#include "batching/cost_curve.h"
#include "batching/policy_state.h"
#include "batching/traffic.h"

// When to cut a request batch. decide() is a pure function of values, time passed in: the server,
// the simulator and the tests call the same code. All times are microseconds since any one origin.
namespace batchwise {

inline constexpr double kNever = std::numeric_limits<double>::infinity();
inline constexpr std::int64_t kNoLimit = std::numeric_limits<std::int64_t>::max();

// A request that waits, or what is left of it. A plain value.
struct WaitingRequest {
  std::int64_t id = 0;  // grows with the arrival
  double arrival_us = 0;
  double deadline_us = kNever;
  std::int32_t rows = 1;  // that are not yet running
  std::int32_t model = 0;
  std::int32_t shape = 0;  // requests share a batch only where model and shape are equal
  std::int32_t client = 0;
  std::int32_t priority = 0;  // the least goes first
  bool started = false;       // a part of it has run, or runs
};

enum class Policy { kDeadline, kDelay, kGreedy, kAimd, kAdaptive };

// Settings of the policies. A plain value; times in microseconds.
struct SchedulerOptions {
  Policy policy = Policy::kDeadline;
  std::int64_t max_batch_rows = kNoLimit;  // beside what was measured and what fits in memory

  bool may_wait = true;  // deadline: false never waits for company

  // delay, as Triton's dynamic batcher.
  std::vector<std::int64_t> preferred_rows;
  double max_queue_delay_us = 0;
  double queue_timeout_us = kNever;
  enum class OnTimeout { kReject, kDelay } on_timeout = OnTimeout::kReject;

  std::int64_t max_queue_requests = kNoLimit;  // more are refused at once, by every policy

  // deadline: where above 0, what arrives is refused at once where those that are due before it
  // leave it no time. The longest time that a request has.
  double admission_window_us = 0;

  // aimd: the time that a batch may take. adaptive: the time that a request may take.
  double latency_target_us = kNever;
};

std::string_view policy_name(Policy policy);
// Throws Error{kInvalidInput} naming the field.
void check_scheduler_options(const SchedulerOptions& options);
// "deadline", "delay", "greedy", "aimd" or "adaptive"; throws Error naming `where` for another.
Policy parse_policy(std::string_view name, std::string_view where);

// All that a decision may know.
struct QueueView {
  std::span<const WaitingRequest> waiting;  // in the order of arrival
  std::span<const CostCurve> models;        // by WaitingRequest::model
  std::int64_t memory_bytes = kNoLimit;     // that all batches may hold
  std::int64_t free_bytes = kNoLimit;       // of these, what a batch may hold now
  double other_free_us = kNever;            // when another instance is free
  int instances = 1;                        // in all
  bool one_priority = false;                // true: all that waits has the same
  const Traffic* traffic = nullptr;         // what arrived lately
  const PolicyState* state = nullptr;       // what aimd and adaptive have learned
  // Machine time that each client, and each model, had lately; may be empty.
  std::span<const double> client_us, model_us;
};

// A part of a request in a batch, all of it as a rule.
struct BatchPiece {
  std::size_t index = 0;  // in QueueView::waiting
  std::int32_t rows = 0;
};

// Why a batch was run as it was, for people.
enum class Reason { kNothingWaits, kFull, kNoGain, kDeadline, kDelayOver, kPreferred, kForCompany };
std::string_view reason_text(Reason reason);

// What to do: refuse some, then run a batch, or look again at a time or the next arrival,
// whichever comes first. Kept by the caller, so that deciding does not allocate again and again.
struct Decision {
  std::vector<std::size_t> refused;  // of QueueView::waiting, ascending
  std::vector<BatchPiece> batch;     // empty: nothing runs
  std::int32_t model = 0;
  std::int64_t rows = 0;      // in the batch
  std::int64_t run_rows = 0;  // with what is padded
  double wait_until_us = kNever;
  Reason reason = Reason::kNothingWaits;
  // Room for deciding; nothing in it is of use afterwards.
  std::vector<std::size_t> order;
  std::vector<double> times;
  std::vector<std::int64_t> largest;
};

// Called when an instance is free. `decision` is overwritten.
void decide(const QueueView& view, const SchedulerOptions& options, double now_us,
            Decision& decision);

// The rows that a batch of this model may have at most while `bytes` may be held; 0 where memory
// forbids even one.
std::int64_t most_rows(const CostCurve& curve, const SchedulerOptions& options, std::int64_t bytes);

// False where a request that arrives can only be refused: the queue is full, or no instance is free
// (first at `free_us`) early enough for its deadline. `most` are the rows of the largest batch.
bool can_admit(const WaitingRequest& request, const CostCurve& curve,
               const SchedulerOptions& options, std::int64_t most, std::size_t num_waiting,
               double free_us);

}  // namespace batchwise
