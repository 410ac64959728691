// SPDX-License-Identifier: Apache-2.0
#include "study/study_context.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "batching/memory_room.h"
#include "binding/data_binding.h"
#include "data/batch_loader.h"

namespace batchwise {

int StudyContext::threads() const { return thread_count(options_.resources); }

void StudyContext::check_stop() const {
  if (!options_.should_stop || !options_.should_stop()) return;
  throw Error(ErrorCode::kInterrupted, "[study] interrupted; what was finished is kept",
              "--resume goes on with it");
}

void StudyContext::report(const StudiedModel& model, const char* chapter, const std::string& what,
                          double done, double of) const {
  if (options_.on_progress) options_.on_progress({model.info.name, chapter, what, done, of});
}

double StudyContext::chapter_seconds(double default_seconds, double share,
                                     std::size_t models_left) const {
  if (options_.budget_seconds <= 0) return default_seconds;
  const double left = std::max(0.0, options_.budget_seconds - seconds());
  return share * left / static_cast<double>(std::max<std::size_t>(models_left, 1));
}

bool StudyContext::out_of_budget() const {
  return options_.budget_seconds > 0 && seconds() >= options_.budget_seconds;
}

std::vector<const void*> LoadedSamples::pointers() const {
  std::vector<const void*> pointers;
  for (const auto& feature : features) pointers.push_back(feature.data());
  return pointers;
}

LoadedSamples load_samples(const Graph& model, const DataSource& source, SampleRange range,
                           std::int64_t count, DType label_dtype) {
  const DataBinding binding = bind_data(model, source);
  LoaderOptions loader;
  loader.batch_size = std::min<std::int64_t>(count, 256);
  loader.range = range;
  loader.epochs = count / std::max<std::int64_t>(range.count(), 1) + 1;
  loader.labels = label_dtype != DType::kUndefined;
  loader.label_dtype = label_dtype;
  loader.feature_dtypes = binding.feature_dtypes;
  BatchLoader batches(source, loader);
  LoadedSamples samples;
  samples.features.resize(model.inputs.size());
  const auto append = [](std::vector<std::byte>& to, const std::byte* from, std::int64_t bytes) {
    to.insert(to.end(), from, from + bytes);
  };
  while (samples.count < count) {
    const SamplePiece* piece = batches.next();
    BW_CHECK(piece != nullptr);
    const std::int64_t taken = std::min(piece->count, count - samples.count);
    for (std::size_t i = 0; i < model.inputs.size(); ++i) {
      append(samples.features[i],
             piece->features[static_cast<std::size_t>(binding.feature_of_input[i])],
             taken * sample_bytes(model, model.inputs[i]));
    }
    if (loader.labels) {
      append(samples.labels, piece->labels,
             taken * source.label()->shape.elements() *
                 static_cast<std::int64_t>(dtype_bytes(label_dtype)));
    }
    samples.count += taken;
  }
  return samples;
}

}  // namespace batchwise
