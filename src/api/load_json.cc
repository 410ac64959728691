// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "batchwise/load.h"

namespace batchwise {

std::string to_json(const LoadReport& r) {
  nlohmann::ordered_json json{{"requests", r.requests},
                              {"answered", r.answered},
                              {"refused", r.refused},
                              {"expired", r.expired},
                              {"failed", r.failed},
                              {"lost", r.lost},
                              {"late", r.late},
                              {"requests_per_s", r.requests_per_s},
                              {"goodput_per_s", r.goodput_per_s},
                              {"rows_per_s", r.rows_per_s},
                              {"p50_us", r.p50_us},
                              {"p90_us", r.p90_us},
                              {"p99_us", r.p99_us},
                              {"p999_us", r.p999_us},
                              {"max_us", r.max_us},
                              {"mean_us", r.mean_us},
                              {"mean_batch", nullptr},
                              {"checked", r.checked},
                              {"differing", r.differing},
                              {"send_lag_p99_us", r.send_lag_p99_us},
                              {"client_cpu_us_per_request", r.client_cpu_us},
                              {"seconds", r.seconds}};
  // A server without statistics has no mean batch, not one of 0.
  if (r.mean_batch > 0) json["mean_batch"] = r.mean_batch;
  if (!r.first_fault.empty()) json["first_fault"] = r.first_fault;
  if (!r.scenario.empty()) {
    json["scenario"] = r.scenario;
    json["metric"] = r.metric;
    json["metric_value"] = r.metric_value;
  }
  if (!r.trials.empty()) {
    json["found_rate_per_s"] = r.found_rate_per_s;
    for (const RateTrial& trial : r.trials) {
      json["trials"].push_back({{"rate_per_s", trial.rate_per_s},
                                {"requests", trial.requests},
                                {"not_in_time", trial.not_in_time},
                                {"p99_us", trial.p99_us},
                                {"verdict", trial.verdict}});
    }
  }
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace batchwise
