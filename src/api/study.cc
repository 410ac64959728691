// SPDX-License-Identifier: Apache-2.0
#include "batchwise/study.h"

#include "study/study.h"
#include "study/study_json.h"
#include "study/summary.h"

namespace batchwise {

StudyReport study(const StudySettings& settings, const StudyEvents& events) {
  StudyOptions options;
  options.models = settings.models;
  options.data = parse_data_spec(settings.data);
  options.data.limit = settings.data_options.limit;
  options.data.label = settings.data_options.label;
  options.data.cache.folder = settings.data_options.cache_folder;
  options.output = settings.output;
  options.for_predict = settings.for_predict;
  options.for_serve = settings.for_serve;
  options.for_fit = settings.for_fit;
  options.budget_seconds = settings.budget_seconds;
  options.resume = settings.resume;
  options.predict_batch_sizes = settings.predict_batch_sizes;
  options.fit_batch_sizes = settings.fit_batch_sizes;
  options.p99_us = settings.p99_us;
  options.seeds = settings.seeds;
  options.epochs = settings.epochs;
  options.fit = settings.fit;
  options.resources = settings.resources;
  options.command = settings.command;
  options.should_stop = events.should_stop;
  if (events.on_progress) {
    options.on_progress = [&events](const StudyProgress& p) {
      events.on_progress({p.model, p.chapter, p.what, p.done, p.of});
    };
  }
  const StudyResult result = run_study(options);
  return {render_summary(result), study_json(result).dump(2), settings.output + "/report.html"};
}

}  // namespace batchwise
