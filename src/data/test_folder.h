// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <gtest/gtest.h>
#include <zlib.h>

#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "batchwise/error.h"
#include "data/data_source.h"

namespace batchwise {

// A folder for the files of one test, removed with it. For tests only.
class TestFolder {
 public:
  TestFolder() : path_(testing::TempDir() + "batchwise_XXXXXX") { mkdtemp(path_.data()); }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  const std::string& path() const { return path_; }
  std::string operator/(std::string_view name) const { return path_ + "/" + std::string(name); }
  // Writes a file, with the folders above it, and returns its path.
  std::string write(std::string_view name, std::string_view bytes) const {
    std::string file = *this / name;
    std::filesystem::create_directories(std::filesystem::path(file).parent_path());
    std::ofstream(file, std::ios::binary).write(bytes.data(), std::ssize(bytes));
    return file;
  }
  std::string write_gzip(std::string_view name, std::string_view bytes) const {
    std::string file = *this / name;
    gzFile out = gzopen(file.c_str(), "wb");
    gzwrite(out, bytes.data(), static_cast<unsigned>(bytes.size()));
    gzclose(out);
    return file;
  }

 private:
  std::string path_;
};

inline std::string file_content(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

// The repository's root: where ctest runs tests. A test started elsewhere finds it by its source,
// unless the compiler was given a relative name.
inline std::filesystem::path repository_root() {
  std::filesystem::path here = std::filesystem::current_path();
  if (std::filesystem::exists(here / "src/data/fixtures")) return here;
  return std::filesystem::path(__FILE__).parent_path().parent_path().parent_path();
}

// A file beside the tests, made by another program.
inline std::string fixture(std::string_view name) {
  return (repository_root() / "src/data/fixtures" / name).string();
}

// A file of the shared data, or empty where it is missing.
inline std::string shared_data(std::string_view name) {
  const char* folder = std::getenv("BATCHWISE_SHARED_DIR");
  const auto shared =
      folder != nullptr ? std::filesystem::path(folder) : repository_root() / ".." / "shared";
  const auto path = shared / "data" / name;
  return std::filesystem::exists(path) ? path.string() : "";
}

// What `f` throws: its message, or "" where it does not throw.
template <typename F>
std::string error_of(F&& f) {
  try {
    f();
  } catch (const InternalError& error) {
    ADD_FAILURE() << error.what();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

template <typename T>
std::vector<T> read_feature(const DataSource& source, std::vector<std::int64_t> indices,
                            std::size_t feature = 0) {
  const FeatureInfo& info = source.features().at(feature);
  EXPECT_EQ(info.sample_bytes(), sizeof(T) * static_cast<std::size_t>(info.shape.elements()));
  std::vector<T> values(indices.size() * static_cast<std::size_t>(info.shape.elements()));
  std::vector<std::byte*> targets(source.features().size());
  targets[feature] = reinterpret_cast<std::byte*>(values.data());
  std::vector<std::byte> scratch(source.scratch_bytes());
  source.read(indices, targets, nullptr, scratch);
  return values;
}

template <typename T>
std::vector<T> read_labels(const DataSource& source, std::vector<std::int64_t> indices) {
  const auto elements = static_cast<std::size_t>(source.label().value().shape.elements());
  EXPECT_EQ(source.label()->sample_bytes(), sizeof(T) * elements);
  std::vector<T> values(indices.size() * elements);
  std::vector<std::byte*> targets(source.features().size());
  std::vector<std::byte> scratch(source.scratch_bytes());
  source.read(indices, targets, reinterpret_cast<std::byte*>(values.data()), scratch);
  return values;
}

}  // namespace batchwise
