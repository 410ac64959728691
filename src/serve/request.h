// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "batchwise/dtype.h"

// What the protocols and the server hand each other. All times are microseconds of the steady
// clock.
namespace batchwise::serve {

// Why a request got no result. Each protocol translates it in one place.
enum class Status : std::uint8_t {
  kOk,
  kInvalid,           // HTTP 400, INVALID_ARGUMENT
  kNotFound,          // 404, NOT_FOUND
  kUnsupported,       // 501, UNIMPLEMENTED
  kTooLarge,          // 413, INVALID_ARGUMENT
  kOverloaded,        // 503 with Retry-After, RESOURCE_EXHAUSTED
  kUnavailable,       // 503, UNAVAILABLE: the model or the server is not ready, or goes away
  kDeadlineExceeded,  // 504, DEADLINE_EXCEEDED
  kCancelled,         // 499, CANCELLED
  kInternal,          // 500, INTERNAL
};

struct Refusal {
  Status status = Status::kInternal;
  std::string message;       // one line, with values
  double retry_after_s = 0;  // of kOverloaded
};

// What a model takes or gives: shape[0] is the batch, -1 where it is free.
struct TensorSpec {
  std::string name;
  DType dtype = DType::kFloat32;
  std::vector<std::int64_t> shape;
  std::int64_t row_bytes = 0;  // of one row
};

// A version of a model, as clients see it. Immutable.
struct ModelInfo {
  std::string name, version;
  std::vector<TensorSpec> inputs, outputs;
  std::int64_t max_batch_rows =
      0;  // of a request: larger ones are split, so it is no limit on them
  std::int64_t max_request_rows = 0;  // more are refused
  std::vector<std::string> class_names;
};

// An input of a request: dense, row-major, little-endian, as the model's dtype. The bytes stay
// where the protocol has them until the reply; the server copies them once, into the batch.
struct RequestTensor {
  std::size_t input = 0;  // index in ModelInfo::inputs
  std::span<const std::byte> bytes;
};

// Where the time of a request went.
struct RequestTiming {
  double arrival_us = 0;                      // it was handed in
  double start_us = 0;                        // its (first) batch began
  double computed_us = 0;                     // its (last) batch ended
  std::int64_t batch_rows = 0, run_rows = 0;  // of its last batch, and with the padding
};

struct Reply {
  Refusal refusal;  // status kOk: there are outputs
  std::int64_t rows = 0;
  // One for each output of the model, or for each that was asked for, in that order: rows x
  // row_bytes.
  std::vector<std::span<const std::byte>> outputs;
  // Keeps what `outputs` points to; let go of it when it has been written.
  std::shared_ptr<const void> memory;
  RequestTiming timing;
};

// One inference as the server sees it. A protocol derives from it, fills the fields, hands it in,
// and leaves all but `cancelled` alone until reply() was called. May be used again after that.
class InferenceRequest {
 public:
  virtual ~InferenceRequest() = default;

  std::shared_ptr<const ModelInfo> model;  // of Server::find_model()
  std::int64_t rows = 0;                   // at least 1
  std::vector<RequestTensor> inputs;       // one for each input of the model, each of `rows` rows
  std::vector<std::size_t> outputs;        // indices in ModelInfo::outputs; empty: all
  double timeout_us = 0;                   // that the client gave; 0: none
  std::int32_t priority = 0;               // 1 is the highest, 0: the default
  std::int32_t client = 0;                 // of Server::client_of()
  std::string trace_parent;                // W3C's traceparent, or empty
  std::string id;                          // the client's own, for logs and traces

  // Set from any thread when the client has gone: the request is dropped before it costs anything,
  // or its result is.
  std::atomic<bool> cancelled{false};

  // Called exactly once for each Server::infer(), by any thread, infer()'s caller included. Must
  // neither block nor throw.
  virtual void reply(Reply&& reply) = 0;
};

}  // namespace batchwise::serve
