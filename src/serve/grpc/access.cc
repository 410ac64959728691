// SPDX-License-Identifier: Apache-2.0
#include "serve/grpc/access.h"

#include <grpcpp/server_context.h>

#include <algorithm>
#include <chrono>
#include <string_view>

namespace batchwise::serve {
namespace {

std::string_view metadata(const grpc::CallbackServerContext& context, const char* name) {
  const auto& all = context.client_metadata();
  const auto found = all.find(name);
  if (found == all.end()) return {};
  return {found->second.data(), found->second.size()};
}

std::string_view shown_key(const grpc::CallbackServerContext& context) {
  constexpr std::string_view kBearer = "bearer ";
  std::string_view value = metadata(context, "authorization");
  const bool is_bearer =
      value.size() > kBearer.size() &&
      std::equal(kBearer.begin(), kBearer.end(), value.begin(),
                 [](char wanted, char found) { return wanted == (found | 0x20); });
  if (is_bearer) return value.substr(kBearer.size());
  return metadata(context, "x-api-key");
}

// Takes as long for a key that is nearly right as for any other of its length.
bool are_equal(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) difference |= static_cast<unsigned char>(a[i] ^ b[i]);
  return difference == 0;
}

}  // namespace

std::optional<std::string> Access::caller(const grpc::CallbackServerContext& context) const {
  if (api_keys_.empty()) return context.peer();
  const std::string_view shown = shown_key(context);
  bool is_known = false;
  for (const std::string& key : api_keys_) is_known |= are_equal(key, shown);
  if (!is_known) return std::nullopt;
  return std::string(shown);
}

std::string trace_parent(const grpc::CallbackServerContext& context) {
  return std::string(metadata(context, "traceparent"));
}

double deadline_us(const grpc::CallbackServerContext& context) {
  using Clock = std::chrono::system_clock;
  const Clock::time_point deadline = context.deadline();
  if (deadline == Clock::time_point::max()) return 0;
  const std::chrono::duration<double, std::micro> left = deadline - Clock::now();
  return std::max(left.count(), 1.0);
}

}  // namespace batchwise::serve
