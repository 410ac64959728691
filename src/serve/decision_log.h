// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "batching/request_queue.h"
#include "serve/server.h"

namespace batchwise::serve {

// The batches that were decided on last, and what was known then. Sentences are made when somebody
// asks. Not for several threads.
class DecisionLog {
 public:
  static constexpr std::int64_t kKept = 64;

  // The decision that `queue` has just made at `now_us`, and has not yet taken. Returns its number.
  std::int64_t add(const std::string& model, const RequestQueue& queue, double now_us);
  // Batch `number` has ended after so long.
  void note_end(std::int64_t number, double took_us);
  // The newest last.
  std::vector<DecisionRecord> records() const;

 private:
  struct Row {
    std::string model;
    double at_us = 0, expected_us = 0, took_us = 0;
    std::int64_t requests = 0, rows = 0, run_rows = 0, left = 0;
    double oldest_wait_us = 0;       // of its requests
    double least_slack_us = kNever;  // of its requests, when it began
    double rate_per_s = 0;
    Reason reason = Reason::kNothingWaits;
  };
  static std::string sentence(const Row& row);

  std::array<Row, kKept> rows_;
  std::int64_t count_ = 0;
};

}  // namespace batchwise::serve
