// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "serve/request.h"

namespace inference {
class InferTensorContents;
}

namespace batchwise::serve {

struct ContentsTarget {
  const std::string& model;
  const TensorSpec& spec;
  std::int64_t rows = 0;
};

// The bytes of a tensor given as numbers: where they are the model's type already they stay in the
// message, else they are narrowed into `narrowed`. What does not fit into the type is refused, as
// is a number of values that is not that of the rows.
std::optional<Refusal> decode_contents(const inference::InferTensorContents& contents,
                                       const ContentsTarget& target,
                                       std::vector<std::byte>& narrowed,
                                       std::span<const std::byte>& bytes);

}  // namespace batchwise::serve
