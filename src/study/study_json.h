// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <nlohmann/json.hpp>

#include "study/study_result.h"

// The values of a study as JSON, with the field names that CLI.md promises. What the store keeps of
// a finished experiment is read back with the from_json functions.
namespace batchwise {

void to_json(nlohmann::json& json, const Interval& interval);
void from_json(const nlohmann::json& json, Interval& interval);
void to_json(nlohmann::json& json, const Machine& machine);
void to_json(nlohmann::json& json, const MemoryRow& row);
void to_json(nlohmann::json& json, const PredictRow& row);
void from_json(const nlohmann::json& json, PredictRow& row);
void to_json(nlohmann::json& json, const AccuracyRow& row);
void from_json(const nlohmann::json& json, AccuracyRow& row);
void to_json(nlohmann::json& json, const FitPoint& point);
void from_json(const nlohmann::json& json, FitPoint& point);
void to_json(nlohmann::json& json, const FitRun& run);
void from_json(const nlohmann::json& json, FitRun& run);
void to_json(nlohmann::json& json, const FitRow& row);
void to_json(nlohmann::json& json, const GradientNoiseRow& row);
void from_json(const nlohmann::json& json, GradientNoiseRow& row);
void to_json(nlohmann::json& json, const ServeBatchRow& row);
void from_json(const nlohmann::json& json, ServeBatchRow& row);
void to_json(nlohmann::json& json, const ServePoint& point);
void from_json(const nlohmann::json& json, ServePoint& point);
void to_json(nlohmann::json& json, const ServeLimit& limit);
void to_json(nlohmann::json& json, const ServeLayout& layout);
void to_json(nlohmann::json& json, const ServeCurve& curve);
void to_json(nlohmann::json& json, const ServeRun& run);
void from_json(const nlohmann::json& json, ServeRun& run);
// The chosen layout is at the top: `instances`, `threads`, `max_batch` and `measurements` are what
// a profile is read for.
void to_json(nlohmann::json& json, const ServeChapter& chapter);
void to_json(nlohmann::json& json, const Recommendation& recommendation);

// The whole of study.json. With several models, `models` has one entry each; `model`,
// `measurements` and `recommendation` at the top are those of the first.
nlohmann::json study_json(const StudyResult& result);

}  // namespace batchwise
