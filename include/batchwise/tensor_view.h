// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "batchwise/dtype.h"

namespace batchwise {

// A dense row-major tensor that somebody else owns: type, dimensions and bytes.
struct TensorView {
  DType dtype = DType::kUndefined;
  std::vector<std::int64_t> shape;
  void* data = nullptr;
};

struct ConstTensorView {
  DType dtype = DType::kUndefined;
  std::vector<std::int64_t> shape;
  const void* data = nullptr;
};

}  // namespace batchwise
