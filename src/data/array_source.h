// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "data/data_source.h"
#include "data/input_file.h"

namespace batchwise {

// Rows of numbers that lie at equal distances in one or more files: what IDX, npy, npz, CIFAR-10
// and the cache of a CSV file have in common.
struct ArrayColumn {
  struct Segment {
    std::shared_ptr<const InputFile> file;
    std::int64_t offset = 0;        // of the segment's first row
    std::int64_t stride_bytes = 0;  // from row to row
    std::int64_t count = 0;
  };
  DType stored = DType::kUInt8;  // little-endian
  std::int64_t elements = 1;     // of a row
  std::vector<Segment> segments;

  std::int64_t rows() const;
  std::int64_t row_bytes() const {
    return elements * static_cast<std::int64_t>(dtype_bytes(stored));
  }
};

// A DataSource over such columns: it reads into the caller's memory and keeps none of its own.
class ArraySource : public DataSource {
 public:
  struct Feature {
    std::string name;
    Shape shape;
    ArrayColumn column;
  };
  struct Label {
    Shape shape;
    ArrayColumn column;
    std::vector<std::string> class_names;
  };
  // Throws Error: columns differ in the number of rows, or a type is not a number.
  ArraySource(std::string path, std::vector<Feature> features, std::optional<Label> label);

  void read(std::span<const std::int64_t> indices, std::span<std::byte* const> features,
            std::byte* labels, std::span<std::byte> scratch) const override;
  std::size_t scratch_bytes() const override { return scratch_bytes_; }
  std::size_t resident_bytes() const override;

 private:
  void add_column(ArrayColumn column, DType exposed);

  std::vector<ArrayColumn> columns_;  // features, then the label
  std::size_t scratch_bytes_ = 0;
};

}  // namespace batchwise
