// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "serve/http/message.h"

namespace batchwise::serve {

// Unpacks a body into `plain`, which has room after it for JSON's readers: its size is the body's
// and kBodyPadding more. What unpacks to more than `most` bytes is refused before it is held.
inline constexpr std::size_t kBodyPadding = 64;
std::optional<Refusal> unpack(std::span<const std::byte> packed, Coding coding, std::int64_t most,
                              std::vector<std::byte>& plain);

// Packs an answer, if it is long enough to be worth it; leaves it as it is otherwise.
void pack(Response& response, Coding coding);

}  // namespace batchwise::serve
