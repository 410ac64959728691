// SPDX-License-Identifier: Apache-2.0
#include "serve/grpc/grpc_status.h"

#include <fmt/format.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <cmath>

namespace batchwise::serve {
namespace {

grpc::StatusCode status_code(Status status) {
  switch (status) {
    case Status::kOk:
      return grpc::StatusCode::OK;
    case Status::kInvalid:
    case Status::kTooLarge:
      return grpc::StatusCode::INVALID_ARGUMENT;
    case Status::kNotFound:
      return grpc::StatusCode::NOT_FOUND;
    case Status::kUnsupported:
      return grpc::StatusCode::UNIMPLEMENTED;
    case Status::kOverloaded:
      return grpc::StatusCode::RESOURCE_EXHAUSTED;
    case Status::kUnavailable:
      return grpc::StatusCode::UNAVAILABLE;
    case Status::kDeadlineExceeded:
      return grpc::StatusCode::DEADLINE_EXCEEDED;
    case Status::kCancelled:
      return grpc::StatusCode::CANCELLED;
    case Status::kInternal:
      return grpc::StatusCode::INTERNAL;
  }
  return grpc::StatusCode::INTERNAL;
}

bool continues_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

}  // namespace

grpc::Status grpc_status(const Refusal& refusal, grpc::CallbackServerContext* context) {
  if (context != nullptr && refusal.retry_after_s > 0) {
    context->AddTrailingMetadata("retry-after",
                                 fmt::format("{}", std::ceil(refusal.retry_after_s)));
  }
  return {status_code(refusal.status), shortened(refusal.message)};
}

grpc::Status unauthenticated_status() {
  return {grpc::StatusCode::UNAUTHENTICATED, "the API key is missing or unknown"};
}

std::string shortened(std::string_view message, std::size_t most_bytes) {
  if (message.size() <= most_bytes) return std::string(message);
  std::size_t end = most_bytes;
  while (end > 0 && continues_character(message[end])) --end;
  return fmt::format("{}...", message.substr(0, end));
}

}  // namespace batchwise::serve
