// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "batching/scheduler.h"
#include "batchwise/process.h"

namespace batchwise::serve {

// A plain value; the defaults are those of the command line.
struct ServerOptions {
  SchedulerOptions scheduler;
  double p99_us = 100e3;  // an answer is due after so long, or sooner where a client says so
  int instances = 1;      // batches at once
  int threads = 0;        // of an instance; 0: the cores that this process may use, by instances
  Resources resources;    // the memory limit, and what the process held before any model
  std::int64_t max_batch = 0;            // rows; 0: by cost, for each model
  std::int64_t max_request_rows = 4096;  // larger requests are refused
  std::string profile;                   // a file with measured times, for all models; may be empty
  std::shared_ptr<const CostCurve> curve;  // measured times themselves, before a profile; or null
  bool measures_when_idle = true;
  double poll_files_s = 1;  // how often models' files are looked at; 0: never
  std::string record;       // a file that arrivals and batches are written to; may be empty

  // Tests: called before a batch of this model runs; what it throws, the batch threw.
  std::function<void(std::string_view model, std::int64_t rows)> before_run;
};

}  // namespace batchwise::serve
