// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <cstdio>
#include <mutex>
#include <string>
#include <vector>

#include "batching/request_queue.h"

namespace batchwise::serve {

// Writes what comes and what runs to a file that `simulate --arrivals` reads: a line an arrival,
// and lines that begin with # for the models and the batches. Thread-safe; lines are kept until
// write() puts them into the file, which is not to be called where time matters.
class TrafficRecord {
 public:
  // Times are written from `origin_us` on. Throws Error{kEnvironment}.
  TrafficRecord(std::string path, double origin_us);
  ~TrafficRecord();
  TrafficRecord(const TrafficRecord&) = delete;
  TrafficRecord& operator=(const TrafficRecord&) = delete;

  void note_model(std::int32_t slot, const std::string& name, const std::string& version);
  void note_arrival(const WaitingRequest& request);
  void note_batch(std::int32_t slot, double start_us, double us, std::int64_t rows,
                  std::int64_t run_rows);
  // Once the disk is full nothing more is written, and that is logged once.
  void write();

 private:
  struct Batch {
    std::int32_t slot;
    double start_us, us;
    std::int64_t rows, run_rows;
  };
  void fail(int error);

  const std::string path_;
  const double origin_us_;
  std::FILE* file_;  // only touched by write(), under writing_
  std::mutex writing_, mutex_;
  std::vector<std::string> models_;  // guarded by mutex_, and what follows
  std::vector<WaitingRequest> arrivals_;
  std::vector<Batch> batches_;
};

}  // namespace batchwise::serve
