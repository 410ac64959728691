// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>

#include "tensor/tensor.h"

namespace batchwise::onnx_io {

// Maps a file for reading. Throws Error where it cannot be opened, is empty or is no file.
std::shared_ptr<const Storage> map_file(const std::string& path);

}  // namespace batchwise::onnx_io
