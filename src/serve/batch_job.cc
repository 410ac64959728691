// SPDX-License-Identifier: Apache-2.0
#include "serve/batch_job.h"

#include <fmt/format.h>

#include <chrono>

#include "batchwise/process.h"
#include "serve/log.h"

namespace batchwise::serve {
namespace {

Failure failure_of(Status status) {
  switch (status) {
    case Status::kOverloaded:
      return Failure::kRejected;
    case Status::kCancelled:
      return Failure::kCancelled;
    case Status::kInternal:
      return Failure::kBackend;
    case Status::kDeadlineExceeded:
      return Failure::kExpired;
    default:
      return Failure::kOther;
  }
}

std::int64_t epoch_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

void add(DurationSum& sum, double us) {
  ++sum.count;
  sum.us += us;
}

void count_success(ModelStatistics& statistics, const Answer& answer, const BatchJob& job,
                   double now) {
  const double arrival = answer.timing.arrival_us, waited = answer.timing.start_us - arrival;
  add(statistics.success, now - arrival);
  add(statistics.queue, waited);
  add(statistics.compute_input, job.result.gather_us);
  add(statistics.compute_infer, job.result.run_us);
  add(statistics.compute_output, job.result.join_us);
  statistics.request_us.add(now - arrival);
  statistics.queue_us.add(waited);
  ++(now <= answer.deadline_us ? statistics.in_time : statistics.late);
}

ModelVersion& version_of(const InferenceRequest& request) {
  return const_cast<ModelVersion&>(static_cast<const ModelVersion&>(*request.model));
}

}  // namespace

double now_us() {
  return std::chrono::duration<double, std::micro>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

Refusal no_output_memory(const ModelVersion& version) {
  return {Status::kOverloaded,
          fmt::format("replies that clients have not taken hold all {} of model {}",
                      format_size(version.output_pool()->limit_bytes()), version.name),
          1};
}

void BatchJob::clear() {
  started = false;
  version.reset();
  pieces.clear();
  running.clear();
  rows = 0;
  result = {};
  learned.reset();
  failure = {Status::kOk, {}, 0};
  answers.clear();
}

void count_batch(const BatchJob& job) {
  const BatchResult& result = job.result;
  job.version->update_statistics([&](ModelStatistics& statistics) {
    ++statistics.execution_count;
    statistics.inference_count += job.rows;
    statistics.padded_rows += result.run_rows - job.rows;
    statistics.last_inference_ms = epoch_ms();
    statistics.compute_us.add(result.run_us);
    statistics.batch_rows.add(static_cast<double>(job.rows));
    BatchStatistics& batch = statistics.batches[job.rows];
    add(batch.compute_input, result.gather_us);
    add(batch.compute_infer, result.run_us);
    add(batch.compute_output, result.join_us);
  });
}

void count_refusal(const InferenceRequest& request, Status status, double took_us) {
  version_of(request).update_statistics([&](ModelStatistics& statistics) {
    add(statistics.fail, took_us);
    ++statistics.failures[static_cast<std::size_t>(failure_of(status))];
  });
}

void count_answers(const BatchJob& job, double now) {
  bool any = false;
  for (const Answer& answer : job.answers) {
    if (answer.refusal.status == Status::kOk) {
      any = true;
    } else {
      count_refusal(*answer.request, answer.refusal.status, now - answer.timing.arrival_us);
    }
  }
  if (!any) return;
  // Results are of the batch's version, all of them.
  job.version->update_statistics([&](ModelStatistics& statistics) {
    for (const Answer& answer : job.answers) {
      if (answer.refusal.status == Status::kOk) count_success(statistics, answer, job, now);
    }
  });
}

void log_answers(const std::vector<Answer>& answers, double now) {
  if (!is_logged(LogLevel::kDebug)) return;
  for (const Answer& answer : answers) {
    const InferenceRequest& request = *answer.request;
    const RequestTiming& timing = answer.timing;
    const double waited_us = timing.start_us > 0 ? timing.start_us - timing.arrival_us : 0;
    log_event(LogLevel::kDebug, "request",
              {{"model", request.model->name},
               {"id", request.id},
               {"trace", request.trace_parent},
               {"rows", request.rows},
               {"refusal", answer.refusal.message},
               {"queue_us", fmt::format("{:.0f}", waited_us)},
               {"total_us", fmt::format("{:.0f}", now - timing.arrival_us)},
               {"batch_rows", timing.batch_rows}});
  }
}

void send_answers(std::vector<Answer>& answers) {
  for (Answer& answer : answers) {
    Reply reply;
    reply.refusal = std::move(answer.refusal);
    reply.timing = answer.timing;
    InferenceRequest& request = *answer.request;
    if (reply.refusal.status == Status::kOk) {
      const ModelInfo& model = *request.model;
      reply.rows = request.rows;
      const std::size_t count =
          request.outputs.empty() ? model.outputs.size() : request.outputs.size();
      reply.outputs.reserve(count);
      for (std::size_t i = 0; i < count; ++i) {
        const std::size_t o = request.outputs.empty() ? i : request.outputs[i];
        const std::int64_t row_bytes = model.outputs[o].row_bytes;
        const std::byte* const begin = answer.outputs.get() +
                                       output_offset(model, o, answer.buffer_rows) +
                                       answer.first_row * row_bytes;
        reply.outputs.emplace_back(begin, static_cast<std::size_t>(request.rows * row_bytes));
      }
      reply.memory = std::move(answer.outputs);
    }
    request.reply(std::move(reply));
    answer.request.reset();
  }
  answers.clear();
}

}  // namespace batchwise::serve
