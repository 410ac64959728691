// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "batchwise/dtype.h"
#include "tensor/shape.h"

namespace batchwise {

// One input of a sample as the data set stores it.
struct FeatureInfo {
  std::string name;               // empty where the format has no names
  Shape shape;                    // of one sample: {1, 28, 28}, {64}
  DType dtype = DType::kFloat32;  // kUInt8, kBool, kInt64 or kFloat32
  std::size_t sample_bytes() const {
    return static_cast<std::size_t>(shape.elements()) * dtype_bytes(dtype);
  }
};

// What there is to learn about a sample: class ids (kInt64) or targets (kFloat32).
struct LabelInfo {
  Shape shape;  // of one sample; a scalar has rank 0
  DType dtype = DType::kInt64;
  std::size_t sample_bytes() const {
    return static_cast<std::size_t>(shape.elements()) * dtype_bytes(dtype);
  }
};

// The least and the greatest class id of some samples; max below min where there are none.
struct LabelRange {
  std::int64_t min = 0, max = -1;
};

// Samples on disk with random access by index. Immutable once open; read() is safe to call from
// several threads, each with a scratch of its own. Nothing of the samples stays in memory; an index
// of them does, where resident_bytes() says so.
class DataSource {
 public:
  virtual ~DataSource() = default;

  const std::string& path() const { return path_; }
  std::int64_t num_samples() const { return num_samples_; }
  const std::vector<FeatureInfo>& features() const { return features_; }
  const std::optional<LabelInfo>& label() const { return label_; }
  // Names of the classes in the order of their ids; empty where the data has numbers only.
  const std::vector<std::string>& class_names() const { return class_names_; }

  // Reads sample indices[i] to features[f] + i * features()[f].sample_bytes() and to
  // labels + i * label()->sample_bytes(); a null pointer leaves that part out.
  // Requires: 0 <= index < num_samples(); scratch.size() >= scratch_bytes().
  // Throws Error where a file is damaged or has changed.
  virtual void read(std::span<const std::int64_t> indices, std::span<std::byte* const> features,
                    std::byte* labels, std::span<std::byte> scratch) const = 0;
  virtual std::size_t scratch_bytes() const = 0;
  // Heap memory that the open source holds.
  virtual std::size_t resident_bytes() const = 0;

  // The class ids of all samples, as `find()` tells them when they are first asked for: they are
  // read once, however often they are checked. Safe from several threads.
  template <typename Find>
  const LabelRange& known_labels(Find&& find) const {
    std::call_once(labels_known_, [&] { known_labels_ = find(); });
    return known_labels_;
  }

  // Leaves only the first `limit` samples; a limit below 0 or above their number changes nothing.
  // Part of opening.
  void limit(std::int64_t limit) {
    if (limit >= 0 && limit < num_samples_) num_samples_ = limit;
  }

 protected:
  std::string path_;
  std::int64_t num_samples_ = 0;
  std::vector<FeatureInfo> features_;
  std::optional<LabelInfo> label_;
  std::vector<std::string> class_names_;

 private:
  mutable std::once_flag labels_known_;
  mutable LabelRange known_labels_;
};

}  // namespace batchwise
