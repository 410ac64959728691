// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "backend/kernel.h"

namespace batchwise::cpu {

// Our own kernels for float32, for every instruction set that this machine has.
const Backend& cpu_backend();

}  // namespace batchwise::cpu
