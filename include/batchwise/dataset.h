// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "batchwise/export.h"
#include "batchwise/tensor_view.h"

namespace batchwise {

struct DatasetOptions {
  std::string preferred_split;  // where the data has splits and the path names none
  // The first so many samples, of class folders the first of each class in turn; below 0: all.
  std::int64_t limit = -1;
  std::string label;         // the column or array with the labels; "none": there is none
  std::string cache_folder;  // empty: BATCHWISE_CACHE_DIR, else TMPDIR, else /var/tmp
};

// Samples that belong together in memory; valid until the next one is asked for.
struct Batch {
  std::int64_t count = 0;
  std::int64_t epoch = 0;  // from 0
  std::vector<ConstTensorView> features;
  ConstTensorView labels;  // data is null where there are none
};

struct BatchOptions {
  std::int64_t batch_size = 32;
  bool shuffle = false;
  std::uint64_t seed = 0;
  std::int64_t epochs = 1;
  bool drop_last = false;
  DType label_dtype = DType::kUndefined;  // kUndefined: as the data has them
};

// A stream of batches, read ahead by a thread of its own. One consumer.
class BATCHWISE_API Batches {
 public:
  struct State;
  explicit Batches(std::unique_ptr<State> state);
  Batches(Batches&&) noexcept;
  Batches& operator=(Batches&&) noexcept;
  ~Batches();
  // The next batch, null after the last.
  const Batch* next();

 private:
  std::unique_ptr<State> state_;
};

// Data on disk, opened by its path (CLI.md lists the formats; ":train" and ":test" choose a split).
// Immutable and cheap to copy; safe to use from several threads. Samples stay on disk.
class BATCHWISE_API Dataset {
 public:
  struct State;
  // Throws Error where it is not data, is damaged, or has no such split.
  static Dataset open(const std::string& path, const DatasetOptions& options = {});

  const std::string& path() const;  // with the split that was chosen
  std::int64_t num_samples() const;
  std::vector<std::string> feature_names() const;
  std::vector<std::int64_t> feature_shape(std::size_t feature) const;
  bool has_labels() const;
  // Names of the classes in the order of their ids; empty where the data has numbers only.
  const std::vector<std::string>& class_names() const;
  // Features as float32. The data set must outlive the batches.
  Batches batches(const BatchOptions& options) const;

  const State& state() const { return *state_; }

 private:
  explicit Dataset(std::shared_ptr<const State> state) : state_(std::move(state)) {}
  std::shared_ptr<const State> state_;
};

}  // namespace batchwise
