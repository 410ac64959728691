// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <set>
#include <string>
#include <vector>

#include "onnx_io/protobuf.h"

namespace batchwise::onnx_io {

// The nodes in an order in which they can run, given the names that are known before. Throws Error
// naming a node on a cycle, one that uses a value that nothing makes, or a value made twice.
std::vector<const onnx::NodeProto*> order_nodes(const std::vector<onnx::NodeProto>& nodes,
                                                const std::set<std::string>& known,
                                                const std::string& path);

}  // namespace batchwise::onnx_io
