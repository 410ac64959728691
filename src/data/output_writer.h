// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "batchwise/dtype.h"
#include "tensor/shape.h"

namespace batchwise {

// One output of a model, as it is written for each sample.
struct OutputInfo {
  std::string name;
  Shape shape;  // of one sample
  DType dtype = DType::kFloat32;
};

// Writes outputs to a file, sample after sample, and holds no more than a buffer of them. The file
// appears at finish(), whole, or not at all. Not thread-safe. Failures to write are
// Error{kEnvironment} with the path.
class OutputWriter {
 public:
  virtual ~OutputWriter() = default;
  // `outputs[i]` points to `rows` dense rows of output i.
  virtual void append(std::span<const std::byte* const> outputs, std::int64_t rows) = 0;
  // Requires: as many rows were appended as were announced.
  virtual void finish() = 0;
};

// The format follows the ending: .npy (one output), .npz (any number, by name) or .csv (one output,
// a line a sample, no header, numbers that read back to the same bits). Throws Error{kInvalidInput}
// for another ending or too many outputs.
std::unique_ptr<OutputWriter> open_output(const std::string& path, std::vector<OutputInfo> outputs,
                                          std::int64_t total_rows);

}  // namespace batchwise
