// SPDX-License-Identifier: Apache-2.0
#include "study/study_json.h"

#include <cmath>

namespace batchwise {
namespace {

using nlohmann::json;

template <typename T>
json or_null(const std::optional<T>& value) {
  return value ? json(*value) : json(nullptr);
}

template <typename T>
std::optional<T> optional_field(const json& object, const char* name) {
  const auto at = object.find(name);
  if (at == object.end() || at->is_null()) return std::nullopt;
  return at->get<T>();
}

json model_info_json(const ModelInfo& model) {
  return {{"name", model.name},     {"path", model.path},       {"parameters", model.parameters},
          {"inputs", model.inputs}, {"outputs", model.outputs}, {"sha256", model.sha256}};
}

json memory_json(const MemoryChapter& chapter) {
  return {{"rows", chapter.rows},
          {"limit_bytes", or_null(chapter.limit_bytes)},
          {"limit_source", chapter.limit_source},
          {"base_bytes", chapter.base_bytes},
          {"largest_predict_batch_size_that_fits", or_null(chapter.largest_predict_batch_size)},
          {"largest_fit_batch_size_that_fits", or_null(chapter.largest_fit_batch_size)},
          {"largest_predict_micro_batch_that_fits", or_null(chapter.largest_predict_micro_batch)},
          {"largest_fit_micro_batch_that_fits", or_null(chapter.largest_fit_micro_batch)}};
}

json fit_json(const FitChapter& chapter) {
  return {{"rows", chapter.rows},       {"runs", chapter.runs},
          {"noise", chapter.noise},     {"metric", chapter.metric},
          {"setting", chapter.setting}, {"higher_is_better", chapter.higher_is_better},
          {"note", chapter.note}};
}

json model_study_json(const ModelStudy& study) {
  json measurements = json::array();
  if (study.predict) {
    for (const PredictRow& row : study.predict->rows) measurements.push_back(row);
    if (study.predict->automatic) measurements.push_back(*study.predict->automatic);
  }
  json object = {
      {"model", model_info_json(study.model)},
      {"recommendation",
       {{"predict", study.for_predict}, {"serve", study.for_serve}, {"fit", study.for_fit}}},
      {"measurements", measurements},
      {"memory", nullptr},
      {"predict", nullptr},
      {"accuracy", nullptr},
      {"fit", nullptr},
      {"serve", nullptr}};
  if (study.memory) object["memory"] = memory_json(*study.memory);
  if (study.predict) {
    object["predict"] = {{"knee", or_null(study.predict->knee)},
                         {"threads", study.predict->threads}};
  }
  if (study.accuracy) {
    object["accuracy"] = {{"rows", study.accuracy->rows},
                          {"trained_weights", study.accuracy->trained_weights}};
  }
  if (study.fit) object["fit"] = fit_json(*study.fit);
  if (study.serve) object["serve"] = *study.serve;
  return object;
}

}  // namespace

void to_json(json& object, const Interval& interval) {
  object = {{"low", interval.low},
            {"median", interval.median},
            {"high", interval.high},
            {"covers", interval.covers}};
}

void from_json(const json& object, Interval& interval) {
  interval = {object.at("low").get<double>(), object.at("median").get<double>(),
              object.at("high").get<double>(), object.at("covers").get<bool>()};
}

void to_json(json& object, const Machine& machine) {
  object = {{"key", machine.key()},         {"cpu_model", machine.cpu_model},
            {"cores", machine.cores},       {"l1d_bytes", machine.l1d_bytes},
            {"l2_bytes", machine.l2_bytes}, {"l3_bytes", machine.l3_bytes},
            {"isa", machine.isa},           {"memory_bytes", machine.memory_bytes},
            {"kernel", machine.kernel}};
}

void to_json(json& object, const MemoryRow& row) {
  object = {{"use", name_of(row.use)},
            {"batch_size", row.batch_size},
            {"micro_batch", row.micro_batch},
            {"peak_bytes", row.peak_bytes},
            {"weights_bytes", row.parts.weights_bytes},
            {"packed_weights_bytes", row.parts.packed_weights_bytes},
            {"activation_bytes", row.parts.activation_bytes},
            {"gradient_bytes", row.parts.gradient_bytes},
            {"optimizer_bytes", row.parts.optimizer_bytes},
            {"scratch_bytes", row.parts.scratch_bytes},
            {"io_bytes", row.parts.io_bytes},
            {"data_bytes", row.parts.data_bytes},
            {"code_bytes", row.parts.code_bytes}};
}

void to_json(json& object, const PredictRow& row) {
  const Interval rate = row.samples_per_s();
  object = {{"batch_size", row.batch_size},
            {"micro_batch", row.micro_batch},
            {"automatic", row.automatic},
            {"median_us", row.us.median},
            {"low_us", row.us.low},
            {"high_us", row.us.high},
            {"interval_covers", row.us.covers},
            {"p99_us", row.p99_us.median},
            {"p99_low_us", row.p99_us.low},
            {"p99_high_us", row.p99_us.high},
            {"p99_interval_covers", row.p99_us.covers},
            {"repeats", row.repeats},
            {"samples_per_s", rate.median},
            {"samples_per_s_low", rate.low},
            {"samples_per_s_high", rate.high},
            {"us_per_sample", row.us_per_sample().median},
            {"peak_bytes", row.peak_bytes}};
}

void from_json(const json& object, PredictRow& row) {
  object.at("batch_size").get_to(row.batch_size);
  object.at("micro_batch").get_to(row.micro_batch);
  object.at("automatic").get_to(row.automatic);
  row.us = {object.at("low_us").get<double>(), object.at("median_us").get<double>(),
            object.at("high_us").get<double>(), object.at("interval_covers").get<bool>()};
  row.p99_us = {object.at("p99_low_us").get<double>(), object.at("p99_us").get<double>(),
                object.at("p99_high_us").get<double>(),
                object.at("p99_interval_covers").get<bool>()};
  object.at("repeats").get_to(row.repeats);
  object.at("peak_bytes").get_to(row.peak_bytes);
}

void to_json(json& object, const AccuracyRow& row) {
  object = {{"batch_size", row.batch_size},
            {"samples", row.samples},
            {"differing_samples", row.differing_samples},
            {"differing_values", row.differing_values},
            {"max_abs_error", row.max_abs_error},
            {"max_ulp", row.max_ulp},
            {"changed_classes", row.changed_classes}};
}

void from_json(const json& object, AccuracyRow& row) {
  object.at("batch_size").get_to(row.batch_size);
  object.at("samples").get_to(row.samples);
  object.at("differing_samples").get_to(row.differing_samples);
  object.at("differing_values").get_to(row.differing_values);
  object.at("max_abs_error").get_to(row.max_abs_error);
  object.at("max_ulp").get_to(row.max_ulp);
  object.at("changed_classes").get_to(row.changed_classes);
}

void to_json(json& object, const FitPoint& point) {
  object = {{"samples_seen", point.samples_seen},
            {"steps", point.steps},
            {"seconds", point.seconds},
            {"loss", or_null(point.loss)},
            {"val_loss", or_null(point.val_loss)},
            {"val_accuracy", or_null(point.val_accuracy)}};
}

void from_json(const json& object, FitPoint& point) {
  object.at("samples_seen").get_to(point.samples_seen);
  object.at("steps").get_to(point.steps);
  object.at("seconds").get_to(point.seconds);
  point.loss = optional_field<double>(object, "loss");
  point.val_loss = optional_field<double>(object, "val_loss");
  point.val_accuracy = optional_field<double>(object, "val_accuracy");
}

void to_json(json& object, const FitRun& run) {
  object = {{"batch_size", run.batch_size},
            {"seed", run.seed},
            {"learning_rate", run.learning_rate},
            {"points", run.points}};
}

void from_json(const json& object, FitRun& run) {
  object.at("batch_size").get_to(run.batch_size);
  object.at("seed").get_to(run.seed);
  object.at("learning_rate").get_to(run.learning_rate);
  run.points = object.at("points").get<std::vector<FitPoint>>();
}

void to_json(json& object, const FitRow& row) {
  object = {{"batch_size", row.batch_size},
            {"micro_batch", row.micro_batch},
            {"learning_rate", row.learning_rate},
            {"seeds", row.seeds},
            {"steps", row.steps},
            {"final_metric", row.final_metric},
            {"seconds", row.seconds},
            {"steps_per_s", row.steps_per_s},
            {"samples_per_s", row.samples_per_s},
            {"peak_bytes", row.peak_bytes},
            {"good_enough", row.good_enough}};
}

void to_json(json& object, const GradientNoiseRow& row) {
  object = {{"batch_size", row.batch_size},
            {"lanes", row.lanes},
            {"grad_norm2", row.grad_norm2},
            {"trace_sigma", row.trace_sigma},
            {"b_simple", or_null(row.b_simple)}};
}

void from_json(const json& object, GradientNoiseRow& row) {
  object.at("batch_size").get_to(row.batch_size);
  object.at("lanes").get_to(row.lanes);
  object.at("grad_norm2").get_to(row.grad_norm2);
  object.at("trace_sigma").get_to(row.trace_sigma);
  row.b_simple = optional_field<double>(object, "b_simple");
}

void to_json(json& object, const Recommendation& recommendation) {
  if (!recommendation.batch_size) {
    object = nullptr;
    return;
  }
  json neighbours = json::array();
  for (const Neighbour& neighbour : recommendation.neighbours) {
    neighbours.push_back({{"batch_size", neighbour.batch_size}, {"what", neighbour.what}});
    if (neighbour.instances) neighbours.back()["instances"] = *neighbour.instances;
    if (neighbour.threads) neighbours.back()["threads"] = *neighbour.threads;
  }
  object = {{"batch_size", *recommendation.batch_size},
            {"why", recommendation.why},
            {"neighbours", neighbours},
            {"command", recommendation.command}};
  if (recommendation.instances) object["instances"] = *recommendation.instances;
  if (recommendation.threads) object["threads"] = *recommendation.threads;
}

json study_json(const StudyResult& result) {
  json versions = json::object();
  for (const VersionRow& row : result.versions) versions[row.name] = row.version;
  json models = json::array();
  for (const ModelStudy& study : result.models) models.push_back(model_study_json(study));
  json object = {{"machine", result.machine},
                 {"versions", versions},
                 {"data",
                  {{"name", result.data.name},
                   {"train_samples", result.data.train_samples},
                   {"validation_samples", result.data.validation_samples},
                   {"classes", result.data.classes},
                   {"attribution", result.data.attribution}}},
                 {"started_at", result.started_at},
                 {"seconds_spent", result.seconds_spent},
                 {"command", result.command},
                 {"model", nullptr},
                 {"measurements", json::array()},
                 {"recommendation", {{"predict", nullptr}, {"serve", nullptr}, {"fit", nullptr}}},
                 {"models", models}};
  if (!models.empty()) {
    for (const char* name : {"model", "measurements", "recommendation"}) {
      object[name] = models[0][name];
    }
  }
  return object;
}

}  // namespace batchwise
