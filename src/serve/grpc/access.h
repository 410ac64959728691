// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <optional>
#include <string>
#include <vector>

namespace grpc {
class CallbackServerContext;
}

namespace batchwise::serve {

// Who may ask: everybody, or who shows one of the keys, as "authorization: Bearer KEY" or
// "x-api-key: KEY". Immutable.
class Access {
 public:
  explicit Access(std::vector<std::string> api_keys) : api_keys_(std::move(api_keys)) {}

  // For whom fairness is kept: the key, else the connection. Nothing where the key is missing or
  // wrong.
  std::optional<std::string> caller(const grpc::CallbackServerContext& context) const;

 private:
  std::vector<std::string> api_keys_;
};

// Of the call's metadata, W3C's `traceparent`, or empty.
std::string trace_parent(const grpc::CallbackServerContext& context);

// Microseconds until the call's deadline, at least 1; 0 where it has none.
double deadline_us(const grpc::CallbackServerContext& context);

}  // namespace batchwise::serve
