// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "batchwise/dtype.h"

// Element types as protocols name them.
namespace batchwise::serve {

// "FP32", "INT64", ... of the Open Inference Protocol; "" for those it has no name for.
std::string_view v2_datatype(DType dtype);
std::optional<DType> parse_v2_datatype(std::string_view name);
// "DT_FLOAT", ... of TensorFlow.
std::string_view tf_datatype(DType dtype);

float float_of_half(std::uint16_t bits);
float float_of_bfloat(std::uint16_t bits);
// To the nearest, ties to even; too large a value becomes an infinity.
std::uint16_t half_of_float(float value);
std::uint16_t bfloat_of_float(float value);

}  // namespace batchwise::serve
