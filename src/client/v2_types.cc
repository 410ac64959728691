// SPDX-License-Identifier: Apache-2.0
#include "client/v2_types.h"

#include <array>

namespace batchwise {
namespace {

struct TypeName {
  DType dtype;
  std::string_view name;
};
constexpr std::array kTypeNames{
    TypeName{DType::kBool, "BOOL"},     TypeName{DType::kUInt8, "UINT8"},
    TypeName{DType::kUInt16, "UINT16"}, TypeName{DType::kUInt32, "UINT32"},
    TypeName{DType::kUInt64, "UINT64"}, TypeName{DType::kInt8, "INT8"},
    TypeName{DType::kInt16, "INT16"},   TypeName{DType::kInt32, "INT32"},
    TypeName{DType::kInt64, "INT64"},   TypeName{DType::kFloat16, "FP16"},
    TypeName{DType::kBFloat16, "BF16"}, TypeName{DType::kFloat32, "FP32"},
    TypeName{DType::kFloat64, "FP64"},
};

}  // namespace

std::string_view v2_type_name(DType dtype) {
  for (const TypeName& row : kTypeNames) {
    if (row.dtype == dtype) return row.name;
  }
  return {};
}

DType parse_v2_type(std::string_view name) {
  for (const TypeName& row : kTypeNames) {
    if (row.name == name) return row.dtype;
  }
  return DType::kUndefined;
}

}  // namespace batchwise
