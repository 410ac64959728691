// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "batching/request_queue.h"
#include "serve/batch_runner.h"
#include "serve/model_version.h"
#include "serve/request.h"

namespace batchwise::serve {

// What is kept of a request that runs in several batches: where its results are put together, and
// how far it is. Guarded by the server's mutex, but for the bytes of `joined`.
struct SplitRequest {
  std::int64_t rows_left = 0;  // not yet taken
  int running = 0;             // batches with a part of it
  std::shared_ptr<std::byte> joined;
  Refusal refusal{Status::kOk, {}, 0};  // why it will get no result
  RequestTiming timing;

  bool has_ended() const { return rows_left == 0 && running == 0; }
};

// A request that is answered, with what it gets.
struct Answer {
  std::shared_ptr<InferenceRequest> request;
  Refusal refusal{Status::kOk, {}, 0};
  RequestTiming timing;
  double deadline_us = kNever;
  // Rows first_row.. of `outputs`, which holds `buffer_rows` rows of each output.
  std::shared_ptr<std::byte> outputs;
  std::int64_t first_row = 0, buffer_rows = 0;
};

// What an instance does at a time, and whom it answers then. Kept by the instance.
struct BatchJob {
  bool started = false;  // an instance of the queue is taken
  RunningBatch batch;
  std::shared_ptr<ModelVersion> version;
  std::vector<WorkPiece> pieces;      // what of the batch really runs
  std::vector<RunningPiece> running;  // by piece, as the queue knows it
  std::int64_t rows = 0;              // in pieces
  std::int64_t decision = 0;          // its number in the decision log
  BatchResult result;
  std::shared_ptr<const CostCurve> learned;  // a curve to go on with, or null
  Refusal failure{Status::kOk, {}, 0};
  std::vector<Answer> answers;

  void clear();
};

// Counts the batch and its answers. To be called before they are sent.
void count_batch(const BatchJob& job);
void count_answers(const BatchJob& job, double now);
void count_refusal(const InferenceRequest& request, Status status, double took_us);
// A line for each, where anybody wants to see it.
void log_answers(const std::vector<Answer>& answers, double now);
// Calls reply() of each answer's request, and lets go of it.
void send_answers(std::vector<Answer>& answers);

// Why a batch had nowhere to put its results.
Refusal no_output_memory(const ModelVersion& version);

// Microseconds of the steady clock.
double now_us();

}  // namespace batchwise::serve
