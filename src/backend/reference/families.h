// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "backend/reference/reference.h"

namespace batchwise::reference {

// The kernels of each family of op rows.
std::span<const ReferenceRow> elementwise_kernels();
std::span<const ReferenceRow> activation_kernels();
std::span<const ReferenceRow> reduction_kernels();
std::span<const ReferenceRow> reshape_kernels();
std::span<const ReferenceRow> indexing_kernels();
std::span<const ReferenceRow> constant_kernels();
std::span<const ReferenceRow> dropout_kernels();
std::span<const ReferenceRow> matrix_kernels();
std::span<const ReferenceRow> convolution_kernels();
std::span<const ReferenceRow> pooling_kernels();
std::span<const ReferenceRow> normalization_kernels();
std::span<const ReferenceRow> softmax_kernels();
std::span<const ReferenceRow> loss_kernels();
std::span<const ReferenceRow> optimizer_kernels();

}  // namespace batchwise::reference
