// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "serve/grpc/access.h"
#include "serve/grpc/call_room.h"
#include "serve/request.h"

namespace grpc {
class ByteBuffer;
class CallbackServerContext;
class ServerUnaryReactor;
template <class Request, class Response>
class ServerBidiReactor;
}  // namespace grpc

namespace batchwise::serve {

class Server;
class StreamCalls;

// What all calls of a front end share. They keep it: the server may let go of a request after the
// front end has gone.
struct CallShared {
  Server& server;
  Access access;
  std::size_t most_message_bytes = 0;  // decompressed
  CallRooms rooms;
  std::atomic<bool> stopping{false};
  std::atomic<std::int64_t> refused_while_stopping{0};
};

// Reads a message of the wire into a request that is ready for the server: parses it, finds its
// model, decodes its tensors. Nothing where it is; else why it is refused.
std::optional<Refusal> read_request(CallShared& shared, const grpc::ByteBuffer& bytes,
                                    CallRoom& room, InferenceRequest& request);

// The reply as gRPC sends it. Small outputs are copied, which frees the batch's memory at once;
// large ones stay where they are until they have been sent.
void write_reply(const InferenceRequest& request, const Reply& reply, ReplyMessage kind,
                 bool is_last, CallRoom& room, grpc::ByteBuffer& into);

// The lesser of two limits of which 0 means none.
double lesser_timeout_us(double a, double b);

// ModelInfer.
grpc::ServerUnaryReactor* start_inference(const std::shared_ptr<CallShared>& shared,
                                          grpc::CallbackServerContext& context,
                                          const grpc::ByteBuffer& request,
                                          grpc::ByteBuffer& response);
// ModelStreamInfer. `calls` knows it until its end.
grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* start_stream(
    const std::shared_ptr<CallShared>& shared, StreamCalls& calls,
    grpc::CallbackServerContext& context);

}  // namespace batchwise::serve
