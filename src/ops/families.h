// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <span>

#include "ops/op.h"

namespace batchwise {

// The rows of each family, in the order in which all_ops() lists them.
std::span<const OpDef> elementwise_ops();
std::span<const OpDef> activation_ops();
std::span<const OpDef> reduction_ops();
std::span<const OpDef> reshape_ops();
std::span<const OpDef> indexing_ops();
std::span<const OpDef> constant_ops();
std::span<const OpDef> dropout_ops();
std::span<const OpDef> internal_ops();
std::span<const OpDef> matrix_ops();
std::span<const OpDef> convolution_ops();
std::span<const OpDef> pooling_ops();
std::span<const OpDef> normalization_ops();
std::span<const OpDef> softmax_ops();
std::span<const OpDef> loss_ops();
std::span<const OpDef> optimizer_ops();

}  // namespace batchwise
