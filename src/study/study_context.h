// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/data_source.h"
#include "data/order.h"
#include "engine/model.h"
#include "measure/sampling.h"
#include "study/store.h"
#include "study/study.h"

// What the chapters of one study share.
namespace batchwise {

// The data as all chapters see it: what is trained on and what is measured with.
struct StudyData {
  std::unique_ptr<DataSource> train;
  std::unique_ptr<DataSource> test;  // the test split, where there is one
  SampleRange train_range, validation_range;
  std::string identity;  // of the content, as far as it is cheap to know

  const DataSource& validation() const { return test ? *test : *train; }
};

// A model that is studied.
struct StudiedModel {
  ModelInfo info;
  std::string key;  // its place in the store: name and content
  Graph graph;      // as it was read, free of its batch
  std::shared_ptr<const EngineModel> engine;
};

// One study while it runs. Not thread-safe.
class StudyContext {
 public:
  StudyContext(const StudyOptions& options, const StudyData& data, StudyStore& store)
      : options_(options), data_(data), store_(store) {}

  const StudyOptions& options() const { return options_; }
  const StudyData& data() const { return data_; }
  StudyStore& store() const { return store_; }
  int threads() const;

  // Throws Error{kInterrupted} where the user wants to stop.
  void check_stop() const;
  void report(const StudiedModel& model, const char* chapter, const std::string& what,
              double done = 0, double of = 0) const;
  double seconds() const { return watch_.seconds(); }
  // The time a chapter may take: its default, or its share of what is left of the budget for
  // `models_left` models.
  double chapter_seconds(double default_seconds, double share, std::size_t models_left) const;
  bool out_of_budget() const;

 private:
  const StudyOptions& options_;
  const StudyData& data_;
  StudyStore& store_;
  Stopwatch watch_;
};

// Samples in memory, as a model takes them: features[i] for input i, and labels where asked.
struct LoadedSamples {
  std::int64_t count = 0;
  std::vector<std::vector<std::byte>> features;
  std::vector<std::byte> labels;

  std::vector<const void*> pointers() const;
};

// `count` samples of `source` from `range`, from its beginning again where there are fewer.
LoadedSamples load_samples(const Graph& model, const DataSource& source, SampleRange range,
                           std::int64_t count, DType label_dtype = DType::kUndefined);

}  // namespace batchwise
