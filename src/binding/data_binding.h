// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "data/data_source.h"
#include "graph/graph.h"

namespace batchwise {

// Which feature of a data set goes to which input of a model.
struct DataBinding {
  std::vector<int> feature_of_input;  // by model input
  std::vector<DType> feature_dtypes;  // by feature: what the input wants
};

// Binds by name where every input finds a feature of its name, else by order where there are as
// many features as inputs. Shapes must hold equally many elements (64 columns fit 1x8x8). Throws
// Error naming both sides where they do not fit.
DataBinding bind_data(const Graph& model, const DataSource& data);

// The inputs that count samples, and their bytes a sample.
std::int64_t sample_bytes(const Graph& model, ValueId input);

}  // namespace batchwise
