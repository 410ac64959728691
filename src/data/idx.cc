// SPDX-License-Identifier: Apache-2.0
// MNIST's IDX files, a folder of them or one of images: two zero bytes, a type, the rank, the
// dimensions (big-endian), the bytes.
#include <array>
#include <filesystem>
#include <limits>
#include <utility>

#include "base/check.h"
#include "data/array_source.h"
#include "data/formats.h"

namespace batchwise {
namespace {

constexpr std::byte kUnsignedByte{8};
constexpr std::size_t kMaxRank = 4;

struct IdxFiles {
  std::string images, labels;  // paths; empty where missing
};

bool belongs_to(const std::string& name, const std::string& split) {
  const bool train = name.find("train") != std::string::npos;
  const bool test =
      name.find("t10k") != std::string::npos || name.find("test") != std::string::npos;
  return split == "train" ? train : test && !train;
}

IdxFiles find_files(const std::string& folder, const std::string& split) {
  IdxFiles files;
  for (const std::string& name : sorted_entries(folder)) {
    if (name.find("ubyte") == std::string::npos || !belongs_to(name, split)) continue;
    // A plain file sorts before its .gz and wins.
    std::string* file = nullptr;
    if (name.find("images") != std::string::npos) file = &files.images;
    if (name.find("labels") != std::string::npos) file = &files.labels;
    if (file != nullptr && file->empty()) *file = (std::filesystem::path(folder) / name).string();
  }
  return files;
}

bool is_idx_file(const std::string& path) {
  std::error_code ignored;
  const std::string name = std::filesystem::path(path).filename().string();
  return name.find("ubyte") != std::string::npos && std::filesystem::is_regular_file(path, ignored);
}

struct IdxHeader {
  std::vector<std::int64_t> dims;
  std::int64_t bytes() const { return 4 + 4 * static_cast<std::int64_t>(dims.size()); }
};

IdxHeader read_header(ByteStream& stream, const std::string& path) {
  std::array<std::byte, 4> magic{};
  if (stream.read(magic) != magic.size()) fail_input(path, "the IDX header ends early");
  const auto rank = static_cast<std::size_t>(magic[3]);
  if (magic[0] != std::byte{0} || magic[1] != std::byte{0}) fail_input(path, "not an IDX file");
  if (magic[2] != kUnsignedByte) {
    fail_input(path, "IDX type {:#04x}: only unsigned bytes (0x08) are known",
               static_cast<unsigned>(magic[2]));
  }
  if (rank == 0 || rank > kMaxRank) fail_input(path, "IDX rank {}: must be 1 to 4", rank);
  IdxHeader header;
  for (std::size_t i = 0; i < rank; ++i) {
    std::array<std::byte, 4> digits{};
    if (stream.read(digits) != digits.size()) fail_input(path, "the IDX header ends early");
    std::int64_t dim = 0;
    for (const std::byte digit : digits) dim = dim * 256 + static_cast<std::int64_t>(digit);
    if (dim == 0) fail_input(path, "IDX dimension {} is 0", i);
    header.dims.push_back(dim);
  }
  return header;
}

// A file ready for random access, with the rows that its header promises.
ArrayColumn open_column(const std::string& path, CacheBudget& budget, IdxHeader& header) {
  std::shared_ptr<const InputFile> file = InputFile::open(path);
  header = read_header(*open_stream(file), path);
  const std::int64_t data_bytes = checked_bytes(Shape(header.dims), 1, path);
  if (data_bytes > std::numeric_limits<std::int64_t>::max() - header.bytes()) {
    fail_input(path, "the IDX header says {} bytes", data_bytes);
  }
  const std::int64_t wanted = header.bytes() + data_bytes;
  if (is_gzip(*file)) file = cache_stream(*open_stream(file), wanted, budget, path);
  if (file->size_bytes() != wanted) {
    fail_input(path, "{} bytes where the IDX header {} makes it {}", file->size_bytes(),
               Shape(header.dims).to_string(), wanted);
  }
  ArrayColumn column;
  column.elements = data_bytes / header.dims[0];
  column.segments.push_back({file, header.bytes(), column.elements, header.dims[0]});
  return column;
}

// An image without channels gets one.
Shape sample_shape(const IdxHeader& header) {
  std::vector<std::int64_t> dims(header.dims.begin() + 1, header.dims.end());
  if (dims.size() == 2) dims.insert(dims.begin(), 1);
  return Shape(std::move(dims));
}

std::unique_ptr<DataSource> open_idx(const DataSpec& spec, CacheBudget& budget) {
  const IdxFiles files =
      is_idx_file(spec.path) ? IdxFiles{spec.path, ""} : find_files(spec.path, spec.split);
  if (files.images.empty()) fail_input(spec.path, "has no images of the split '{}'", spec.split);
  IdxHeader header;
  std::vector<ArraySource::Feature> features(1);
  features[0].column = open_column(files.images, budget, header);
  if (header.dims.size() == 1) {
    fail_input(files.images, "labels without images: name the images' file, or the folder of both");
  }
  features[0].shape = sample_shape(header);
  std::optional<ArraySource::Label> label;
  if (!files.labels.empty() && spec.label != "none") {
    label.emplace();
    label->column = open_column(files.labels, budget, header);
    if (header.dims.size() != 1) fail_input(files.labels, "labels of rank {}", header.dims.size());
  }
  return std::make_unique<ArraySource>(spec.path, std::move(features), std::move(label));
}

std::vector<std::string> idx_splits(const std::string& path) {
  std::vector<std::string> splits;
  if (is_idx_file(path)) return splits;
  for (const char* split : {"train", "test"}) {
    if (!find_files(path, split).images.empty()) splits.emplace_back(split);
  }
  return splits;
}

bool is_idx(const std::string& path) {
  return is_idx_file(path) || (std::filesystem::is_directory(path) && !idx_splits(path).empty());
}

}  // namespace

const DataFormat kIdxFormat{"idx", is_idx, idx_splits, open_idx};

}  // namespace batchwise
