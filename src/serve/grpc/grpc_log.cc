// SPDX-License-Identifier: Apache-2.0
#include "serve/grpc/grpc_log.h"

#include <grpc/support/log.h>

#include <cstdlib>
#include <string_view>

namespace batchwise::serve {
namespace {

thread_local std::string system_error;

// gRPC tells the reason nowhere but in its log: os_error:"Address already in use".
void remember(gpr_log_func_args* line) {
  constexpr std::string_view kBefore = "os_error:\"";
  const std::string_view text = line->message;
  const std::size_t found = text.find(kBefore);
  if (found == std::string_view::npos) return;
  const std::string_view rest = text.substr(found + kBefore.size());
  system_error = rest.substr(0, rest.find('"'));
}

}  // namespace

void keep_quiet() {
  static const bool done = [] {
    if (std::getenv("GRPC_VERBOSITY") == nullptr) gpr_set_log_function(remember);
    return true;
  }();
  static_cast<void>(done);
}

std::string last_system_error() {
  return system_error.empty() ? "the address cannot be had" : system_error;
}

}  // namespace batchwise::serve
