// SPDX-License-Identifier: Apache-2.0
// The results as CLI.md's JSON: one object each, units in the names.
#include <cmath>
#include <nlohmann/json.hpp>

#include "batchwise/compare.h"
#include "batchwise/explain.h"
#include "batchwise/fit.h"
#include "batchwise/predict.h"

namespace batchwise {
namespace {

using Json = nlohmann::ordered_json;

// JSON has no infinity and no nan.
Json number(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }
Json number(const std::optional<double>& value) { return value ? number(*value) : Json(nullptr); }

Json parts_json(const MemoryParts& parts) {
  return {{"weights_bytes", parts.weights_bytes},
          {"packed_weights_bytes", parts.packed_weights_bytes},
          {"activation_bytes", parts.activation_bytes},
          {"gradient_bytes", parts.gradient_bytes},
          {"optimizer_bytes", parts.optimizer_bytes},
          {"scratch_bytes", parts.scratch_bytes},
          {"io_bytes", parts.io_bytes},
          {"data_bytes", parts.data_bytes},
          {"code_bytes", parts.code_bytes}};
}

void add_memory(Json& json, const MemoryParts& planned, const MemoryBase& base,
                std::int64_t measured) {
  json["planned_peak_bytes"] = planned.total();
  json["planned_parts"] = parts_json(planned);
  json["base_rss_bytes"] = base.rss_bytes;
  json["base_data_bytes"] = base.data_bytes;
  json["measured_peak_rss_bytes"] = measured;
}

}  // namespace

std::string to_json(const PredictReport& report) {
  Json json = {{"samples", report.samples},         {"batch_size", report.batch_size},
               {"micro_batch", report.micro_batch}, {"threads", report.threads},
               {"seconds", report.seconds},         {"samples_per_s", report.samples_per_s}};
  add_memory(json, report.planned, report.base, report.measured_peak_rss_bytes);
  json["output_sha256"] = report.output_sha256;
  if (report.control) {
    json["differing_samples"] = report.control->differing_samples;
    json["max_abs_error"] = number(report.control->max_abs_error);
    json["max_ulp"] = report.control->max_ulp;
    json["changed_classes"] = report.control->changed_classes;
  }
  return json.dump(2);
}

std::string to_json(const EvaluateReport& report) {
  Json json = {{"samples", report.samples},
               {"loss", number(report.loss)},
               {report.metric_name, number(report.metric)},
               {"batch_size", report.batch_size},
               {"micro_batch", report.micro_batch},
               {"seconds", report.seconds},
               {"samples_per_s", report.samples_per_s}};
  add_memory(json, report.planned, report.base, report.measured_peak_rss_bytes);
  return json.dump(2);
}

std::string to_json(const FitReport& report) {
  Json epochs = Json::array();
  for (const FitEpoch& e : report.epochs) {
    Json epoch = {{"epoch", e.epoch},
                  {"steps", e.steps},
                  {"samples", e.samples},
                  {"loss", number(e.loss)},
                  {report.metric_name, number(e.metric)},
                  {"val_loss", number(e.val_loss)},
                  {"val_" + report.metric_name, number(e.val_metric)},
                  {"samples_per_s", e.samples_per_s},
                  {"learning_rate", e.learning_rate},
                  {"batch_size", e.batch_size},
                  {"noise_scale", number(e.noise_scale)}};
    epochs.push_back(std::move(epoch));
  }
  Json json = {{"epochs", std::move(epochs)},       {"batch_size", report.batch_size},
               {"micro_batch", report.micro_batch}, {"steps", report.steps},
               {"threads", report.threads},         {"stopped", report.stopped},
               {"seconds", report.seconds}};
  json["diverged_step"] = report.diverged_step ? Json(*report.diverged_step) : Json(nullptr);
  add_memory(json, report.planned, report.base, report.measured_peak_rss_bytes);
  json["weights_sha256"] = report.weights_sha256;
  return json.dump(2);
}

std::string to_json(const OutputDifference& difference) {
  return Json{{"samples", difference.samples},
              {"differing_samples", difference.differing_samples},
              {"max_abs_error", number(difference.max_abs_error)},
              {"max_rel_error", number(difference.max_rel_error)},
              {"max_ulp", difference.max_ulp},
              {"changed_classes", difference.changed_classes}}
      .dump(2);
}

namespace {

Json batch_json(const BatchSizePlan& row) {
  Json json = {{"batch_size", row.batch_size},
               {"micro_batch", row.micro_batch},
               {"peak_bytes", row.peak_bytes}};
  json.update(parts_json(row.parts));
  json["lower_bound_bytes"] = row.lower_bound_bytes;
  json["flops"] = row.flops;
  json["fits"] = row.fits;
  json["plan"] = "exact";
  return json;
}

Json step_json(const StepExplanation& step) {
  Json json = {{"name", step.name},       {"op", step.op},         {"kernel", step.kernel},
               {"backend", step.backend}, {"reason", step.reason}, {"flops", step.flops},
               {"bytes", step.bytes}};
  if (step.us) {
    json["us"] = *step.us;
    json["share"] = number(step.share);
    json["share_of_peak"] = number(step.share_of_peak);
  }
  return json;
}

void add_trained(Json& json, const Explanation& explanation) {
  Json parameters = Json::array();
  for (const TrainedParameter& row : explanation.parameters) {
    parameters.push_back({{"name", row.name}, {"shape", row.shape}, {"decays", row.decays}});
  }
  json["parameters"] = std::move(parameters);
  json["statistics"] = explanation.statistics;
}

}  // namespace

std::string to_json(const Explanation& explanation) {
  Json batches = Json::array(), steps = Json::array(), passes = Json::array();
  for (const BatchSizePlan& row : explanation.batch_sizes) batches.push_back(batch_json(row));
  for (const StepExplanation& step : explanation.steps) steps.push_back(step_json(step));
  for (const PassExplanation& pass : explanation.passes) {
    passes.push_back({{"name", pass.name}, {"changed", pass.changed}, {"us", pass.us}});
  }
  Json json = {{"for", explanation.use == Use::kFit ? "fit" : "predict"},
               {"batch_sizes", std::move(batches)},
               {"memory_limit_bytes", explanation.memory_limit_bytes},
               {"available_bytes", explanation.available_bytes}};
  json["largest_batch_size_that_fits"] =
      explanation.largest_batch_size ? Json(*explanation.largest_batch_size) : Json(nullptr);
  json["largest_micro_batch_that_fits"] = explanation.largest_micro_batch;
  json["steps"] = std::move(steps);
  json["steps_micro_batch"] = explanation.steps_micro_batch;
  json["passes"] = std::move(passes);
  json["isa"] = explanation.isa;
  json["bits_depend_on_isa"] = explanation.bits_depend_on_isa;
  if (!explanation.mixes_samples.empty()) json["mixes_samples"] = explanation.mixes_samples;
  if (explanation.use == Use::kFit) add_trained(json, explanation);
  return json.dump(2);
}

}  // namespace batchwise
