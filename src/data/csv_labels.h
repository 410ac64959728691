// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "data/array_source.h"
#include "data/cache_file.h"

namespace batchwise {

// Finds out, cell by cell, what a label column is: class ids (all integers), targets (all numbers)
// or texts, whose sorted order gives the class ids. Not thread-safe.
class CsvLabels {
 public:
  CsvLabels(CacheBudget& budget, const std::string& path);

  // `keep` is false for rows past the limit, whose texts still count as classes.
  void add(std::string_view cell, const std::string& where, bool keep);
  bool is_text() const { return is_text_; }
  // Ends adding.
  ArraySource::Label finish();

 private:
  struct Record {
    double value;
    std::int64_t text_id;
  };
  std::int64_t intern(std::string_view cell, const std::string& where);
  ArrayColumn rewrite(const std::vector<std::int64_t>& class_of_text);

  CacheBudget& budget_;
  std::string path_;
  CacheFile records_;
  std::int64_t rows_ = 0;
  bool is_text_ = false;
  bool is_integer_ = true;
  bool has_all_texts_ = true;  // no cell was left out of text_ids_
  std::unordered_map<std::string, std::int64_t> text_ids_;
};

}  // namespace batchwise
