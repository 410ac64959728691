// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/data_source.h"
#include "data/data_spec.h"

namespace batchwise {

// One row a format: how to tell it, which splits it has, how to open it. open_data() takes the
// first row whose recognizes() says yes.
struct DataFormat {
  const char* name;
  bool (*recognizes)(const std::string& path);
  std::vector<std::string> (*splits)(const std::string& path);
  std::unique_ptr<DataSource> (*open)(const DataSpec& spec, CacheBudget& budget);
};

extern const DataFormat kIdxFormat;          // a folder with MNIST's files, or one of images
extern const DataFormat kCifarFormat;        // a folder with CIFAR-10's binary files, or one
extern const DataFormat kImageFolderFormat;  // a folder with a folder a class
extern const DataFormat kImageTarFormat;     // .tar, .tar.gz, .tgz of such a folder
extern const DataFormat kCsvFormat;          // .csv, .csv.gz
extern const DataFormat kNpyFormat;          // .npy
extern const DataFormat kNpzFormat;          // .npz

bool ends_with_ignoring_case(std::string_view text, std::string_view ending);
std::vector<std::string> no_splits(const std::string& path);
// The names in a folder that do not begin with a dot, sorted.
std::vector<std::string> sorted_entries(const std::string& folder);
// Text from a file as it may stand in a message: printable, one line, not long.
std::string printable(std::string_view text);

}  // namespace batchwise
