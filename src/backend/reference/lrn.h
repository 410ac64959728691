// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "backend/reference/reference.h"

namespace batchwise::reference {

// Kernels of LRN and LRNGrad, rows of normalization_kernels().
void lrn(const ReferenceCall& call);
void lrn_grad(const ReferenceCall& call);

}  // namespace batchwise::reference
