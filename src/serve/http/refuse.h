// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <fmt/format.h>

#include <utility>

#include "serve/request.h"

namespace batchwise::serve {

// Thrown inside a codec for a request that is wrong, caught where the codec is entered.
struct RefusedRequest {
  Refusal refusal;
};

template <typename... Args>
[[noreturn]] void refuse(Status status, fmt::format_string<Args...> format, Args&&... args) {
  throw RefusedRequest{{status, fmt::format(format, std::forward<Args>(args)...), 0}};
}

template <typename... Args>
[[noreturn]] void refuse_invalid(fmt::format_string<Args...> format, Args&&... args) {
  throw RefusedRequest{{Status::kInvalid, fmt::format(format, std::forward<Args>(args)...), 0}};
}

}  // namespace batchwise::serve
