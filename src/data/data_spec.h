// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "data/cache_file.h"
#include "data/data_source.h"

namespace batchwise {

// A data set as a user names it, with what may be said about it. A plain value.
struct DataSpec {
  std::string path;
  std::string split;  // "train", "test", or empty where nothing was said
  // The first so many samples, of class folders the first of each class in turn; below 0: all.
  std::int64_t limit = -1;
  // The column (csv) or array (npz) with the labels; empty: the last column, `y`. "none": there is
  // no label, all columns or arrays are features.
  std::string label;
  bool accept_non_finite = false;  // nan and inf are numbers in a csv (as in outputs)
  CacheOptions cache;
};

// "mnist:train" -> {path "mnist", split "train"}; only :train and :test are splits.
DataSpec parse_data_spec(std::string_view text);

// Which of "train" and "test" the data at `path` has, in this order; empty where it is not divided.
// Throws Error where there is no data set.
std::vector<std::string> available_splits(const std::string& path);

// `spec` with a split where the data has splits and none was named: `preferred` if it exists, else
// the one that does.
DataSpec with_default_split(DataSpec spec, std::string_view preferred);

// Opens the data; what its samples look like is known afterwards. Throws Error{kInvalidInput} where
// it is not data, is damaged, or has no such split; a split must be named where there are two.
std::unique_ptr<DataSource> open_data(const DataSpec& spec);

// Opens a file of outputs (npy, npz, csv) as `predict` writes it: every array a feature.
std::unique_ptr<DataSource> open_outputs(const std::string& path);

}  // namespace batchwise
