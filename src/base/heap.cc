// SPDX-License-Identifier: Apache-2.0
#include "base/heap.h"

#include <malloc.h>

namespace batchwise {

void return_free_heap() { malloc_trim(0); }

}  // namespace batchwise
