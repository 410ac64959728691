// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <chrono>
#include <utility>

#include "serve/batching_server.h"
#include "serve/log.h"

// What the instances of the server do.
namespace batchwise::serve {
namespace {

// Measuring begins when nothing has come for so long.
constexpr double kIdleUs = 5e3;

std::chrono::steady_clock::time_point time_point(double us) {
  return std::chrono::steady_clock::time_point(
      std::chrono::duration_cast<std::chrono::steady_clock::duration>(
          std::chrono::duration<double, std::micro>(us)));
}

// kOk: it is worth running. Policies that know no deadlines may take what is due already: where it
// was the client who said when, nobody waits for it.
Refusal why_not_run(const InferenceRequest& request, const RunningPiece& piece, double now) {
  if (request.cancelled.load(std::memory_order_relaxed)) {
    return {Status::kCancelled, "the client has gone", 0};
  }
  if (request.timeout_us > 0 && now > piece.deadline_us) {
    return {Status::kDeadlineExceeded, "its deadline had passed before it ran", 0};
  }
  return {Status::kOk, {}, 0};
}

}  // namespace

void BatchingServer::work() {
  BatchRunner runner(threads_);
  BatchJob job;
  std::unique_lock lock(mutex_);
  while (take_job(job, runner, lock)) {
    lock.unlock();
    // Whom no batch will answer any more need not wait for this one.
    std::int64_t answered = send_replies(job);
    if (!job.pieces.empty()) run_job(job, runner);
    if (job.started) {
      lock.lock();
      finish_job(job);
      lock.unlock();
      answered += send_replies(job);
    }
    job.clear();
    lock.lock();
    unanswered_ -= answered;
    if (unanswered_ == 0) drained_.notify_all();
  }
}

bool BatchingServer::take_job(BatchJob& job, BatchRunner& runner,
                              std::unique_lock<std::mutex>& lock) {
  while (!stopping_) {
    double until_us = kNever;
    if (queue_.can_start()) {
      const double now = now_us();
      const Decision& decision = queue_.decide(setup(), now);
      until_us = decision.wait_until_us;
      if (!decision.batch.empty()) {
        job.version = versions_[static_cast<std::size_t>(decision.model)].lock();
        job.decision = decisions_.add(job.version->name, queue_, now);
      }
      job.started = queue_.take(setup(), now, job.batch);
      take_refused(job);
      if (job.started) take_pieces(job);
      forget_first_pending();
      if (job.started || !job.answers.empty()) {
        if (sleeping_ > 0 && queue_.can_start()) work_.notify_one();
        return true;
      }
    }
    wait_for_work(runner, until_us, lock);
  }
  return false;
}

SplitRequest& BatchingServer::split(Pending& pending, std::int64_t rows) {
  if (pending.split) return *pending.split;
  pending.split = std::make_unique<SplitRequest>();
  SplitRequest& split = *pending.split;
  split.rows_left = rows;
  const auto& version = static_cast<const ModelVersion&>(*pending.request->model);
  split.joined =
      version.output_pool()->acquire(output_offset(version, version.outputs.size(), rows));
  if (!split.joined) split.refusal = no_output_memory(version);
  return split;
}

void BatchingServer::take_refused(BatchJob& job) {
  for (const WaitingRequest& refused : queue_.refused()) {
    Pending& waiting = pending(refused.id);
    Refusal refusal{Status::kDeadlineExceeded, "its deadline could no longer be met", 0};
    if (!waiting.split) {
      Answer& answer = job.answers.emplace_back();
      answer.request = std::move(waiting.request);
      answer.refusal = std::move(refusal);
      answer.timing.arrival_us = refused.arrival_us;
      continue;
    }
    SplitRequest& split = *waiting.split;
    split.rows_left = 0;
    split.refusal = std::move(refusal);
    split.timing.arrival_us = refused.arrival_us;
    if (split.has_ended()) end_split(job, waiting, refused.deadline_us);
  }
}

void BatchingServer::take_pieces(BatchJob& job) {
  for (const RunningPiece& piece : job.batch.pieces) take_piece(job, piece);
}

void BatchingServer::take_piece(BatchJob& job, const RunningPiece& piece) {
  Pending& waiting = pending(piece.id);
  Refusal gone = why_not_run(*waiting.request, piece, job.batch.start_us);
  if (piece.whole) {
    if (gone.status != Status::kOk) {
      Answer& answer = job.answers.emplace_back();
      answer.request = std::move(waiting.request);
      answer.refusal = std::move(gone);
      answer.timing.arrival_us = piece.arrival_us;
      return;
    }
    job.pieces.push_back({std::move(waiting.request), 0, piece.rows, nullptr});
  } else {
    SplitRequest& parts = split(waiting, piece.waiting_rows);
    const std::int64_t first_row = waiting.request->rows - parts.rows_left;
    parts.rows_left -= piece.rows;
    if (parts.timing.start_us == 0) parts.timing.start_us = job.batch.start_us;
    parts.timing.arrival_us = piece.arrival_us;
    if (parts.refusal.status == Status::kOk) parts.refusal = std::move(gone);
    if (parts.refusal.status != Status::kOk) {
      if (parts.has_ended()) end_split(job, waiting, piece.deadline_us);
      return;
    }
    ++parts.running;
    job.pieces.push_back({waiting.request, first_row, piece.rows, parts.joined.get()});
  }
  job.running.push_back(piece);
  job.rows += piece.rows;
}

void BatchingServer::end_split(BatchJob& job, Pending& waiting, double deadline_us) {
  Answer& answer = job.answers.emplace_back();
  answer.buffer_rows = waiting.request->rows;
  answer.request = std::move(waiting.request);
  answer.refusal = std::move(waiting.split->refusal);
  answer.timing = waiting.split->timing;
  answer.deadline_us = deadline_us;
  answer.outputs = std::move(waiting.split->joined);
  waiting.split.reset();
}

void BatchingServer::forget_first_pending() {
  while (!pending_.empty() && !pending_.front().request) {
    pending_.pop_front();
    ++first_pending_;
  }
}

void BatchingServer::wait_for_work(BatchRunner& runner, double until_us,
                                   std::unique_lock<std::mutex>& lock) {
  if (const auto version = std::exchange(probe_, {}).lock()) {
    const std::int64_t rows = probe_rows_;
    lock.unlock();
    measure(version, rows, runner);
    lock.lock();
    return;
  }
  if (may_measure_ && queue_.num_waiting() == 0) {
    const double idle_at_us = last_arrival_us_ + kIdleUs;
    if (now_us() >= idle_at_us) {
      // The lock was let go of: whoever came meanwhile saw nobody asleep, and woke nobody.
      measure_one(runner, lock);
      return;
    }
    until_us = std::min(until_us, idle_at_us);
  }
  ++sleeping_;
  if (until_us < kNever) {
    work_.wait_until(lock, time_point(until_us));
  } else {
    work_.wait(lock);
  }
  --sleeping_;
  if (queue_.num_waiting() > 0) return;
  lock.unlock();
  runner.forget_gone();
  lock.lock();
}

void BatchingServer::measure_one(BatchRunner& runner, std::unique_lock<std::mutex>& lock) {
  lock.unlock();
  bool measured = false;
  for (const auto& version : live_versions()) {
    const std::int64_t rows = version->next_to_measure();
    if (rows == 0) continue;
    measure(version, rows, runner);
    measured = true;
    break;
  }
  lock.lock();
  if (!measured) may_measure_ = false;
}

void BatchingServer::measure(const std::shared_ptr<ModelVersion>& version, std::int64_t rows,
                             BatchRunner& runner) {
  const BatchRunner::Measured run = runner.measure(version, rows);
  version->note_measuring(2 * run.us * threads_);
  if (run.us <= 0) return;
  // At once: it may be the last run for long.
  if (const auto curve = version->learn(run.rows, run.us, kNever)) {
    const std::lock_guard lock(mutex_);
    replace_curve(version->slot(), *curve);
  }
}

void BatchingServer::replace_curve(std::int32_t slot, const CostCurve& curve) {
  curves_[static_cast<std::size_t>(slot)] = curve;
}

void BatchingServer::run_job(BatchJob& job, BatchRunner& runner) {
  try {
    if (options_.before_run) options_.before_run(job.version->name, job.rows);
    // Where some were dropped, less runs.
    const std::int64_t rows = job.rows == job.batch.rows ? job.batch.run_rows : job.rows;
    job.result = runner.run(job.version, job.pieces, rows);
    if (!job.result.outputs) {
      job.failure = no_output_memory(*job.version);
    } else {
      const double us = job.result.gather_us + job.result.run_us + job.result.join_us;
      job.learned = job.version->learn(job.result.run_rows, us, now_us());
      count_batch(job);
    }
  } catch (const std::exception& error) {
    job.failure = {Status::kInternal, fmt::format("the batch failed: {}", error.what()), 0};
    log_event(LogLevel::kError, "batch_failed",
              {{"model", job.version->name}, {"rows", job.rows}, {"reason", error.what()}});
  }
  job.batch.end_us = now_us();
  answer_whole(job);
}

void BatchingServer::answer_whole(BatchJob& job) {
  std::int64_t row = 0;
  for (std::size_t i = 0; i < job.pieces.size(); ++i) {
    WorkPiece& piece = job.pieces[i];
    if (piece.joined == nullptr) {
      Answer& answer = job.answers.emplace_back();
      answer.request = std::move(piece.request);
      answer.refusal = job.failure;
      answer.timing = {job.running[i].arrival_us, job.batch.start_us, job.batch.end_us, job.rows,
                       job.result.run_rows};
      answer.deadline_us = job.running[i].deadline_us;
      answer.outputs = job.result.outputs;
      answer.first_row = row;
      answer.buffer_rows = job.result.run_rows;
    }
    row += piece.rows;
  }
}

void BatchingServer::finish_job(BatchJob& job) {
  if (job.pieces.empty()) job.batch.end_us = job.batch.start_us;
  queue_.finish(setup(), job.batch);
  if (job.learned) replace_curve(job.version->slot(), *job.learned);
  if (job.pieces.empty()) return;
  decisions_.note_end(job.decision, job.batch.end_us - job.batch.start_us);
  if (record_) {
    record_->note_batch(job.batch.model, job.batch.start_us, job.batch.end_us - job.batch.start_us,
                        job.rows, job.result.run_rows);
  }
  for (const RunningPiece& piece : job.running) {
    if (!piece.whole) finish_piece(job, piece);
  }
  forget_first_pending();
}

void BatchingServer::finish_piece(BatchJob& job, const RunningPiece& piece) {
  Pending& waiting = pending(piece.id);
  SplitRequest& parts = *waiting.split;
  --parts.running;
  parts.timing.computed_us = std::max(parts.timing.computed_us, job.batch.end_us);
  parts.timing.batch_rows = job.rows;
  parts.timing.run_rows = job.result.run_rows;
  if (job.failure.status != Status::kOk && parts.refusal.status == Status::kOk) {
    parts.refusal = job.failure;
  }
  if (parts.has_ended()) end_split(job, waiting, piece.deadline_us);
}

std::int64_t BatchingServer::send_replies(BatchJob& job) {
  const auto count = static_cast<std::int64_t>(job.answers.size());
  if (count == 0) return 0;
  const double now = now_us();
  count_answers(job, now);
  log_answers(job.answers, now);
  send_answers(job.answers);
  return count;
}

}  // namespace batchwise::serve
