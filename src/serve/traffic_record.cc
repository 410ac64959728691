// SPDX-License-Identifier: Apache-2.0
#include "serve/traffic_record.h"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "serve/log.h"

namespace batchwise::serve {

TrafficRecord::TrafficRecord(std::string path, double origin_us)
    : path_(std::move(path)), origin_us_(origin_us), file_(std::fopen(path_.c_str(), "we")) {
  if (file_ == nullptr) fail_environment(path_, "cannot be written: {}", std::strerror(errno));
  std::fputs("at_us,rows,timeout_us,model,client,priority\n", file_);
}

TrafficRecord::~TrafficRecord() {
  write();
  if (file_ != nullptr) std::fclose(file_);
}

void TrafficRecord::note_model(std::int32_t slot, const std::string& name,
                               const std::string& version) {
  const std::lock_guard lock(mutex_);
  models_.push_back(fmt::format("#model,{},{},{}\n", slot, name, version));
}

void TrafficRecord::note_arrival(const WaitingRequest& request) {
  const std::lock_guard lock(mutex_);
  arrivals_.push_back(request);
}

void TrafficRecord::note_batch(std::int32_t slot, double start_us, double us, std::int64_t rows,
                               std::int64_t run_rows) {
  const std::lock_guard lock(mutex_);
  batches_.push_back({slot, start_us, us, rows, run_rows});
}

void TrafficRecord::fail(int error) {
  log_event(LogLevel::kError, "record_stopped",
            {{"file", path_}, {"reason", std::strerror(error)}});
  std::fclose(file_);
  file_ = nullptr;
}

void TrafficRecord::write() {
  const std::lock_guard writing(writing_);
  std::vector<std::string> models;
  std::vector<WaitingRequest> arrivals;
  std::vector<Batch> batches;
  {
    const std::lock_guard lock(mutex_);
    models.swap(models_);
    arrivals.swap(arrivals_);
    batches.swap(batches_);
  }
  if (file_ == nullptr) return;
  std::string text;
  for (const std::string& model : models) text += model;
  for (const WaitingRequest& r : arrivals) {
    text += fmt::format("{:.1f},{},{:.1f},{},{},{}\n", r.arrival_us - origin_us_, r.rows,
                        r.deadline_us - r.arrival_us, r.model, r.client, r.priority);
  }
  for (const Batch& b : batches) {
    text += fmt::format("#batch,{:.1f},{},{},{},{:.1f}\n", b.start_us - origin_us_, b.slot, b.rows,
                        b.run_rows, b.us);
  }
  if (std::fwrite(text.data(), 1, text.size(), file_) != text.size() || std::fflush(file_) != 0) {
    fail(errno);
  }
}

}  // namespace batchwise::serve
