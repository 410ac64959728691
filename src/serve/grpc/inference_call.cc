// SPDX-License-Identifier: Apache-2.0
#include "serve/grpc/inference_call.h"

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>
#include <inference_proto/inference_service.pb.h>

#include <algorithm>
#include <cstring>
#include <exception>

#include "serve/grpc/grpc_status.h"
#include "serve/grpc/read_message.h"
#include "serve/server.h"

namespace batchwise::serve {
namespace {

// Outputs of more bytes are sent from where they are.
constexpr std::size_t kMostCopiedBytes = 16 << 10;

// One ModelInfer. gRPC keeps it until OnDone(), the server until it has replied.
class InferenceCall final : public grpc::ServerUnaryReactor,
                            public InferenceRequest,
                            public std::enable_shared_from_this<InferenceCall> {
 public:
  InferenceCall(std::shared_ptr<CallShared> shared, grpc::CallbackServerContext& context,
                grpc::ByteBuffer& response)
      : shared_(std::move(shared)),
        context_(context),
        response_(response),
        room_(shared_->rooms.take()) {}
  ~InferenceCall() override { shared_->rooms.give_back(std::move(room_)); }

  void start(const grpc::ByteBuffer& bytes) {
    held_ = shared_from_this();
    const auto caller = shared_->access.caller(context_);
    if (!caller) return Finish(unauthenticated_status());
    try {
      if (const auto refusal = prepare(bytes, *caller)) {
        refuse(*refusal);
      } else {
        shared_->server.infer(held_);
      }
    } catch (const std::exception& error) {
      refuse({Status::kInternal, error.what(), 0});
    }
  }

  void reply(Reply&& reply) override {
    if (reply.refusal.status != Status::kOk) return refuse(reply.refusal);
    write_reply(*this, reply, ReplyMessage::kInferResponse, false, *room_, response_);
    reply.memory.reset();
    Finish(grpc::Status::OK);
  }

  void OnCancel() override { cancelled.store(true, std::memory_order_relaxed); }
  void OnDone() override { held_.reset(); }

 private:
  // OnDone() only lets go of this: a hop to gRPC's executor would cost more than it.
  bool InternalInlineable() override { return true; }

  std::optional<Refusal> prepare(const grpc::ByteBuffer& bytes, const std::string& caller) {
    if (shared_->stopping) {
      ++shared_->refused_while_stopping;
      return Refusal{Status::kUnavailable, "the server is being stopped", 0};
    }
    if (auto refusal = read_request(*shared_, bytes, *room_, *this)) return refusal;
    timeout_us = lesser_timeout_us(timeout_us, deadline_us(context_));
    trace_parent = serve::trace_parent(context_);
    client = shared_->server.client_of(caller);
    return std::nullopt;
  }

  void refuse(const Refusal& refusal) { Finish(grpc_status(refusal, &context_)); }

  std::shared_ptr<CallShared> shared_;
  grpc::CallbackServerContext& context_;  // of gRPC, until OnDone()
  grpc::ByteBuffer& response_;            // likewise
  std::unique_ptr<CallRoom> room_;
  std::shared_ptr<InferenceCall> held_;  // for gRPC
};

}  // namespace

std::optional<Refusal> read_request(CallShared& shared, const grpc::ByteBuffer& bytes,
                                    CallRoom& room, InferenceRequest& request) {
  room.message_bytes = bytes.Length();
  room.message->Clear();
  if (auto refusal = read_message(bytes, shared.most_message_bytes, *room.message)) return refusal;
  for (const auto& contents : room.message->raw_input_contents()) {
    room.message_bytes = std::max(room.message_bytes, contents.size());  // of compressed ones
  }
  request.id = room.message->id();
  Refusal why;
  request.model =
      shared.server.find_model(room.message->model_name(), room.message->model_version(), why);
  if (!request.model) return why;
  return decode_request(*room.message, room.narrowed, request);
}

void write_reply(const InferenceRequest& request, const Reply& reply, ReplyMessage kind,
                 bool is_last, CallRoom& room, grpc::ByteBuffer& into) {
  EncodedReply& encoded = room.encoded;
  encode_reply(request, reply, kind, is_last, *room.response, encoded);
  const char* text = encoded.text.data();
  if (encoded.total_bytes <= kMostCopiedBytes) {
    grpc::Slice slice(encoded.total_bytes);
    auto* out = const_cast<std::uint8_t*>(slice.begin());
    std::size_t begin = 0;
    for (std::size_t i = 0; i < encoded.ends.size(); ++i) {
      out = std::copy(text + begin, text + encoded.ends[i], out);
      const auto output = reply.outputs[i];
      if (!output.empty()) std::memcpy(out, output.data(), output.size());
      out += output.size();
      begin = encoded.ends[i];
    }
    std::copy(text + begin, text + encoded.text.size(), out);
    into = grpc::ByteBuffer(&slice, 1);
    return;
  }
  std::vector<grpc::Slice> slices;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < encoded.ends.size(); ++i) {
    slices.emplace_back(text + begin, encoded.ends[i] - begin);
    begin = encoded.ends[i];
    const auto output = reply.outputs[i];
    using Memory = std::shared_ptr<const void>;
    slices.emplace_back(
        const_cast<std::byte*>(output.data()), output.size(),
        [](void* memory) { delete static_cast<Memory*>(memory); }, new Memory(reply.memory));
  }
  if (begin < encoded.text.size()) slices.emplace_back(text + begin, encoded.text.size() - begin);
  into = grpc::ByteBuffer(slices.data(), slices.size());
}

double lesser_timeout_us(double a, double b) {
  if (a <= 0 || b <= 0) return std::max(a, b);
  return std::min(a, b);
}

grpc::ServerUnaryReactor* start_inference(const std::shared_ptr<CallShared>& shared,
                                          grpc::CallbackServerContext& context,
                                          const grpc::ByteBuffer& request,
                                          grpc::ByteBuffer& response) {
  auto call = std::make_shared<InferenceCall>(shared, context, response);
  call->start(request);
  return call.get();  // gRPC has a share of it until OnDone()
}

}  // namespace batchwise::serve
