// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string_view>

#include "tensor/tensor.h"

namespace batchwise {

// Normally distributed weights of mean 0 and variance 2 / fan_in (He et al., "Delving deep into
// rectifiers", 2015). The values are a function of seed, name and place in the tensor, computed
// with exactly rounded operations alone: the same bits on every machine.
Tensor he_normal(Shape shape, std::int64_t fan_in, std::uint64_t seed, std::string_view name);

}  // namespace batchwise
