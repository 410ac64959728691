// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "batchwise/error.h"
#include "data/data_spec.h"

namespace batchwise {

// A folder of this process, removed when it ends.
class FuzzFolder {
 public:
  FuzzFolder() : path_((std::filesystem::temp_directory_path() / "batchwise_XXXXXX").string()) {
    if (mkdtemp(path_.data()) == nullptr) std::abort();
  }
  ~FuzzFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  FuzzFolder(const FuzzFolder&) = delete;
  FuzzFolder& operator=(const FuzzFolder&) = delete;
  const std::string& path() const { return path_; }
  std::string write(const std::string& name, const std::uint8_t* data, std::size_t size) const {
    std::string file = path_ + "/" + name;
    std::ofstream(file, std::ios::binary)
        .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
    return file;
  }

 private:
  std::string path_;
};

// Runs `body`: what a user did wrong is fine, what we did wrong is not.
template <typename Body>
void expect_no_bug(Body&& body) {
  try {
    body();
  } catch (const InternalError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    std::abort();
  } catch (const Error&) {
  }
}

// Opens the data in every split and reads its first and last sample.
inline void open_and_read(const std::string& path, const std::string& label = {}) {
  constexpr std::size_t kMostBytes = 16 << 20;
  expect_no_bug([&] {
    DataSpec spec = with_default_split(parse_data_spec(path), "test");
    spec.label = label;
    spec.cache.limit_bytes = kMostBytes;
    const auto source = open_data(spec);
    std::vector<std::vector<std::byte>> features;
    std::vector<std::byte*> targets;
    std::size_t bytes = source->scratch_bytes();
    for (const FeatureInfo& feature : source->features()) bytes += 2 * feature.sample_bytes();
    if (source->label()) bytes += 2 * source->label()->sample_bytes();
    if (bytes > kMostBytes) return;
    for (const FeatureInfo& feature : source->features()) {
      targets.push_back(features.emplace_back(2 * feature.sample_bytes()).data());
    }
    std::vector<std::byte> labels(source->label() ? 2 * source->label()->sample_bytes() : 0);
    std::vector<std::byte> scratch(source->scratch_bytes());
    const std::vector<std::int64_t> indices{source->num_samples() - 1, 0};
    source->read(indices, targets, labels.empty() ? nullptr : labels.data(), scratch);
  });
}

}  // namespace batchwise
