// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/check.h"
#include "batching/cost_model.h"
#include "batching/memory_room.h"
#include "measure/process_memory.h"
#include "predict/run_predict.h"
#include "study/chapters.h"

namespace batchwise {
namespace {

// Memory grows with the batch, and nobody asks for a micro-batch above this.
constexpr std::int64_t kLargestMicroBatch = 65536;

MemoryRow predict_row(const StudyContext& context, const StudiedModel& model, std::int64_t batch) {
  const PredictPlan plan = plan_micro_batch(*model.engine, context.data().validation(), batch,
                                            batch, context.threads(), false);
  return {StudyUse::kPredict, batch, batch, plan.parts, plan.parts.total()};
}

// With the whole batch at once.
MemoryRow fit_row(const StudyContext& context, const StudiedModel& model, std::int64_t batch,
                  std::int64_t micro_batch) {
  FitSettings settings = fit_settings(context, batch, context.options().fit.seed);
  settings.micro_batch = micro_batch;
  settings.resources.memory_limit_bytes = std::int64_t{1} << 60;  // a plan is wanted, not a verdict
  const FitUse use =
      prepare_fit(model.graph, *context.data().train, context.data().test.get(), settings, nullptr);
  return {StudyUse::kFit, use.options.training.batch_size, use.options.training.micro_batch,
          use.parts, use.parts.total()};
}

void keep(const StudyContext& context, const StudiedModel& model, const MemoryChapter& chapter) {
  for (const MemoryRow& row : chapter.rows) {
    const std::string key = fmt::format("memory/{}/{}/batch={}/threads={}", model.key,
                                        name_of(row.use), row.batch_size, context.threads());
    if (context.store().has(key)) continue;
    context.store().save({key,
                          "memory",
                          model.info.name,
                          fmt::format("{{\"peak_bytes\": {}}}", row.peak_bytes),
                          0,
                          {{"planned peak", 0, static_cast<double>(row.peak_bytes), "bytes"}},
                          {}});
  }
}

// The largest micro-batch in the limit where the largest of `rows` is not within it.
template <typename Plan>
std::optional<std::int64_t> largest_in(const MemoryRoom& room, std::int64_t most, Plan&& plan) {
  const auto fits = [&](std::int64_t size) { return room.fits(plan(size).peak_bytes); };
  if (fits(most)) return std::nullopt;
  return largest_that_fits(most, fits);
}

}  // namespace

MemoryChapter memory_chapter(const StudyContext& context, const StudiedModel& model) {
  const StudyOptions& options = context.options();
  const MemoryRoom room = memory_room(options.resources);
  MemoryChapter chapter;
  chapter.limit_bytes = room.limit_bytes;
  chapter.base_bytes = room.base_bytes;
  chapter.limit_source =
      options.resources.memory_limit_bytes > 0 ? "--memory-limit" : read_memory_limit().source;
  const bool mixes = !model.engine->mixes_samples().empty();
  if (options.for_predict) {
    for (std::int64_t batch : options.predict_batch_sizes) {
      if (mixes && batch > 1) break;
      context.check_stop();
      context.report(model, "Memory", fmt::format("predict, batch {}", batch));
      chapter.rows.push_back(predict_row(context, model, batch));
    }
    const std::int64_t most = mixes ? 1 : kLargestMicroBatch;
    chapter.largest_predict_micro_batch = largest_in(
        room, most, [&](std::int64_t size) { return predict_row(context, model, size); });
    if (chapter.largest_predict_micro_batch == 0) chapter.largest_predict_batch_size = 0;
  }
  if (options.for_fit && context.data().train->label()) {
    std::vector<std::int64_t> sizes = fit_batch_sizes(options, context.data().train_range.count());
    for (std::int64_t batch : sizes) {
      context.check_stop();
      context.report(model, "Memory", fmt::format("fit, batch {}", batch));
      chapter.rows.push_back(fit_row(context, model, batch, batch));
    }
    chapter.largest_fit_micro_batch = largest_in(room, sizes.back(), [&](std::int64_t size) {
      return fit_row(context, model, sizes.back(), size);
    });
    if (chapter.largest_fit_micro_batch == 0) chapter.largest_fit_batch_size = 0;
  }
  keep(context, model, chapter);
  return chapter;
}

}  // namespace batchwise
