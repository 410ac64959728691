// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "batchwise/export.h"
#include "batchwise/process.h"

namespace batchwise {

// What is served, how and to whom. A plain value; the defaults are those of the command line. Times
// in microseconds unless the name says otherwise; 0 means the default where one is named.
struct ServeSettings {
  std::vector<std::string> models;  // ONNX files, named after them or by "NAME=FILE"
  std::string folder;               // a repository: name/1/model.onnx, or name.onnx

  std::string http = "127.0.0.1:8000";   // or "unix:/path"; empty: none. Port 0: any that is free
  std::string grpc;                      // empty: none
  bool allow_remote = false;             // addresses that other machines can reach
  std::string api_keys;                  // a file with a key a line; empty: everybody may ask
  std::string tls_certificate, tls_key;  // PEM files
  std::int64_t max_body_bytes = 64 << 20;
  int max_connections = 12'000;
  int io_threads = 1;  // of a protocol

  double p99_us = 100e3;  // when an answer is due after the arrival, unless a client says sooner
  std::string policy = "deadline";  // or delay, greedy, aimd, adaptive
  std::string profile;              // measured times of batch sizes; empty: learned
  int instances = 1;                // batches at once
  Resources resources;              // threads: of an instance
  std::int64_t max_batch = 0;       // rows; 0: by cost
  std::int64_t max_request_rows = 4096;
  std::int64_t max_queue = 4096;  // requests that may wait
  // delay, as Triton's dynamic batcher.
  std::vector<std::int64_t> preferred_sizes;
  double queue_delay_us = 0;
  double queue_timeout_us = 0;  // 0: none
  bool delay_at_timeout = false;

  double poll_files_s = 1;         // how often models' files are looked at; 0: never
  std::string record;              // a .csv that arrivals and batches are written to
  std::string log_level = "info";  // or debug, warning, error, off
};

// Where a server listens, once it answers: "127.0.0.1:8000"; empty: it does not.
struct ServeAddresses {
  std::string http, grpc;
  std::vector<std::string> models;
};

// Serves until `should_stop`, which is asked some times a second, says so; then answers what was
// accepted and returns. `on_ready` is called when all models are loaded and requests are taken.
// Throws Error: settings that make no sense, a model that cannot be served, a limit that does not
// hold it (kNo), an address that cannot be had (kEnvironment).
BATCHWISE_API void serve_models(const ServeSettings& settings,
                                const std::function<void(const ServeAddresses&)>& on_ready,
                                const std::function<bool()>& should_stop);

// A flag of `serve` without its dashes, with its values as they would be typed.
struct ServeFlag {
  std::string name;
  std::vector<std::string> values;  // none: a switch that is on
};
// Reads a TOML file of such flags; models come as the flag "model". Throws Error with the line.
BATCHWISE_API std::vector<ServeFlag> read_serve_config(const std::string& path);

}  // namespace batchwise
