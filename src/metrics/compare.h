// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "batchwise/dtype.h"

namespace batchwise {

// How far two sets of outputs lie apart. Equal bits are equal, whatever they mean.
struct Comparison {
  std::int64_t samples = 0;
  std::int64_t differing_samples = 0;  // with at least one value of other bits
  std::int64_t differing_values = 0;   // of other bits
  // Infinite where a number became nan or one side alone is infinite.
  double max_abs_error = 0;
  double max_rel_error = 0;  // |a - b| / max(|a|, |b|)
  std::uint64_t max_ulp = 0;
  std::int64_t changed_classes = 0;  // samples whose class in the first output changed
};

// The steps from one float to the other along all floats: 0 between -0 and 0 and between two nans,
// kNanUlp between a nan and a number; infinity is one step beyond the largest number.
inline constexpr std::uint64_t kNanUlp = 0xFFFFFFFFu;
std::uint64_t ulp_distance(float a, float b);

// Where the largest value lies: the first of equals; a nan counts as the largest.
std::int64_t class_of(std::span<const float> row);

// Compares outputs as they come, a few samples at a time. Not thread-safe.
class OutputComparator {
 public:
  struct Output {
    std::int64_t elements = 1;  // of a sample
    DType dtype = DType::kFloat32;
  };
  // Throws Error for a type other than float32, float64, int64, int32, uint8 and bool.
  explicit OutputComparator(std::vector<Output> outputs);

  // `a[o]` and `b[o]` point to `rows` dense rows of output o.
  void add(std::span<const std::byte* const> a, std::span<const std::byte* const> b,
           std::int64_t rows);
  // The same for one output of floats.
  void add(std::span<const float> a, std::span<const float> b);
  const Comparison& result() const { return result_; }

 private:
  std::vector<Output> outputs_;
  Comparison result_;
};

// Compares two files of outputs (npy, npz, csv) without holding them in memory. Outputs are matched
// by name where both files have names. Throws Error where they do not have the same outputs and
// samples.
Comparison compare_files(const std::string& a, const std::string& b);

}  // namespace batchwise
