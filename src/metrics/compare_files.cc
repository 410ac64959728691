// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <numeric>

#include "base/check.h"
#include "data/data_spec.h"
#include "metrics/compare.h"

namespace batchwise {
namespace {

// The feature of `b` that is feature `f` of `a`: by name where both have names.
std::size_t match_feature(const DataSource& a, std::size_t f, const DataSource& b) {
  const FeatureInfo& wanted = a.features()[f];
  std::size_t match = f;
  if (a.features().size() > 1 && !wanted.name.empty()) {
    const auto& names = b.features();
    const auto it = std::find_if(names.begin(), names.end(), [&](const FeatureInfo& feature) {
      return feature.name == wanted.name;
    });
    if (it == names.end())
      fail_input(b.path(), "has no output '{}', as {} does", wanted.name, a.path());
    match = static_cast<std::size_t>(it - names.begin());
  }
  const FeatureInfo& found = b.features()[match];
  if (found.shape != wanted.shape || found.dtype != wanted.dtype) {
    fail_input("compare", "a sample is {}{} in {} and {}{} in {}", dtype_name(wanted.dtype),
               wanted.shape.to_string(), a.path(), dtype_name(found.dtype), found.shape.to_string(),
               b.path());
  }
  return match;
}

// A file's samples, a few at a time, one buffer an output.
class RowReader {
 public:
  RowReader(const DataSource& source, std::int64_t rows) : source_(source) {
    for (const FeatureInfo& feature : source.features()) {
      buffers_.emplace_back(feature.sample_bytes() * static_cast<std::size_t>(rows));
      targets_.push_back(buffers_.back().data());
    }
    scratch_.resize(source.scratch_bytes());
  }
  void read(std::span<const std::int64_t> indices) {
    source_.read(indices, targets_, nullptr, scratch_);
  }
  const std::byte* row(std::size_t feature) const { return targets_[feature]; }

 private:
  const DataSource& source_;
  std::vector<std::vector<std::byte>> buffers_;
  std::vector<std::byte*> targets_;
  std::vector<std::byte> scratch_;
};

std::int64_t rows_at_once(const DataSource& source) {
  constexpr std::size_t kBufferBytes = std::size_t{1} << 20;
  std::size_t row_bytes = 1;
  for (const FeatureInfo& feature : source.features()) row_bytes += feature.sample_bytes();
  return static_cast<std::int64_t>(std::max<std::size_t>(kBufferBytes / row_bytes, 1));
}

}  // namespace

Comparison compare_files(const std::string& path_a, const std::string& path_b) {
  const auto a = open_outputs(path_a), b = open_outputs(path_b);
  if (a->num_samples() != b->num_samples() || a->features().size() != b->features().size()) {
    fail_input("compare", "{} has {} samples of {} outputs, {} has {} of {}", path_a,
               a->num_samples(), a->features().size(), path_b, b->num_samples(),
               b->features().size());
  }
  std::vector<OutputComparator::Output> outputs;
  std::vector<std::size_t> matches;
  for (std::size_t f = 0; f < a->features().size(); ++f) {
    outputs.push_back({a->features()[f].shape.elements(), a->features()[f].dtype});
    matches.push_back(match_feature(*a, f, *b));
  }
  const std::int64_t rows = rows_at_once(*a);
  RowReader reader_a(*a, rows), reader_b(*b, rows);
  OutputComparator comparator(outputs);
  std::vector<const std::byte*> left, right;
  for (std::size_t f = 0; f < outputs.size(); ++f) {
    left.push_back(reader_a.row(f));
    right.push_back(reader_b.row(matches[f]));
  }
  for (std::int64_t first = 0; first < a->num_samples(); first += rows) {
    std::vector<std::int64_t> indices(
        static_cast<std::size_t>(std::min(rows, a->num_samples() - first)));
    std::iota(indices.begin(), indices.end(), first);
    reader_a.read(indices);
    reader_b.read(indices);
    comparator.add(left, right, static_cast<std::int64_t>(indices.size()));
  }
  return comparator.result();
}

}  // namespace batchwise
