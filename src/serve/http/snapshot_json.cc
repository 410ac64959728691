// SPDX-License-Identifier: Apache-2.0
#include "serve/http/snapshot_json.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdint>
#include <iterator>
#include <string_view>

#include "serve/http/json_text.h"

namespace batchwise::serve {
namespace {

// Writes an object's members one after the other, commas between.
class ObjectWriter {
 public:
  explicit ObjectWriter(std::string& text) : text_(text) { text_ += '{'; }
  ObjectWriter(const ObjectWriter&) = delete;
  ObjectWriter& operator=(const ObjectWriter&) = delete;
  ~ObjectWriter() { text_ += '}'; }

  // For a value that the caller appends. `key` is one of ours: nothing in it needs an escape.
  std::string& key(std::string_view key) {
    if (!first_) text_ += ',';
    first_ = false;
    fmt::format_to(std::back_inserter(text_), "\"{}\":", key);
    return text_;
  }
  void number(std::string_view name, std::int64_t value) {
    fmt::format_to(std::back_inserter(key(name)), "{}", value);
  }
  void number(std::string_view name, int value) { number(name, std::int64_t{value}); }
  // JSON has no word for what is not finite.
  void number(std::string_view name, double value) {
    if (std::isfinite(value)) {
      fmt::format_to(std::back_inserter(key(name)), "{}", value);
    } else {
      key(name) += "null";
    }
  }
  void boolean(std::string_view name, bool value) { key(name) += value ? "true" : "false"; }
  void string(std::string_view name, std::string_view value) {
    append_json_string(key(name), value);
  }

 private:
  std::string& text_;
  bool first_ = true;
};

template <typename List, typename Append>
void append_list(std::string& text, const List& list, Append append) {
  text += '[';
  bool first = true;
  for (const auto& entry : list) {
    if (!first) text += ',';
    first = false;
    append(text, entry);
  }
  text += ']';
}

void append_duration(std::string& text, const DurationSum& duration) {
  ObjectWriter object(text);
  object.number("count", duration.count);
  object.number("us", duration.us);
}

// Eight buckets an octave, as Histogram has them; asked for by the value each begins with.
void append_histogram(std::string& text, const Histogram& histogram) {
  constexpr int kStepsAnOctave = 8;
  const auto begin_of = [](int bucket) {
    return std::ldexp(1 + static_cast<double>(bucket % kStepsAnOctave) / kStepsAnOctave,
                      bucket / kStepsAnOctave);
  };
  ObjectWriter object(text);
  object.number("count", histogram.count());
  object.number("sum", histogram.sum());
  object.key("buckets") += '[';
  std::int64_t before = 0;
  for (int i = 0; i < Histogram::kBuckets && before < histogram.count(); ++i) {
    const std::int64_t seen = histogram.count_up_to(begin_of(i));
    if (seen == before) continue;
    fmt::format_to(std::back_inserter(text), "{}[{},{}]", before == 0 ? "" : ",", begin_of(i + 1),
                   seen - before);
    before = seen;
  }
  text += ']';
}

void append_batches(std::string& text, const std::map<std::int64_t, BatchStatistics>& batches) {
  append_list(text, batches, [](std::string& out, const auto& entry) {
    const DurationSum& compute = entry.second.compute_infer;
    ObjectWriter object(out);
    object.number("rows", entry.first);
    object.number("count", compute.count);
    object.number("us", compute.us);
  });
}

void append_failures(std::string& text, const ModelStatistics& model) {
  ObjectWriter object(text);
  for (int i = 0; i < kFailures; ++i) {
    object.number(failure_name(static_cast<Failure>(i)),
                  model.failures[static_cast<std::size_t>(i)]);
  }
}

void append_model(std::string& text, const ModelStatistics& model) {
  ObjectWriter object(text);
  object.string("name", model.name);
  object.string("version", model.version);
  object.number("last_inference_ms", model.last_inference_ms);
  object.number("inference_count", model.inference_count);
  object.number("execution_count", model.execution_count);
  object.number("padded_rows", model.padded_rows);
  append_duration(object.key("success"), model.success);
  append_duration(object.key("fail"), model.fail);
  append_duration(object.key("queue"), model.queue);
  append_duration(object.key("compute_input"), model.compute_input);
  append_duration(object.key("compute_infer"), model.compute_infer);
  append_duration(object.key("compute_output"), model.compute_output);
  append_failures(object.key("failures"), model);
  object.number("in_time", model.in_time);
  object.number("late", model.late);
  append_batches(object.key("batches"), model.batches);
  append_histogram(object.key("request_us"), model.request_us);
  append_histogram(object.key("queue_us"), model.queue_us);
  append_histogram(object.key("compute_us"), model.compute_us);
  append_histogram(object.key("batch_rows"), model.batch_rows);
  object.number("pending", model.pending);
  object.number("memory_bytes", model.memory_bytes);
  object.number("planned_bytes", model.planned_bytes);
}

void append_decision(std::string& text, const DecisionRecord& decision) {
  ObjectWriter object(text);
  object.number("at_us", decision.at_us);
  object.string("model", decision.model);
  object.number("requests", decision.requests);
  object.number("rows", decision.rows);
  object.number("run_rows", decision.run_rows);
  object.number("expected_us", decision.expected_us);
  object.number("took_us", decision.took_us);
  object.string("why", decision.why);
}

void append_index_entry(std::string& text, const IndexEntry& entry) {
  ObjectWriter object(text);
  object.string("name", entry.name);
  object.string("version", entry.version);
  object.string("state", model_state_name(entry.state));
  object.string("reason", entry.reason);
}

}  // namespace

std::string snapshot_json(const ServerSnapshot& snapshot, bool ready,
                          const std::vector<IndexEntry>& index) {
  std::string text;
  {
    ObjectWriter object(text);
    object.number("now_us", snapshot.now_us);
    object.number("up_s", snapshot.up_s);
    object.boolean("ready", ready);
    object.string("policy", snapshot.policy);
    object.number("instances", snapshot.instances);
    object.number("threads", snapshot.threads);
    object.number("memory_limit_bytes", snapshot.memory_limit_bytes);
    object.number("planned_bytes", snapshot.planned_bytes);
    object.number("resident_bytes", snapshot.resident_bytes);
    object.number("connections", snapshot.connections);
    append_list(object.key("repository"), index, append_index_entry);
    append_list(object.key("models"), snapshot.models, append_model);
    append_list(object.key("decisions"), snapshot.decisions, append_decision);
  }
  return text;
}

}  // namespace batchwise::serve
