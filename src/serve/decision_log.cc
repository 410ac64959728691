// SPDX-License-Identifier: Apache-2.0
#include "serve/decision_log.h"

#include <fmt/format.h>

#include <algorithm>

namespace batchwise::serve {

std::int64_t DecisionLog::add(const std::string& model, const RequestQueue& queue, double now_us) {
  const Decision& decision = queue.decision();
  const QueueView& view = queue.view();
  Row& row = rows_[static_cast<std::size_t>(count_ % kKept)];
  row.model = model;
  row.at_us = now_us;
  row.expected_us = view.models[static_cast<std::size_t>(decision.model)].us(decision.rows);
  row.took_us = 0;
  row.requests = static_cast<std::int64_t>(decision.batch.size());
  row.rows = decision.rows;
  row.run_rows = decision.run_rows;
  row.left = static_cast<std::int64_t>(view.waiting.size()) - row.requests;
  row.oldest_wait_us = 0;
  row.least_slack_us = kNever;
  for (const BatchPiece& piece : decision.batch) {
    const WaitingRequest& request = view.waiting[piece.index];
    row.oldest_wait_us = std::max(row.oldest_wait_us, now_us - request.arrival_us);
    row.least_slack_us = std::min(row.least_slack_us, request.deadline_us - now_us);
  }
  row.rate_per_s = queue.traffic().rate() * 1e6;
  row.reason = decision.reason;
  return count_++;
}

void DecisionLog::note_end(std::int64_t number, double took_us) {
  if (number < count_ - kKept || number >= count_) return;
  rows_[static_cast<std::size_t>(number % kKept)].took_us = took_us;
}

std::string DecisionLog::sentence(const Row& row) {
  std::string text = fmt::format("ran {}", row.rows);
  if (row.run_rows > row.rows) text += fmt::format(" as {}", row.run_rows);
  text += fmt::format(" of {} request{}: {}", row.requests, row.requests == 1 ? "" : "s",
                      reason_text(row.reason));
  text += fmt::format("; the oldest had waited {:.2f} ms", row.oldest_wait_us / 1e3);
  if (row.least_slack_us < kNever) {
    text += fmt::format(", the first deadline was {:.2f} ms away, the batch takes about {:.2f} ms",
                        row.least_slack_us / 1e3, row.expected_us / 1e3);
  }
  if (row.rate_per_s > 0) text += fmt::format("; {:.0f} requests a second come", row.rate_per_s);
  if (row.left > 0) text += fmt::format("; {} wait on", row.left);
  return text;
}

std::vector<DecisionRecord> DecisionLog::records() const {
  std::vector<DecisionRecord> records;
  for (std::int64_t i = std::max<std::int64_t>(0, count_ - kKept); i < count_; ++i) {
    const Row& row = rows_[static_cast<std::size_t>(i % kKept)];
    records.push_back({row.at_us, row.model, row.requests, row.rows, row.run_rows, row.expected_us,
                       row.took_us, sentence(row)});
  }
  return records;
}

}  // namespace batchwise::serve
