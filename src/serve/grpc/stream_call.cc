// SPDX-License-Identifier: Apache-2.0
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>
#include <inference_proto/inference_service.pb.h>

#include <deque>
#include <exception>
#include <mutex>
#include <unordered_set>

#include "serve/grpc/grpc_status.h"
#include "serve/grpc/inference_call.h"
#include "serve/grpc/request_parameters.h"
#include "serve/grpc/stream_calls.h"
#include "serve/server.h"

namespace batchwise::serve {
namespace {

// Requests of one stream that wait for their answer, or answers for the client to take them; then
// nothing is read until there are fewer.
constexpr std::size_t kMostOutstanding = 256;

class StreamCall;

// A message of a stream, until it is answered.
class StreamedInference final : public InferenceRequest {
 public:
  StreamedInference(std::shared_ptr<StreamCall> stream, std::shared_ptr<CallShared> shared)
      : stream_(std::move(stream)), shared_(std::move(shared)), room_(shared_->rooms.take()) {}
  ~StreamedInference() override { shared_->rooms.give_back(std::move(room_)); }
  CallRoom& room() { return *room_; }
  void reply(Reply&& reply) override;

 private:
  std::shared_ptr<StreamCall> stream_;
  std::shared_ptr<CallShared> shared_;
  std::unique_ptr<CallRoom> room_;
};

// One ModelStreamInfer. gRPC keeps it until OnDone(), its requests until they are answered.
// gRPC may call back from within StartRead(), StartWrite() and Finish(), so that none of them is
// called with the lock held: what is due is decided under the lock and done after it.
class StreamCall final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                         public OpenStream,
                         public std::enable_shared_from_this<StreamCall> {
 public:
  StreamCall(std::shared_ptr<CallShared> shared, StreamCalls& calls,
             grpc::CallbackServerContext& context)
      : shared_(std::move(shared)), calls_(calls), context_(context) {}

  void start() {
    held_ = shared_from_this();
    const auto caller = shared_->access.caller(context_);
    if (!caller || shared_->stopping) {
      is_finished_ = true;
      Finish(caller ? stopped_status() : unauthenticated_status());
      return;
    }
    client_ = shared_->server.client_of(*caller);
    trace_parent_ = serve::trace_parent(context_);
    calls_.add(held_);
    is_registered_ = true;
    is_reading_ = true;
    StartRead(&incoming_);
  }

  void OnReadDone(bool ok) override {
    std::shared_ptr<StreamedInference> request;
    {
      const std::lock_guard lock(mutex_);
      if (!ok) is_half_closed_ = true;
      if (ok && !is_finished_) {
        request = std::make_shared<StreamedInference>(held_, shared_);
        if (is_cancelled_) request->cancelled = true;
        in_flight_.insert(request.get());
      }
    }
    if (request) take(std::move(request));
    {
      const std::lock_guard lock(mutex_);
      is_reading_ = false;  // not before: the message was read out of incoming_
    }
    proceed();
  }

  void OnWriteDone(bool ok) override {
    {
      const std::lock_guard lock(mutex_);
      is_writing_ = false;
      if (!outgoing_.empty()) outgoing_.pop_front();
      if (!ok) is_half_closed_ = true;  // the client has gone; nothing else will reach it
    }
    proceed();
  }

  void OnCancel() override {
    {
      const std::lock_guard lock(mutex_);
      is_cancelled_ = true;
      is_half_closed_ = true;
      for (StreamedInference* request : in_flight_) request->cancelled = true;
    }
    proceed();
  }

  void OnDone() override {
    if (is_registered_) calls_.remove(*this);
    held_.reset();
  }

  void stop() override {
    {
      const std::lock_guard lock(mutex_);
      is_stopped_ = true;
    }
    proceed();
  }

  // An answer, and the end of its request.
  void answer(StreamedInference& request, grpc::ByteBuffer&& bytes) {
    {
      const std::lock_guard lock(mutex_);
      in_flight_.erase(&request);
      if (!is_cancelled_) outgoing_.push_back(std::move(bytes));
    }
    proceed();
  }

 private:
  static grpc::Status stopped_status() {
    return {grpc::StatusCode::UNAVAILABLE, "the server is being stopped"};
  }

  void take(std::shared_ptr<StreamedInference> request) {
    try {
      auto refusal = read_request(*shared_, incoming_, request->room(), *request);
      incoming_.Clear();
      if (refusal) {
        Reply reply;
        reply.refusal = std::move(*refusal);
        return request->reply(std::move(reply));
      }
      request->client = client_;
      request->trace_parent = trace_parent_;
      request->timeout_us = lesser_timeout_us(request->timeout_us, deadline_us(context_));
      shared_->server.infer(request);
    } catch (const std::exception& error) {
      Reply reply;
      reply.refusal = {Status::kInternal, error.what(), 0};
      request->reply(std::move(reply));
    }
  }

  struct Due {
    grpc::ByteBuffer* write = nullptr;
    bool read = false, end = false;
    grpc::Status status;
  };

  // What is due now: the next write, the next read, or the end. With the lock.
  Due decide() {
    Due due;
    if (is_finished_) return due;
    const bool takes_more = !is_half_closed_ && !is_stopped_;
    if (!outgoing_.empty() && !is_writing_ && !is_cancelled_) {
      is_writing_ = true;
      due.write = &outgoing_.front();
    } else if (!takes_more && in_flight_.empty() && !is_writing_ && num_starting_ == 0) {
      is_finished_ = due.end = true;
      if (!is_half_closed_) due.status = stopped_status();
      if (is_cancelled_) due.status = grpc::Status::CANCELLED;
    }
    const std::size_t outstanding = in_flight_.size() + outgoing_.size();
    if (takes_more && !is_reading_ && outstanding < kMostOutstanding) is_reading_ = due.read = true;
    return due;
  }

  void proceed() {
    for (bool has_started = false;; has_started = true) {
      Due due;
      {
        const std::lock_guard lock(mutex_);
        if (has_started) --num_starting_;
        due = decide();
        if (due.write == nullptr && !due.read && !due.end) return;
        // The call must not end between the decision and the start.
        if (!due.end) ++num_starting_;
      }
      if (due.end) return Finish(due.status);
      if (due.write != nullptr) StartWrite(due.write);
      if (due.read) StartRead(&incoming_);
    }
  }

  std::shared_ptr<CallShared> shared_;
  StreamCalls& calls_;
  grpc::CallbackServerContext& context_;  // of gRPC, until OnDone()
  std::shared_ptr<StreamCall> held_;      // for gRPC
  std::int32_t client_ = 0;
  std::string trace_parent_;
  bool is_registered_ = false;
  grpc::ByteBuffer incoming_;  // of the read that runs, then of who handles it

  std::mutex mutex_;  // for all below
  std::unordered_set<StreamedInference*> in_flight_;
  std::deque<grpc::ByteBuffer> outgoing_;  // the first may be being written
  bool is_reading_ = false, is_writing_ = false;
  bool is_half_closed_ = false, is_cancelled_ = false, is_stopped_ = false;
  bool is_finished_ = false;
  int num_starting_ = 0;  // threads that are about to start what they decided on
};

void StreamedInference::reply(Reply&& reply) {
  grpc::ByteBuffer bytes;
  if (reply.refusal.status == Status::kOk) {
    write_reply(*this, reply, ReplyMessage::kStreamResponse, wants_final_flag(*room_->message),
                *room_, bytes);
    reply.memory.reset();
  } else {
    const grpc::Slice slice(
        encode_stream_error(reply.refusal, id, model ? model->name : std::string()));
    bytes = grpc::ByteBuffer(&slice, 1);
  }
  stream_->answer(*this, std::move(bytes));
}

}  // namespace

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* start_stream(
    const std::shared_ptr<CallShared>& shared, StreamCalls& calls,
    grpc::CallbackServerContext& context) {
  auto call = std::make_shared<StreamCall>(shared, calls, context);
  call->start();
  return call.get();  // gRPC has a share of it until OnDone()
}

}  // namespace batchwise::serve
