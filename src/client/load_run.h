// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "batching/arrivals.h"
#include "client/infer_client.h"
#include "client/latency_histogram.h"
#include "client/request_set.h"

namespace batchwise {

// What a run says of itself now and then.
struct LoadProgress {
  double seconds = 0, of_seconds = 0;  // with the warm-up; 0 where requests are counted
  std::int64_t sent = 0, of_requests = 0;
  double answers_per_s = 0;  // lately
};

// How requests come. Closed loop: `concurrency` of them at any time, the next as soon as one was
// answered. Open loop: at the times of `arrivals`, whatever the server does.
struct LoadShape {
  std::int64_t concurrency = 0;       // above 0: a closed loop
  ArrivalSource* arrivals = nullptr;  // of an open loop; a request has the rows of its arrival
  std::int64_t rows_low = 1, rows_high = 1;  // of a request in a closed loop
  double warmup_us = 0;                      // before anything counts
  double duration_us = kNever;               // of what counts; kNever: until the requests are over
  std::int64_t requests = 0;                 // that count; 0: as many as there is time for
  double limit_us = kNever;                  // an answer later than this after its time is late
  double grace_us = 10e6;                    // how long the last answers are waited for
  std::uint64_t seed = 0;
  // Asked several times a second; false ends the run, and what was measured is kept.
  std::function<bool(const LoadProgress&)> on_progress;
};

// What came of a run. Counts are of the requests whose time was in the window that counts; rates of
// the answers that came in it.
struct LoadCounts {
  std::int64_t requests = 0, rows = 0;
  std::int64_t answered = 0, answered_rows = 0;
  std::int64_t late = 0;                    // answered after the limit
  std::int64_t refused = 0;                 // for overload
  std::int64_t expired = 0;                 // given up by the server at their deadline
  std::int64_t failed = 0;                  // any other error
  std::int64_t lost = 0;                    // without a reply
  std::int64_t checked = 0, differing = 0;  // replies whose outputs were compared, warm-up included
  // Of the answered, from the time that a request was due, not from when it was sent; and from then
  // until it was sent.
  LatencyHistogram latency, send_lag;
  double seconds = 0;
  double answers_per_s = 0, in_time_per_s = 0, rows_per_s = 0;
  double client_cpu_us = 0;  // a request, of this thread
  std::string first_fault;   // of the failed and the lost
  bool was_stopped = false;
  bool server_is_gone = false;  // nothing but losses for a while
};

// Sends requests of the set and counts. On the client's thread; returns once all are answered, or
// given up.
LoadCounts run_load(InferClient& client, RequestSet& requests, const LoadShape& shape);

}  // namespace batchwise
