// SPDX-License-Identifier: Apache-2.0
#include "data/array_source.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "data/convert.h"

namespace batchwise {
namespace {

// Rows that are converted are read this many bytes at a time.
constexpr std::int64_t kConvertBytes = 32 * 1024;

// `count` rows that follow each other in a segment.
struct Run {
  const ArrayColumn::Segment* segment;
  std::int64_t first;  // row in the segment
  std::int64_t count;
};

Run find_run(const ArrayColumn& column, std::span<const std::int64_t> indices) {
  std::int64_t row = indices[0];
  auto segment = column.segments.begin();
  while (row >= segment->count) {
    row -= segment->count;
    ++segment;
  }
  const auto most = std::min(segment->count - row, static_cast<std::int64_t>(indices.size()));
  std::int64_t count = 1;
  while (count < most && indices[static_cast<std::size_t>(count)] == indices[0] + count) ++count;
  return {&*segment, row, count};
}

void read_run(const ArrayColumn& column, const Run& run, DType exposed, std::byte* out,
              std::span<std::byte> scratch) {
  const auto& segment = *run.segment;
  const std::int64_t row_bytes = column.row_bytes();
  const bool dense = segment.stride_bytes == row_bytes;
  const bool convert = column.stored != exposed;
  const std::int64_t out_row_bytes =
      column.elements * static_cast<std::int64_t>(dtype_bytes(exposed));
  std::int64_t piece = dense ? run.count : 1;
  if (convert && row_bytes > 0) {
    piece = std::clamp<std::int64_t>(kConvertBytes / row_bytes, 1, piece);
  }
  for (std::int64_t row = 0; row < run.count; row += piece) {
    const std::int64_t rows = std::min(piece, run.count - row);
    const auto bytes = static_cast<std::size_t>(rows * row_bytes);
    std::byte* target = out + row * out_row_bytes;
    const std::span<std::byte> read_to = convert ? scratch.first(bytes) : std::span(target, bytes);
    segment.file->read_at(segment.offset + (run.first + row) * segment.stride_bytes, read_to);
    if (convert) {
      convert_elements(column.stored, read_to.data(), exposed, target, rows * column.elements,
                       segment.file->path().c_str());
    }
  }
}

void read_column(const ArrayColumn& column, std::span<const std::int64_t> indices, DType exposed,
                 std::byte* out, std::span<std::byte> scratch) {
  const std::int64_t out_row_bytes =
      column.elements * static_cast<std::int64_t>(dtype_bytes(exposed));
  while (!indices.empty()) {
    const Run run = find_run(column, indices);
    read_run(column, run, exposed, out, scratch);
    out += run.count * out_row_bytes;
    indices = indices.subspan(static_cast<std::size_t>(run.count));
  }
}

}  // namespace

std::int64_t ArrayColumn::rows() const {
  std::int64_t rows = 0;
  for (const Segment& segment : segments) rows += segment.count;
  return rows;
}

ArraySource::ArraySource(std::string path, std::vector<Feature> features,
                         std::optional<Label> label) {
  path_ = std::move(path);
  BW_CHECK(!features.empty(), "{}: no features", path_);
  num_samples_ = features[0].column.rows();
  for (Feature& feature : features) {
    const DType exposed = exposed_dtype(feature.column.stored);
    if (exposed == DType::kUndefined) {
      fail_input(path_, "array '{}' is {}, not numbers", feature.name,
                 dtype_name(feature.column.stored));
    }
    if (feature.column.rows() != num_samples_) {
      fail_input(path_, "array '{}' has {} samples, '{}' has {}", feature.name,
                 feature.column.rows(), features[0].name, num_samples_);
    }
    features_.push_back({feature.name, feature.shape, exposed});
    add_column(std::move(feature.column), exposed);
  }
  if (!label) return;
  const DType seen = exposed_dtype(label->column.stored);
  if (seen == DType::kUndefined) {
    fail_input(path_, "the labels are {}, not numbers", dtype_name(label->column.stored));
  }
  if (label->column.rows() != num_samples_) {
    fail_input(path_, "{} labels for {} samples", label->column.rows(), num_samples_);
  }
  const DType exposed = seen == DType::kFloat32 ? DType::kFloat32 : DType::kInt64;
  label_ = LabelInfo{label->shape, exposed};
  class_names_ = std::move(label->class_names);
  add_column(std::move(label->column), exposed);
}

void ArraySource::add_column(ArrayColumn column, DType exposed) {
  BW_CHECK(column.elements >= 0);
  if (column.stored != exposed) {
    const auto bytes = static_cast<std::size_t>(std::max(column.row_bytes(), kConvertBytes));
    scratch_bytes_ = std::max(scratch_bytes_, bytes);
  }
  columns_.push_back(std::move(column));
}

void ArraySource::read(std::span<const std::int64_t> indices, std::span<std::byte* const> features,
                       std::byte* labels, std::span<std::byte> scratch) const {
  BW_CHECK(scratch.size() >= scratch_bytes_ && features.size() <= features_.size());
  for (const std::int64_t index : indices) {
    BW_CHECK(index >= 0 && index < num_samples_, "{}: sample {} of {}", path_, index, num_samples_);
  }
  for (std::size_t i = 0; i < features.size(); ++i) {
    if (features[i] == nullptr) continue;
    read_column(columns_[i], indices, features_[i].dtype, features[i], scratch);
  }
  if (labels != nullptr && label_) {
    read_column(columns_.back(), indices, label_->dtype, labels, scratch);
  }
}

std::size_t ArraySource::resident_bytes() const {
  std::size_t bytes = sizeof(*this);
  for (const ArrayColumn& column : columns_) {
    bytes += sizeof(column) +
             column.segments.size() * (sizeof(ArrayColumn::Segment) + sizeof(InputFile));
  }
  for (const std::string& name : class_names_) bytes += sizeof(name) + name.capacity();
  return bytes;
}

}  // namespace batchwise
