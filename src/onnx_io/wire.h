// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "onnx_io/protobuf.h"
#include "tensor/tensor.h"

namespace batchwise::onnx_io {

// A model file taken apart without copying its weights: the small messages parsed, the initializers
// as tensors that view the file.
struct WireModel {
  onnx::ModelProto head;  // without its graph
  std::string graph_name;
  std::vector<onnx::NodeProto> nodes;
  std::vector<onnx::ValueInfoProto> inputs, outputs;
  std::vector<std::pair<std::string, Tensor>> initializers;
};

// `path` is for messages and for the folder of external data; `external`: whether it may be read.
WireModel read_wire(const std::shared_ptr<const Storage>& storage, const std::string& path,
                    bool external);

// A tensor message that was parsed whole (an attribute).
Tensor to_tensor(const onnx::TensorProto& proto, const std::string& where);

}  // namespace batchwise::onnx_io
