// SPDX-License-Identifier: Apache-2.0
#include "batchwise/dtype.h"

#include <array>

namespace batchwise {
namespace {

struct DTypeRow {
  std::size_t bytes;
  std::string_view name;
};

// In the order of the enumerators.
constexpr std::array<DTypeRow, 23> kRows{
    {{0, "undefined"},      {4, "float32"},    {1, "uint8"},
     {1, "int8"},           {2, "uint16"},     {2, "int16"},
     {4, "int32"},          {8, "int64"},      {0, "string"},
     {1, "bool"},           {2, "float16"},    {8, "float64"},
     {4, "uint32"},         {8, "uint64"},     {8, "complex64"},
     {16, "complex128"},    {2, "bfloat16"},   {1, "float8e4m3fn"},
     {1, "float8e4m3fnuz"}, {1, "float8e5m2"}, {1, "float8e5m2fnuz"},
     {1, "uint4"},          {1, "int4"}}};

}  // namespace

std::size_t dtype_bytes(DType dtype) { return kRows.at(static_cast<std::size_t>(dtype)).bytes; }
std::string_view dtype_name(DType dtype) { return kRows.at(static_cast<std::size_t>(dtype)).name; }

}  // namespace batchwise
