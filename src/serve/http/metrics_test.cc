// SPDX-License-Identifier: Apache-2.0
#include "serve/http/metrics.h"

#include <gtest/gtest.h>

#include <map>
#include <sstream>
#include <string>

namespace batchwise::serve {
namespace {

// Lines of the text format, without comments: what is before the last space, and the value.
std::map<std::string, double> values_of(const std::string& text) {
  std::map<std::string, double> values;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with('#')) continue;
    const std::size_t space = line.rfind(' ');
    values[line.substr(0, space)] = std::stod(line.substr(space + 1));
  }
  return values;
}

ServerSnapshot example() {
  ServerSnapshot snapshot;
  snapshot.connections = 4;
  ModelStatistics& model = snapshot.models.emplace_back();
  model.name = "m";
  model.version = "2";
  model.inference_count = 12;
  model.execution_count = 5;
  model.success = {10, 2500};
  model.failures[static_cast<std::size_t>(Failure::kExpired)] = 3;
  model.late = 2;
  model.in_time = 8;
  for (const double us : {100.0, 200.0, 3000.0}) model.request_us.add(us);
  for (const double rows : {1.0, 1.0, 4.0, 16.0}) model.batch_rows.add(rows);
  return snapshot;
}

TEST(Metrics, TritonsNamesHaveTheSnapshotsValues) {
  const auto values = values_of(metrics_text(example()));
  const std::string labels = R"({model="m",version="2"})";
  EXPECT_EQ(values.at("nv_inference_request_success" + labels), 10);
  EXPECT_EQ(values.at("nv_inference_count" + labels), 12);
  EXPECT_EQ(values.at("nv_inference_exec_count" + labels), 5);
  EXPECT_EQ(values.at("nv_inference_request_duration_us" + labels), 2500);
  EXPECT_EQ(values.at(R"(nv_inference_request_failure{model="m",version="2",reason="EXPIRED"})"),
            3);
  EXPECT_EQ(values.at("batchwise_in_time_total" + labels), 8);
  EXPECT_EQ(values.at("batchwise_deadline_missed_total" + labels), 5);
  EXPECT_EQ(values.at("batchwise_connections"), 4);
}

TEST(Metrics, HistogramsCountUpToTheirBounds) {
  const auto values = values_of(metrics_text(example()));
  const auto at_most = [&](const std::string& name, const std::string& bound) {
    return values.at(name + R"(_bucket{model="m",version="2",le=")" + bound + R"("})");
  };
  EXPECT_EQ(at_most("batchwise_request_duration_us", "64"), 0);
  EXPECT_EQ(at_most("batchwise_request_duration_us", "128"), 1);
  EXPECT_EQ(at_most("batchwise_request_duration_us", "256"), 2);
  EXPECT_EQ(at_most("batchwise_request_duration_us", "4096"), 3);
  EXPECT_EQ(at_most("batchwise_request_duration_us", "+Inf"), 3);
  EXPECT_EQ(at_most("batchwise_batch_rows", "1"), 2);
  EXPECT_EQ(at_most("batchwise_batch_rows", "8"), 3);
  EXPECT_EQ(at_most("batchwise_batch_rows", "16"), 4);
  EXPECT_EQ(values.at(R"(batchwise_request_duration_us_sum{model="m",version="2"})"), 3300);
}

}  // namespace
}  // namespace batchwise::serve
