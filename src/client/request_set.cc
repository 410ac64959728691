// SPDX-License-Identifier: Apache-2.0
#include "client/request_set.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "measure/sampling.h"

namespace batchwise {
namespace {

constexpr std::int64_t kMostBytes = std::int64_t{1} << 30;
constexpr std::int64_t kWantedBytes = std::int64_t{128} << 20;
constexpr std::int64_t kMostAlike = 64;  // requests with the same number of rows
constexpr double kMostTrialUs = 30e6;

struct Trial final : InferReplyHandler {
  void on_reply(std::uint64_t, const InferReply& reply) override {
    is_done = true;
    status = reply.status;
    code = reply.code;
    message = reply.message;
  }
  bool is_done = false;
  InferStatus status = InferStatus::kLost;
  int code = 0;
  std::string message;
};

// HTTP's 4xx; of gRPC's codes all but OK, UNKNOWN, INTERNAL and DATA_LOSS.
bool is_askers_fault(int code) {
  constexpr int kUnknown = 2, kInternal = 13, kDataLoss = 15, kLeastHttp = 100;
  if (code >= kLeastHttp) return code >= 400 && code < 500;
  return code > 0 && code != kUnknown && code != kInternal && code != kDataLoss;
}

}  // namespace

RequestSet::RequestSet(InferClient& client, const SamplePool& pool,
                       const RequestSetOptions& options)
    : pool_(pool), rows_low_(options.rows_low), random_(options.seed) {
  if (options.rows_high > pool.rows) {
    fail_input("--rows", "{} rows a request, and there are {} samples", options.rows_high,
               pool.rows);
  }
  std::int64_t row_bytes = 1;
  for (const PoolColumn& column : pool.inputs) row_bytes += column.row_bytes;
  const std::int64_t num_sizes = options.rows_high - options.rows_low + 1;
  const std::int64_t one_each = row_bytes * num_sizes * (options.rows_low + options.rows_high) / 2;
  if (one_each > kMostBytes) {
    fail_input("--rows", "one request of each size from {} to {} would take {} bytes",
               options.rows_low, options.rows_high, one_each);
  }
  const std::int64_t count = std::clamp<std::int64_t>(kWantedBytes / one_each, 1, kMostAlike);
  for (std::int64_t rows = options.rows_low; rows <= options.rows_high; ++rows) {
    make(client, rows, count, options);
  }
  // With its outputs, so that a reply that is none is seen.
  InferCall call = call_for(pool.rows - options.rows_low, options.rows_low, options);
  call.wants_outputs = true;
  trial_ = client.prepare(call);
}

InferCall RequestSet::call_for(std::int64_t first, std::int64_t rows,
                               const RequestSetOptions& options) const {
  InferCall call;
  call.model = options.model;
  call.version = options.version;
  call.timeout_us = options.timeout_us;
  call.wants_outputs = compares();
  for (const PoolColumn& column : pool_.inputs) {
    std::vector<std::int64_t> shape = column.row_shape;
    shape.insert(shape.begin(), rows);
    const std::span<const std::byte> all(column.bytes);
    call.inputs.push_back({column.name, column.dtype, std::move(shape),
                           all.subspan(static_cast<std::size_t>(first * column.row_bytes),
                                       static_cast<std::size_t>(rows * column.row_bytes))});
  }
  for (const PoolColumn& column : pool_.expected) call.outputs.push_back(column.name);
  return call;
}

void RequestSet::make(InferClient& client, std::int64_t rows, std::int64_t count,
                      const RequestSetOptions& options) {
  std::vector<Request>& alike = by_rows_.emplace_back();
  for (std::int64_t i = 0; i < count; ++i) {
    Request request;
    request.rows = rows;
    request.first = random_.integer(0, pool_.rows - rows);
    request.prepared = client.prepare(call_for(request.first, rows, options));
    alike.push_back(std::move(request));
  }
}

void RequestSet::try_one(InferClient& client, const std::string& where) const {
  Trial trial;
  const double until_us = monotonic_seconds() * 1e6 + kMostTrialUs;
  client.send(*trial_, 0, trial);
  while (!trial.is_done && monotonic_seconds() * 1e6 < until_us) client.wait(until_us);
  if (!trial.is_done) {
    client.forget();
    fail_environment(where, "no answer to the first request within {:.0f} s", kMostTrialUs / 1e6);
  }
  if (trial.status == InferStatus::kLost) fail_environment(where, "{}", trial.message);
  if (trial.status != InferStatus::kFailed) return;
  if (is_askers_fault(trial.code))
    fail_input(where, "does not take the request: {}", trial.message);
  fail_environment(where, "{}", trial.message);
}

const RequestSet::Request& RequestSet::pick(std::int64_t rows) {
  const std::vector<Request>& alike = by_rows_.at(static_cast<std::size_t>(rows - rows_low_));
  return alike[static_cast<std::size_t>(
      random_.integer(0, static_cast<std::int64_t>(alike.size()) - 1))];
}

bool RequestSet::has_expected_outputs(const Request& request,
                                      std::span<const NamedTensor> outputs) const {
  return std::all_of(pool_.expected.begin(), pool_.expected.end(), [&](const PoolColumn& column) {
    const auto output = std::find_if(outputs.begin(), outputs.end(), [&](const NamedTensor& one) {
      return one.name == column.name;
    });
    const auto bytes = static_cast<std::size_t>(request.rows * column.row_bytes);
    return output != outputs.end() && output->dtype == column.dtype &&
           output->bytes.size() == bytes &&
           std::memcmp(output->bytes.data(), column.bytes.data() + request.first * column.row_bytes,
                       bytes) == 0;
  });
}

}  // namespace batchwise
