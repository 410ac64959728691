// SPDX-License-Identifier: Apache-2.0
#include "data/output_writer.h"

#include <cstring>
#include <string_view>
#include <utility>

#include "base/atomic_file.h"
#include "base/check.h"
#include "data/formats.h"
#include "data/npy.h"
#include "data/npz_writer.h"

namespace batchwise {
namespace {

std::vector<std::int64_t> array_shape(const OutputInfo& output, std::int64_t rows) {
  std::vector<std::int64_t> shape = output.shape.dims();
  shape.insert(shape.begin(), rows);
  return shape;
}

class NpyWriter : public OutputWriter {
 public:
  NpyWriter(const std::string& path, const OutputInfo& output, std::int64_t total_rows)
      : file_(path),
        row_bytes_(static_cast<std::size_t>(output.shape.elements()) * dtype_bytes(output.dtype)),
        total_rows_(total_rows) {
    file_.write(make_npy_header(output.dtype, array_shape(output, total_rows)));
  }
  void append(std::span<const std::byte* const> outputs, std::int64_t rows) override {
    rows_ += rows;
    file_.write(std::span(outputs[0], static_cast<std::size_t>(rows) * row_bytes_));
  }
  void finish() override {
    BW_CHECK(rows_ == total_rows_, "{}: {} rows of {}", file_.path(), rows_, total_rows_);
    file_.finish();
  }

 private:
  AtomicFile file_;
  std::size_t row_bytes_;
  std::int64_t total_rows_;
  std::int64_t rows_ = 0;
};

template <typename T>
void format_value(std::string& text, const std::byte* value) {
  T number;
  std::memcpy(&number, value, sizeof(T));
  fmt::format_to(std::back_inserter(text), "{}", number);
}

using Format = void (*)(std::string&, const std::byte*);

Format format_of(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
      return format_value<float>;
    case DType::kFloat64:
      return format_value<double>;
    case DType::kInt64:
      return format_value<std::int64_t>;
    case DType::kInt32:
      return format_value<std::int32_t>;
    case DType::kUInt8:
    case DType::kBool:
      return format_value<std::uint8_t>;
    default:
      fail_input("csv", "{} cannot be written", dtype_name(dtype));
  }
}

class CsvWriter : public OutputWriter {
 public:
  CsvWriter(const std::string& path, const OutputInfo& output, std::int64_t total_rows)
      : file_(path),
        format_(format_of(output.dtype)),
        columns_(output.shape.elements()),
        value_bytes_(dtype_bytes(output.dtype)),
        total_rows_(total_rows) {}
  void append(std::span<const std::byte* const> outputs, std::int64_t rows) override {
    rows_ += rows;
    const std::byte* value = outputs[0];
    for (std::int64_t row = 0; row < rows; ++row) {
      for (std::int64_t column = 0; column < columns_; ++column, value += value_bytes_) {
        if (column > 0) text_ += ',';
        format_(text_, value);
      }
      text_ += '\n';
      if (text_.size() >= kBufferBytes) flush();
    }
  }
  void finish() override {
    BW_CHECK(rows_ == total_rows_, "{}: {} rows of {}", file_.path(), rows_, total_rows_);
    flush();
    file_.finish();
  }

 private:
  static constexpr std::size_t kBufferBytes = 64 * 1024;
  void flush() {
    file_.write(std::string_view(text_));
    text_.clear();
  }

  AtomicFile file_;
  Format format_;
  std::int64_t columns_;
  std::size_t value_bytes_;
  std::int64_t total_rows_;
  std::int64_t rows_ = 0;
  std::string text_;
};

}  // namespace

std::unique_ptr<OutputWriter> open_output(const std::string& path, std::vector<OutputInfo> outputs,
                                          std::int64_t total_rows) {
  BW_CHECK(!outputs.empty());
  if (ends_with_ignoring_case(path, ".npz")) {
    return make_npz_writer(path, std::move(outputs), total_rows);
  }
  const bool is_npy = ends_with_ignoring_case(path, ".npy");
  if (!is_npy && !ends_with_ignoring_case(path, ".csv")) {
    fail_input(path, "outputs are written to .npy, .npz or .csv");
  }
  if (outputs.size() > 1) {
    fail_input(path, "{} outputs need an .npz, or one of them chosen", outputs.size());
  }
  if (is_npy) return std::make_unique<NpyWriter>(path, outputs[0], total_rows);
  return std::make_unique<CsvWriter>(path, outputs[0], total_rows);
}

}  // namespace batchwise
