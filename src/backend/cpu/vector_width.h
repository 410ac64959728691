// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace batchwise::cpu {

// Makes kernels use 128-bit vectors with fused multiply-add where they
// would use 256-bit ones (AVX2), so that any machine can check that bits do not follow the width of
// a vector. For tests; not to be called while kernels run in another thread.
void use_narrow_vectors(bool narrow);
bool uses_narrow_vectors();

}  // namespace batchwise::cpu
