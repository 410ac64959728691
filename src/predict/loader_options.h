// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "binding/data_binding.h"
#include "data/batch_loader.h"

namespace batchwise {

// Reads a data set in order, in pieces of at most a micro-batch.
LoaderOptions predict_loader_options(const DataBinding& binding, std::int64_t batch_size,
                                     std::int64_t micro_batch, bool labels, DType label_dtype);

}  // namespace batchwise
