// SPDX-License-Identifier: Apache-2.0
#include "study/study_json.h"

namespace batchwise {

using nlohmann::json;

void to_json(json& object, const ServeBatchRow& row) {
  object = {{"batch_size", row.batch_size},
            {"median_us", row.us.median},
            {"low_us", row.us.low},
            {"high_us", row.us.high},
            {"interval_covers", row.us.covers},
            {"repeats", row.repeats},
            {"bytes", row.bytes}};
}

void from_json(const json& object, ServeBatchRow& row) {
  object.at("batch_size").get_to(row.batch_size);
  row.us = {object.at("low_us").get<double>(), object.at("median_us").get<double>(),
            object.at("high_us").get<double>(), object.at("interval_covers").get<bool>()};
  object.at("repeats").get_to(row.repeats);
  object.at("bytes").get_to(row.bytes);
}

void to_json(json& object, const ServePoint& point) {
  object = {{"rate_per_s", point.rate_per_s},
            {"goodput_per_s", point.goodput_per_s},
            {"p50_us", point.p50_us},
            {"p99_us", point.p99_us},
            {"mean_batch", point.mean_batch}};
}

void from_json(const json& object, ServePoint& point) {
  object.at("rate_per_s").get_to(point.rate_per_s);
  object.at("goodput_per_s").get_to(point.goodput_per_s);
  object.at("p50_us").get_to(point.p50_us);
  object.at("p99_us").get_to(point.p99_us);
  object.at("mean_batch").get_to(point.mean_batch);
}

void to_json(json& object, const ServeLimit& limit) {
  object = {{"max_batch", limit.max_batch},
            {"capacity_per_s", limit.capacity_per_s},
            {"largest", limit.at},
            {"why_not", limit.why_not}};
}

void to_json(json& object, const ServeLayout& layout) {
  object = {{"instances", layout.instances},   {"threads", layout.threads},
            {"measurements", layout.rows},     {"batch_overhead_us", layout.batch_us},
            {"request_us", layout.request_us}, {"answer", layout.answer}};
}

void to_json(json& object, const ServeCurve& curve) {
  object = {{"policy", curve.policy}, {"points", curve.points}};
}

void to_json(json& object, const ServeRun& run) {
  object = {{"policy", run.policy},       {"share", run.share},     {"measured", run.measured},
            {"simulated", run.simulated}, {"p50_us", run.p50_us},   {"p99_us", run.p99_us},
            {"requests", run.requests},   {"refused", run.refused}, {"late", run.late},
            {"blocks", run.blocks}};
}

void from_json(const json& object, ServeRun& run) {
  object.at("policy").get_to(run.policy);
  object.at("share").get_to(run.share);
  object.at("measured").get_to(run.measured);
  object.at("simulated").get_to(run.simulated);
  object.at("p50_us").get_to(run.p50_us);
  object.at("p99_us").get_to(run.p99_us);
  object.at("requests").get_to(run.requests);
  object.at("refused").get_to(run.refused);
  object.at("late").get_to(run.late);
  object.at("blocks").get_to(run.blocks);
}

void to_json(json& object, const ServeChapter& chapter) {
  object = {{"p99_us", chapter.p99_limit_us},
            {"layouts", chapter.layouts},
            {"chosen", chapter.chosen},
            {"sizes", chapter.sizes},
            {"policies", chapter.curves},
            {"runs", chapter.runs},
            {"queue_delay_us", chapter.queue_delay_us}};
  if (!chapter.has_answer()) return;
  const ServeLayout& layout = chapter.layout();
  object["instances"] = layout.instances;
  object["threads"] = layout.threads;
  object["max_batch"] = layout.answer.max_batch;
  object["measurements"] = layout.rows;
  object["batch_overhead_us"] = layout.batch_us;
  object["request_us"] = layout.request_us;
}

}  // namespace batchwise
