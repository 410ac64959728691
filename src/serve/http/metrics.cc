// SPDX-License-Identifier: Apache-2.0
#include "serve/http/metrics.h"

#include <prometheus/text_serializer.h>

#include <cmath>
#include <sstream>
#include <utility>

namespace batchwise::serve {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Models = std::vector<ModelStatistics>;

class Families {
 public:
  explicit Families(const Models& models) : models_(models) {}

  // One value a model and version.
  template <typename Value>
  void counter(const char* name, const char* help, Value&& value) {
    MetricFamily& family = start(name, help, MetricType::Counter);
    for (const ModelStatistics& model : models_) {
      ClientMetric& metric = labelled(family, model);
      metric.counter.value = static_cast<double>(value(model));
    }
  }
  template <typename Value>
  void gauge(const char* name, const char* help, Value&& value) {
    MetricFamily& family = start(name, help, MetricType::Gauge);
    for (const ModelStatistics& model : models_) {
      labelled(family, model).gauge.value = static_cast<double>(value(model));
    }
  }
  void server_gauge(const char* name, const char* help, double value) {
    start(name, help, MetricType::Gauge).metric.emplace_back().gauge.value = value;
  }
  // Buckets end at powers of two, from 2^first to 2^last, which are ends of Histogram's as well.
  struct Bounds {
    int first, last;
    bool whole_numbers;
  };
  template <typename Value>
  void histogram(const char* name, const char* help, Bounds bounds, Value&& value) {
    MetricFamily& family = start(name, help, MetricType::Histogram);
    for (const ModelStatistics& model : models_) {
      fill(labelled(family, model).histogram, value(model), bounds);
    }
  }
  void failures() {
    MetricFamily& family = start("nv_inference_request_failure", "Requests that failed, by reason",
                                 MetricType::Counter);
    for (const ModelStatistics& model : models_) {
      for (int i = 0; i < kFailures; ++i) {
        ClientMetric& metric = labelled(family, model);
        metric.label.push_back({"reason", std::string(failure_name(static_cast<Failure>(i)))});
        metric.counter.value = static_cast<double>(model.failures[static_cast<std::size_t>(i)]);
      }
    }
  }
  std::string text() const {
    std::ostringstream stream;
    prometheus::TextSerializer().Serialize(stream, families_);
    return std::move(stream).str();
  }

 private:
  MetricFamily& start(const char* name, const char* help, MetricType type) {
    return families_.emplace_back(MetricFamily{name, help, type, {}});
  }
  static ClientMetric& labelled(MetricFamily& family, const ModelStatistics& model) {
    ClientMetric& metric = family.metric.emplace_back();
    metric.label = {{"model", model.name}, {"version", model.version}};
    return metric;
  }
  static void fill(ClientMetric::Histogram& target, const Histogram& values, Bounds bounds) {
    target.sample_count = static_cast<std::uint64_t>(values.count());
    target.sample_sum = values.sum();
    for (int power = bounds.first; power <= bounds.last; ++power) {
      const double bound = std::ldexp(1.0, power);
      // Histogram's bucket at the bound begins there: it counts where values are often the bound
      // itself.
      const double up_to = bounds.whole_numbers ? bound : std::nextafter(bound, 0.0);
      target.bucket.push_back({static_cast<std::uint64_t>(values.count_up_to(up_to)), bound});
    }
    target.bucket.push_back({target.sample_count, INFINITY});
  }

  const Models& models_;
  std::vector<MetricFamily> families_;
};

void add_triton(Families& families) {
  using M = ModelStatistics;
  families.counter("nv_inference_request_success", "Requests that were answered",
                   [](const M& m) { return m.success.count; });
  families.failures();
  families.counter("nv_inference_count", "Rows that were computed",
                   [](const M& m) { return m.inference_count; });
  families.counter("nv_inference_exec_count", "Batches that were computed",
                   [](const M& m) { return m.execution_count; });
  families.counter("nv_inference_request_duration_us", "Time of requests, from arrival to answer",
                   [](const M& m) { return m.success.us; });
  families.counter("nv_inference_queue_duration_us", "Time of requests in the queue",
                   [](const M& m) { return m.queue.us; });
  families.counter("nv_inference_compute_input_duration_us", "Time of gathering inputs",
                   [](const M& m) { return m.compute_input.us; });
  families.counter("nv_inference_compute_infer_duration_us", "Time of the model",
                   [](const M& m) { return m.compute_infer.us; });
  families.counter("nv_inference_compute_output_duration_us", "Time of handing out outputs",
                   [](const M& m) { return m.compute_output.us; });
  families.gauge("nv_inference_pending_request_count", "Requests in the queue now",
                 [](const M& m) { return m.pending; });
}

void add_own(Families& families) {
  using M = ModelStatistics;
  families.histogram("batchwise_request_duration_us", "Time of requests, from arrival to answer",
                     {4, 26, false}, [](const M& m) -> const Histogram& { return m.request_us; });
  families.histogram("batchwise_queue_duration_us", "Time of requests in the queue", {0, 26, false},
                     [](const M& m) -> const Histogram& { return m.queue_us; });
  families.histogram("batchwise_compute_duration_us", "Time of batches", {4, 26, false},
                     [](const M& m) -> const Histogram& { return m.compute_us; });
  families.histogram("batchwise_batch_rows", "Rows of batches", {0, 12, true},
                     [](const M& m) -> const Histogram& { return m.batch_rows; });
  families.counter("batchwise_padded_rows_total", "Rows that were computed for nobody",
                   [](const M& m) { return m.padded_rows; });
  families.counter("batchwise_in_time_total", "Requests answered within their deadline: goodput",
                   [](const M& m) { return m.in_time; });
  families.counter(
      "batchwise_deadline_missed_total", "Requests answered late, or not for being so",
      [](const M& m) { return m.late + m.failures[static_cast<std::size_t>(Failure::kExpired)]; });
  families.gauge("batchwise_model_memory_bytes", "Memory of the model now",
                 [](const M& m) { return m.memory_bytes; });
  families.gauge("batchwise_model_planned_bytes", "Memory that the model may take, by plan",
                 [](const M& m) { return m.planned_bytes; });
}

}  // namespace

std::string metrics_text(const ServerSnapshot& snapshot) {
  Families families(snapshot.models);
  add_triton(families);
  add_own(families);
  families.server_gauge("batchwise_connections", "Open connections",
                        static_cast<double>(snapshot.connections));
  families.server_gauge("batchwise_up_seconds", "Time since the start", snapshot.up_s);
  families.server_gauge("batchwise_memory_limit_bytes", "Memory that may be planned",
                        static_cast<double>(snapshot.memory_limit_bytes));
  families.server_gauge("batchwise_planned_bytes", "Memory that is planned",
                        static_cast<double>(snapshot.planned_bytes));
  families.server_gauge("batchwise_resident_bytes", "Resident memory of the process",
                        static_cast<double>(snapshot.resident_bytes));
  return families.text();
}

}  // namespace batchwise::serve
