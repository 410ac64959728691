// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace batchwise::cpu {

enum class Activation {
  kNone,
  kRelu,
  kLeakyRelu,  // x < 0 ? alpha * x : x
  kClip,       // alpha <= x <= beta
};

// What a kernel does to a finished sum before it stores it, in this order: add the bias of the
// column, add the residual, apply the activation. A value: it owns none of the memory it names.
struct Epilogue {
  const float* bias = nullptr;      // one float a column, or null
  const float* residual = nullptr;  // rows x columns, or null; may be the output itself
  std::int64_t residual_stride = 0;
  Activation activation = Activation::kNone;
  float alpha = 0.0f;
  float beta = 0.0f;
};

}  // namespace batchwise::cpu
