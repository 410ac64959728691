// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string_view>

#include "batchwise/dtype.h"

namespace batchwise {

// The Open Inference Protocol's name of a type, "FP32"; empty where it has none. Triton's BF16 is
// one.
std::string_view v2_type_name(DType dtype);
// kUndefined for BYTES and for what is no name.
DType parse_v2_type(std::string_view name);

}  // namespace batchwise
