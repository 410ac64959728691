// SPDX-License-Identifier: Apache-2.0
#include "serve/http/message.h"

#include <fmt/compile.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

#include "serve/http/json_text.h"

namespace batchwise::serve {

void RequestHead::clear() {
  method = Method::kOther;
  target.clear();
  keep_alive = true;
  chunked = expects_continue = false;
  coding = accepted = Coding::kPlain;
  content_length.reset();
  inference_length.reset();
  fault.clear();
  key.clear();
  trace_parent.clear();
}

std::size_t Response::bytes() const {
  std::size_t sum = body.size();
  for (const auto& part : tail) sum += part.size();
  return sum;
}

void Response::clear() {
  constexpr std::size_t kKeptBytes = 16 << 10;
  status = 200;
  content_type = kJsonType;
  fields.clear();
  body.clear();
  if (body.capacity() > kKeptBytes) body.shrink_to_fit();
  tail.clear();
  memory.reset();
}

int http_status(Status status) {
  switch (status) {
    case Status::kOk:
      return 200;
    case Status::kInvalid:
      return 400;
    case Status::kNotFound:
      return 404;
    case Status::kUnsupported:
      return 501;
    case Status::kTooLarge:
      return 413;
    case Status::kOverloaded:
    case Status::kUnavailable:
      return 503;
    case Status::kDeadlineExceeded:
      return 504;
    case Status::kCancelled:
      return 499;
    case Status::kInternal:
      return 500;
  }
  return 500;
}

std::string_view reason_phrase(int status) {
  struct Phrase {
    int status;
    std::string_view text;
  };
  static constexpr Phrase kPhrases[] = {{200, "OK"},
                                        {400, "Bad Request"},
                                        {401, "Unauthorized"},
                                        {404, "Not Found"},
                                        {405, "Method Not Allowed"},
                                        {408, "Request Timeout"},
                                        {413, "Content Too Large"},
                                        {415, "Unsupported Media Type"},
                                        {431, "Request Header Fields Too Large"},
                                        {499, "Client Closed Request"},
                                        {500, "Internal Server Error"},
                                        {501, "Not Implemented"},
                                        {503, "Service Unavailable"},
                                        {504, "Gateway Timeout"}};
  for (const Phrase& phrase : kPhrases) {
    if (phrase.status == status) return phrase.text;
  }
  return "Error";
}

void answer_refusal(Response& response, const Refusal& refusal) {
  response.clear();
  response.status = http_status(refusal.status);
  if (refusal.status == Status::kOverloaded) {
    // Whole seconds are all that the field can say.
    const double seconds = std::clamp(std::ceil(refusal.retry_after_s), 1.0, 3600.0);
    response.fields = fmt::format("Retry-After: {}\r\n", static_cast<int>(seconds));
  }
  response.body = "{\"error\":";
  append_json_string(response.body, refusal.message);
  response.body += '}';
}

void write_head(std::string& text, const Response& response, bool keep_alive) {
  text.clear();
  if (response.status == 200) {
    text += "HTTP/1.1 200 OK\r\nContent-Type: ";
  } else {
    fmt::format_to(std::back_inserter(text), "HTTP/1.1 {} {}\r\nContent-Type: ", response.status,
                   reason_phrase(response.status));
  }
  text += response.content_type;
  fmt::format_to(std::back_inserter(text), FMT_COMPILE("\r\nContent-Length: {}\r\n"),
                 response.bytes());
  text += response.fields;
  text += keep_alive ? "\r\n" : "Connection: close\r\n\r\n";
}

}  // namespace batchwise::serve
