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

#include "serve/request.h"

// HTTP messages as values: what of a request's head is read, and an answer before it is written.
namespace batchwise::serve {

enum class Method : std::uint8_t { kGet, kHead, kPost, kOther };

// How a body is packed.
enum class Coding : std::uint8_t { kPlain, kGzip, kDeflate, kUnknown };

struct RequestHead {
  Method method = Method::kOther;
  std::string target;
  bool keep_alive = true;
  bool chunked = false;
  bool expects_continue = false;
  Coding coding = Coding::kPlain;                 // of the body
  Coding accepted = Coding::kPlain;               // that the answer may have
  std::optional<std::uint64_t> content_length;    // none: no body, or chunked
  std::optional<std::uint64_t> inference_length;  // Inference-Header-Content-Length
  std::string fault;                              // a field that makes no sense, for a 400
  std::string key;                                // of Authorization: Bearer, or X-API-Key
  std::string trace_parent;                       // valid, or empty

  void clear();
};

inline constexpr std::string_view kJsonType = "application/json";

// An answer: the body, then `tail`, which is written from where it lies.
struct Response {
  int status = 200;
  std::string_view content_type = kJsonType;
  std::string fields;  // more header lines, each with its end
  std::string body;
  std::vector<std::span<const std::byte>> tail;
  std::shared_ptr<const void> memory;  // keeps what `tail` points to

  std::size_t bytes() const;
  void clear();
};

int http_status(Status status);
std::string_view reason_phrase(int status);
// Makes `response` the refusal: {"error": message}, Retry-After where trying again may help.
void answer_refusal(Response& response, const Refusal& refusal);

// The start line and the fields of an answer, in the place of what `text` was.
void write_head(std::string& text, const Response& response, bool keep_alive);

}  // namespace batchwise::serve
