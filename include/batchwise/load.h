// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "batchwise/export.h"

namespace batchwise {

// Load for a v2 server. A plain value; the defaults are those of the command line.
struct LoadSettings {
  // The server. "http://127.0.0.1:8000", "https://...", "grpc://...", "unix:/path" or "host:port".
  std::string url;
  bool grpc = false;                // for a URL without a scheme
  std::string model, version;       // an empty version: the newest
  std::string encoding = "binary";  // of tensors over HTTP, or json
  std::string api_key;
  std::string ca_file;    // PEM, of whom the server's certificate may be; empty: the system's
  bool insecure = false;  // any certificate will do

  // How requests come. A closed loop of `concurrency` requests, the next as soon as one was
  // answered; or, with a rate or a file of arrivals, an open loop; or a scenario of MLPerf LoadGen:
  // single-stream, multi-stream, server, offline.
  std::int64_t concurrency = 0;  // 0 and no rate: 1
  double rate_per_s = 0;
  std::string arrivals = "poisson";  // or bursty, diurnal, or a .csv with times
  std::string scenario;
  double duration_s = 10;
  double warmup_s = 1;           // before that, and not counted
  std::int64_t requests = 0;     // instead of a duration
  std::int64_t connections = 0;  // at most; 0: the concurrency, or 512 of an open loop
  std::uint64_t seed = 0;

  // What is asked.
  std::int64_t rows_low = 1, rows_high = 1;  // of a request, evenly from here to there
  double timeout_us = 0;                     // sent as the request's `timeout`; 0: none
  std::string data, label;                   // samples; empty: random ones
  // Outputs that `predict` wrote for the data, or a model to run it with here: each reply's bits
  // are compared.
  std::string expected_outputs, expected_model;
  std::string
      output_name;  // the one that is compared; empty: the first, or all of `expected_model`

  // What counts as in time, from when a request was due; 0: the timeout.
  double limit_us = 0;
  // Search the highest rate of Poisson arrivals at which 99 % are answered within the limit.
  bool find_rate = false;
};

// A rate that find_rate tried.
struct RateTrial {
  double rate_per_s = 0;
  std::int64_t requests = 0;
  std::int64_t not_in_time = 0;  // late, or not answered at all
  double p99_us = 0;
  // "holds" and "fails" with 99 % confidence that the share in time is above, or is not above, 99
  // %; else "unsure".
  std::string verdict;
};

// What came of it; latencies in microseconds from when a request was due.
struct LoadReport {
  std::int64_t requests = 0, answered = 0;
  std::int64_t refused = 0;  // for overload, and given up by the server at their deadline
  std::int64_t expired = 0;  // of those, at their deadline
  std::int64_t failed = 0;   // any other error
  std::int64_t lost = 0;     // without a reply
  std::int64_t late = 0;     // answered after the limit
  double requests_per_s = 0, goodput_per_s = 0, rows_per_s = 0;  // answered; of those, in time
  double p50_us = 0, p90_us = 0, p99_us = 0, p999_us = 0, max_us = 0, mean_us = 0;
  double mean_batch = 0;                    // of the server's own statistics; 0: it has none
  std::int64_t checked = 0, differing = 0;  // replies whose bits were compared
  double send_lag_p99_us = 0;               // from when a request was due until it was sent
  double client_cpu_us = 0;                 // that a request costs here
  double seconds = 0;
  std::string first_fault;  // of the failed and lost
  bool interrupted = false;
  bool server_is_gone = false;  // it ended so

  // Of a scenario: its name, what it is judged by, and that figure, which is met with 99 %
  // confidence for latencies; 0 where there were too few requests to say.
  std::string scenario, metric;
  double metric_value = 0;
  // Of find_rate: the highest that holds, and all that were tried. The other fields are of it.
  double found_rate_per_s = 0;
  std::vector<RateTrial> trials;
};
BATCHWISE_API std::string to_json(const LoadReport& report);

// What long work says of itself.
struct LoadStatus {
  double seconds = 0, of_seconds = 0;  // 0: requests are counted instead
  std::int64_t requests = 0, of_requests = 0;
  double requests_per_s = 0;  // lately
  std::string phase;          // "warm-up", "300 requests/s"
};

// Sends load and says how it was answered. `on_status` is asked several times a second: false ends
// the run, with what was measured. Throws Error{kInvalidInput} for settings that make no sense and
// for what the server does not take, Error{kEnvironment} where it cannot be reached, and Error{kNo}
// where no rate is answered in time.
BATCHWISE_API LoadReport send_load(const LoadSettings& settings,
                                   const std::function<bool(const LoadStatus&)>& on_status = {});

}  // namespace batchwise
