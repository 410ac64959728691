// SPDX-License-Identifier: Apache-2.0
#include "serve/http/header_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace batchwise::serve {
namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool equals(std::string_view text, std::string_view lower_case) {
  return text.size() == lower_case.size() &&
         std::equal(text.begin(), text.end(), lower_case.begin(),
                    [](char a, char b) { return lower(a) == b; });
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

std::string_view cut_first(std::string_view& list, char separator) {
  const std::size_t end = std::min(list.find(separator), list.size());
  const std::string_view first = trimmed(list.substr(0, end));
  list.remove_prefix(std::min(end + 1, list.size()));
  return first;
}

Coding coding_named(std::string_view name) {
  if (equals(name, "gzip") || equals(name, "x-gzip")) return Coding::kGzip;
  if (equals(name, "deflate")) return Coding::kDeflate;
  if (name.empty() || equals(name, "identity")) return Coding::kPlain;
  return Coding::kUnknown;
}

// "q=0", "q=0.0": the client will not have it.
bool is_ruled_out(std::string_view parameters) {
  const std::string_view weight = trimmed(parameters);
  if (!weight.starts_with("q=")) return false;
  return weight.substr(2).find_first_not_of("0.") == std::string_view::npos;
}

// The first coding of Accept-Encoding that is known.
Coding accepted_of(std::string_view list) {
  while (!list.empty()) {
    std::string_view parameters = cut_first(list, ',');
    const Coding coding = coding_named(cut_first(parameters, ';'));
    const bool packs = coding == Coding::kGzip || coding == Coding::kDeflate;
    if (packs && !is_ruled_out(parameters)) return coding;
  }
  return Coding::kPlain;
}

void read_inference_length(std::string_view value, RequestHead& head) {
  std::uint64_t length = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
  const bool ok = error == std::errc() && end == value.data() + value.size();
  if (ok && !head.inference_length) {
    head.inference_length = length;
  } else {
    head.fault = fmt::format("Inference-Header-Content-Length: '{}' is no number of bytes",
                             value.substr(0, 40));
  }
}

void read_authorization(std::string_view value, RequestHead& head) {
  constexpr std::size_t kScheme = 7;  // "Bearer "
  if (value.size() < kScheme || !equals(value.substr(0, kScheme), "bearer ")) return;
  head.key = trimmed(value.substr(kScheme));
}

void read_transfer_encoding(std::string_view value, RequestHead& head) {
  if (equals(value, "chunked")) return;
  head.fault = fmt::format("Transfer-Encoding: '{}' is not chunked", value.substr(0, 40));
}

using ReadField = void (*)(std::string_view value, RequestHead& head);
struct KnownField {
  std::string_view name;
  ReadField read;
};

constexpr KnownField kFields[] = {
    {"inference-header-content-length", read_inference_length},
    {"content-encoding",
     [](std::string_view value, RequestHead& head) { head.coding = coding_named(value); }},
    {"accept-encoding",
     [](std::string_view value, RequestHead& head) { head.accepted = accepted_of(value); }},
    {"transfer-encoding", read_transfer_encoding},
    {"authorization", read_authorization},
    {"x-api-key", [](std::string_view value, RequestHead& head) { head.key = value; }},
    {"expect", [](std::string_view value,
                  RequestHead& head) { head.expects_continue = equals(value, "100-continue"); }},
    {"traceparent",
     [](std::string_view value, RequestHead& head) {
       if (is_trace_parent(value)) head.trace_parent = value;
     }},
};

}  // namespace

void read_field(std::string_view name, std::string_view value, RequestHead& head) {
  for (const KnownField& field : kFields) {
    if (equals(name, field.name)) return field.read(trimmed(value), head);
  }
}

bool is_trace_parent(std::string_view text) {
  // version, trace id, span id, flags
  if (text.size() != 55 || !text.starts_with("00-") || text[35] != '-' || text[52] != '-') {
    return false;
  }
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  const auto part = [&](std::size_t begin, std::size_t length) {
    const std::string_view digits = text.substr(begin, length);
    return std::all_of(digits.begin(), digits.end(), is_hex);
  };
  const auto is_zero = [&](std::size_t begin, std::size_t length) {
    return text.substr(begin, length).find_first_not_of('0') == std::string_view::npos;
  };
  return part(3, 32) && part(36, 16) && part(53, 2) && !is_zero(3, 32) && !is_zero(36, 16);
}

}  // namespace batchwise::serve
