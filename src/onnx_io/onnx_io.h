// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>

#include "graph/graph.h"

namespace batchwise::onnx_io {

// Reads an ONNX file into a graph of our op rows, in their newest form, with all types inferred at
// a batch of 1. The file is mapped; large initializers stay views into the map, which the tensors
// keep alive. Inputs that have an initializer are constants. An input's free axis 0 becomes its
// batch axis.
// Throws Error (kInvalidInput) naming what is wrong: op, node and opset of an op that is not
// supported; a cycle; a shape that contradicts itself; an initializer whose size does not match.
Graph read_onnx(const std::string& path);

// The same of bytes in memory, which `storage` owns. External data is refused: `path` only names
// the model in messages.
Graph read_onnx(const std::shared_ptr<const Storage>& storage, const std::string& path);

// Reads a file of one TensorProto, as ONNX's test folders have them for inputs and outputs. Throws
// Error where it is damaged or of a type that is not supported.
Tensor read_tensor(const std::string& path);

// Writes a graph whose nodes are ONNX's (no internal op, no epilogue), whole or not at all. Opset
// 20. A model above 1 GiB puts its initializers into `<path>.data`.
void write_onnx(const Graph& graph, const std::string& path);

}  // namespace batchwise::onnx_io
