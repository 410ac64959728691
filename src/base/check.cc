// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"

#include <cstring>

namespace batchwise {

void fail_check(const char* file, int line, const char* condition, const std::string& message) {
  const char* name = std::strstr(file, "src/");
  throw InternalError(fmt::format("[internal] {}:{}: {} does not hold{}{}", name ? name : file,
                                  line, condition, message.empty() ? "" : ": ", message));
}

}  // namespace batchwise
