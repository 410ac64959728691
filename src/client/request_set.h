// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "batching/simulation_random.h"
#include "client/infer_client.h"
#include "client/sample_pool.h"

namespace batchwise {

struct RequestSetOptions {
  std::string model, version;
  std::int64_t rows_low = 1, rows_high = 1;
  double timeout_us = 0;  // sent with each; 0: none
  std::uint64_t seed = 0;
};

// Requests that are ready to be sent: of each number of rows a few, over rows of a pool that follow
// each other. Made before anything is timed. Belongs to the client's thread.
class RequestSet {
 public:
  struct Request {
    std::unique_ptr<PreparedInfer> prepared;
    std::int64_t first = 0, rows = 1;  // of the pool
  };

  // Requires: the pool outlives it. Throws Error{kInvalidInput} where the pool has fewer rows than
  // a request may have, or all of it would take more than a gigabyte.
  RequestSet(InferClient& client, const SamplePool& pool, const RequestSetOptions& options);

  // Sends one and waits for its answer, at most half a minute. Throws Error{kInvalidInput} where
  // the server does not take it, Error{kEnvironment} where there is no answer or it is none; a
  // server that is too busy is no fault. `where` names the server.
  void try_one(InferClient& client, const std::string& where) const;

  // One of those with so many rows, by chance. Requires: rows within the options' range.
  const Request& pick(std::int64_t rows);
  // Whether the reply has the bits that belong to the request; true where nothing is compared.
  bool has_expected_outputs(const Request& request, std::span<const NamedTensor> outputs) const;
  bool compares() const { return !pool_.expected.empty(); }

 private:
  InferCall call_for(std::int64_t first, std::int64_t rows, const RequestSetOptions& options) const;
  void make(InferClient& client, std::int64_t rows, std::int64_t count,
            const RequestSetOptions& options);

  const SamplePool& pool_;
  std::int64_t rows_low_;
  std::vector<std::vector<Request>> by_rows_;  // from rows_low_
  std::unique_ptr<PreparedInfer> trial_;
  SimulationRandom random_;
};

}  // namespace batchwise
