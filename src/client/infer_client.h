// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "batchwise/dtype.h"

// How the load generator, and whoever else asks a v2 server, sees a protocol. All times are
// microseconds of monotonic_seconds(), the steady clock.
namespace batchwise {

// Where a server is, and how to get in.
struct ClientOptions {
  std::string host;         // a name or an address; empty where there is a socket
  int port = 0;             // 0: the protocol's own
  std::string unix_socket;  // a path; empty: TCP
  bool tls = false;
  std::string ca_file;         // PEM, of whom the server's certificate may be; empty: the system's
  bool verify = true;          // the certificate; false takes any
  std::string api_key;         // sent as "authorization: Bearer KEY"; empty: none
  int connections = 1;         // opened at once
  int max_connections = 1;     // more are opened up to here while all are busy
  bool binary_tensors = true;  // HTTP: false sends and asks for numbers in JSON
};

struct RemoteTensor {
  std::string name;
  DType dtype = DType::kUndefined;  // kUndefined: one that we do not send (BYTES)
  std::vector<std::int64_t> shape;  // -1 where it is free
};

struct RemoteModel {
  std::string name;
  std::vector<std::string> versions;
  std::vector<RemoteTensor> inputs, outputs;
};

// The server's own counts of a model since it was loaded.
struct RemoteStatistics {
  std::int64_t inference_count = 0;  // rows
  std::int64_t execution_count = 0;  // batches
};

// Dense, row-major, little-endian. Of a call: valid until prepare() returns; of a reply: during the
// callback.
struct NamedTensor {
  std::string name;
  DType dtype = DType::kFloat32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;
};

// What to ask.
struct InferCall {
  std::string model, version;  // an empty version: the newest
  std::vector<NamedTensor> inputs;
  std::vector<std::string> outputs;  // names; empty: all
  double timeout_us = 0;             // sent as the request's `timeout`; 0: none
  bool wants_outputs = false;        // the callback gets the tensors; else they are only counted
};

// A call as it goes over the wire, made once and sent many times. Belongs to the client that made
// it, and must live until its last reply.
class PreparedInfer {
 public:
  virtual ~PreparedInfer() = default;
};

enum class InferStatus : std::uint8_t {
  kOk,
  kRefused,  // HTTP 503 and 429, RESOURCE_EXHAUSTED, UNAVAILABLE from the server itself
  kExpired,  // 504, DEADLINE_EXCEEDED
  kFailed,   // any other error, or a reply that is none
  kLost,     // no reply: the connection broke, or could not be made
};

struct InferReply {
  InferStatus status = InferStatus::kOk;
  int code = 0;                          // HTTP's status or gRPC's; 0 for kLost
  std::string_view message;              // why it is not kOk, one line
  double sent_us = 0;                    // its first byte was handed to the system; 0: never
  double received_us = 0;                // its last byte was there
  std::span<const NamedTensor> outputs;  // of kOk where they were wanted
};

class InferReplyHandler {
 public:
  virtual ~InferReplyHandler() = default;
  // Called once for each send(), from within wait(), and may send(). Must not throw.
  virtual void on_reply(std::uint64_t tag, const InferReply& reply) = 0;
};

// A connection, or a pool of them, to one server. Belongs to one thread: callbacks come from within
// wait(), on the caller's thread, so neither side locks. Destroying it forgets what is outstanding.
class InferClient {
 public:
  virtual ~InferClient() = default;

  // Opens ClientOptions::connections. Blocks. Throws Error{kEnvironment} where the server cannot be
  // reached, with its address and why.
  virtual void connect() = 0;

  // Ask and wait, some seconds at most; between requests only. Throw Error{kInvalidInput} where the
  // server does not know the model or refuses, Error{kEnvironment} where it cannot be reached or
  // its reply is none.
  virtual RemoteModel model(const std::string& name, const std::string& version) = 0;
  // Nothing where the server has no statistics.
  virtual std::optional<RemoteStatistics> statistics(const std::string& name,
                                                     const std::string& version) = 0;

  virtual std::unique_ptr<PreparedInfer> prepare(const InferCall& call) = 0;

  // Sends now, or, where all connections are busy and no more may be opened, as soon as one is
  // free. Does not block; a failure comes as a reply of its own, from the next wait().
  virtual void send(const PreparedInfer& request, std::uint64_t tag,
                    InferReplyHandler& handler) = 0;

  // Handles what comes in until `until_us`; returns early, once replies were handled. Requires: a
  // time that has passed handles what is there and returns.
  virtual void wait(double until_us) = 0;

  // Gives up what is outstanding: no callback comes for it any more.
  virtual void forget() = 0;
};

// The module of client/grpc exports a function of this type under this name, with C linkage. The
// caller owns the client.
using MakeInferClient = InferClient* (*)(const ClientOptions& options);
inline constexpr char kMakeGrpcClientName[] = "batchwise_make_grpc_client";

}  // namespace batchwise
