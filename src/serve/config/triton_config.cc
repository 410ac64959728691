// SPDX-License-Identifier: Apache-2.0
#include "serve/config/triton_config.h"

#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <regex>

#include "base/check.h"
#include "serve/config/triton_text.pb.h"

namespace batchwise::serve {
namespace {

namespace pb = google::protobuf;
using config::TritonModelConfig;

struct KnownField {
  std::string_view message, field, why;
};
// Fields that change no result: said in the log, and passed over.
constexpr std::array kIgnored{
    KnownField{"TritonModelConfig", "optimization", "the engine prepares models its own way"},
    KnownField{"TritonModelConfig", "cc_model_filenames", "of GPUs"},
    KnownField{"TritonModelConfig", "metric_tags", "metrics have model and version"},
    KnownField{"TritonModelConfig", "parameters", "of another engine"},
    KnownField{"TritonModelConfig", "model_warmup", "programs are prepared before they are used"},
    KnownField{"TritonModelConfig", "response_cache", "there is no cache of replies"},
    KnownField{"TritonModelConfig", "model_metrics", "histograms have buckets of their own"},
    KnownField{"TritonModelConfig", "runtime", "of another engine"},
    KnownField{"TritonTensor", "label_filename", "the classification extension is not supported"},
    KnownField{"TritonInstanceGroup", "gpus", "the engine runs on the CPU"},
    KnownField{"TritonInstanceGroup", "rate_limiter", "memory is admitted by plan"},
    KnownField{"TritonInstanceGroup", "secondary_devices", "the engine runs on the CPU"},
    KnownField{"TritonInstanceGroup", "profile", "of GPUs"},
    KnownField{"TritonInstanceGroup", "passive", "instances are shared by all models"},
    KnownField{"TritonInstanceGroup", "host_policy", "the kernel places threads"},
    KnownField{"TritonDynamicBatching", "preserve_ordering", "each reply goes to its request"},
    KnownField{"TritonDynamicBatching", "priority_queue_policy",
               "the default queue policy holds for all priorities"},
};
// Fields that would change what clients get.
constexpr std::array kRefused{
    KnownField{"TritonModelConfig", "batch_input", "inputs made from the batch"},
    KnownField{"TritonModelConfig", "batch_output", "outputs scattered by the batch"},
    KnownField{"TritonModelConfig", "sequence_batching", "models with a state between requests"},
    KnownField{"TritonModelConfig", "ensemble_scheduling", "models made of other models"},
    KnownField{"TritonModelConfig", "model_operations", "libraries of custom operators"},
    KnownField{"TritonModelConfig", "model_repository_agents", "what changes a model's files"},
};

template <std::size_t kCount>
const KnownField* find_field(const std::array<KnownField, kCount>& fields, std::string_view message,
                             std::string_view field) {
  const auto found = std::find_if(fields.begin(), fields.end(), [&](const KnownField& known) {
    return known.message == message && known.field == field;
  });
  return found == fields.end() ? nullptr : &*found;
}

// What the parser says: syntax errors, and as warnings the fields that it does not know.
class Findings : public pb::io::ErrorCollector {
 public:
  explicit Findings(const std::string& where) : where_(where) {}

  // Lines and columns come from 0 on.
  void AddError(int line, int column, const std::string& message) override {
    if (error_.empty()) error_ = at(line, column, message);
  }
  void AddWarning(int line, int column, const std::string& message) override {
    static const std::regex pattern(R"re("[\w.]*\.(\w+)" has no field named "(\w+)")re");
    std::smatch match;
    const bool names_field = std::regex_search(message, match, pattern);
    const std::string name = names_field ? match[2].str() : message;
    const std::string type = names_field ? match[1].str() : "";
    if (const KnownField* known = find_field(kIgnored, type, name)) {
      ignored_.push_back(fmt::format("{}: {}", name, known->why));
    } else if (const KnownField* refused = find_field(kRefused, type, name)) {
      AddError(line, column, fmt::format("{} is not supported: {}", name, refused->why));
    } else {
      AddError(line, column, fmt::format("there is no field {}", name));
    }
  }
  const std::string& error() const { return error_; }
  std::vector<std::string> take_ignored() { return std::move(ignored_); }

 private:
  std::string at(int line, int column, const std::string& message) const {
    if (line < 0) return fmt::format("[{}] {}", where_, message);
    return fmt::format("[{}:{}:{}] {}", where_, line + 1, column + 1, message);
  }
  const std::string& where_;
  std::string error_;
  std::vector<std::string> ignored_;
};

DType dtype_of(config::TritonDataType type) {
  switch (type) {
    case config::TYPE_BOOL:
      return DType::kBool;
    case config::TYPE_UINT8:
      return DType::kUInt8;
    case config::TYPE_UINT16:
      return DType::kUInt16;
    case config::TYPE_UINT32:
      return DType::kUInt32;
    case config::TYPE_UINT64:
      return DType::kUInt64;
    case config::TYPE_INT8:
      return DType::kInt8;
    case config::TYPE_INT16:
      return DType::kInt16;
    case config::TYPE_INT32:
      return DType::kInt32;
    case config::TYPE_INT64:
      return DType::kInt64;
    case config::TYPE_FP16:
      return DType::kFloat16;
    case config::TYPE_FP32:
      return DType::kFloat32;
    case config::TYPE_FP64:
      return DType::kFloat64;
    case config::TYPE_STRING:
      return DType::kString;
    case config::TYPE_BF16:
      return DType::kBFloat16;
    default:
      return DType::kUndefined;
  }
}

// Reads the fields of one message after another, and complains in one voice.
class Reader {
 public:
  Reader(const TritonModelConfig& from, const std::string& where, std::vector<std::string> ignored)
      : from_(from), where_(where) {
    to_.ignored = std::move(ignored);
  }

  ModelConfig read() {
    to_.name = from_.name();
    read_engine();
    if (from_.has_max_batch_size()) {
      if (from_.max_batch_size() < 0) refuse("max_batch_size", from_.max_batch_size());
      to_.max_batch_rows = from_.max_batch_size();
    }
    for (const auto& input : from_.input()) to_.inputs.push_back(read_tensor(input, "input"));
    for (const auto& output : from_.output()) to_.outputs.push_back(read_tensor(output, "output"));
    if (from_.has_dynamic_batching()) read_batching(from_.dynamic_batching());
    read_instances();
    read_versions(from_.version_policy());
    if (from_.model_transaction_policy().decoupled()) {
      refuse("model_transaction_policy.decoupled", "true");
    }
    return std::move(to_);
  }

 private:
  template <typename Value>
  [[noreturn]] void refuse(std::string_view field, const Value& value) const {
    fail_input(where_, "{} {} is not supported", field, value);
  }
  void pass_over(std::string_view field, std::string_view why) {
    to_.ignored.push_back(fmt::format("{}: {}", field, why));
  }

  void read_engine() {
    const std::string& platform = from_.platform();
    if (!platform.empty() && platform != "onnxruntime_onnx") refuse("platform", platform);
    const std::string& backend = from_.backend();
    if (!backend.empty() && backend != "onnxruntime" && backend != "batchwise") {
      refuse("backend", backend);
    }
    if (from_.default_model_filename().empty()) return;
    to_.model_file = from_.default_model_filename();
    if (to_.model_file.find('/') != std::string::npos) {
      refuse("default_model_filename", to_.model_file);
    }
  }

  ConfiguredTensor read_tensor(const config::TritonTensor& from, std::string_view kind) {
    const std::string field = fmt::format("{} {}", kind, from.name());
    if (from.name().empty()) fail_input(where_, "an {} has no name", kind);
    if (from.has_reshape()) refuse(field, "reshape");
    if (from.is_shape_tensor()) refuse(field, "is_shape_tensor");
    if (from.allow_ragged_batch()) refuse(field, "allow_ragged_batch");
    if (from.optional()) refuse(field, "optional");
    if (from.is_non_linear_format_io()) refuse(field, "is_non_linear_format_io");
    if (from.format() != config::TritonTensor::FORMAT_NONE) {
      pass_over(field + ": format", "inputs are taken as the model has them");
    }
    for (std::int64_t dim : from.dims()) {
      if (dim < -1 || dim == 0) fail_input(where_, "{} has a dimension of {}", field, dim);
    }
    return {from.name(), dtype_of(from.data_type()), {from.dims().begin(), from.dims().end()}};
  }

  void read_batching(const config::TritonDynamicBatching& from) {
    ConfiguredBatching batching;
    for (std::int32_t rows : from.preferred_batch_size()) {
      const bool fits = !to_.max_batch_rows || rows <= *to_.max_batch_rows;
      if (rows < 1 || !fits) refuse("preferred_batch_size", rows);
      batching.preferred_rows.push_back(rows);
    }
    batching.max_queue_delay_us = static_cast<double>(from.max_queue_delay_microseconds());
    constexpr std::uint64_t kMostLevels = 1'000'000;
    if (from.priority_levels() > kMostLevels) refuse("priority_levels", from.priority_levels());
    if (from.default_priority_level() > from.priority_levels()) {
      refuse("default_priority_level", from.default_priority_level());
    }
    batching.priority_levels = static_cast<std::int32_t>(from.priority_levels());
    batching.default_priority = static_cast<std::int32_t>(from.default_priority_level());
    const auto& queue = from.default_queue_policy();
    batching.queue_timeout_us = static_cast<double>(queue.default_timeout_microseconds());
    batching.delay_at_timeout = queue.timeout_action() == config::TritonQueuePolicy::DELAY;
    batching.max_queue_requests = queue.max_queue_size();
    if (queue.allow_timeout_override()) {
      pass_over("allow_timeout_override", "a request may always ask for less time");
    }
    to_.batching = batching;
  }

  void read_instances() {
    int count = 0;
    for (const auto& group : from_.instance_group()) {
      const int of_group = group.has_count() ? group.count() : 1;
      constexpr int kMost = 1024;
      if (of_group < 1 || of_group > kMost) refuse("instance_group.count", of_group);
      if (group.kind() == config::TritonInstanceGroup::KIND_GPU) {
        pass_over("instance_group.kind", "the engine runs on the CPU");
      }
      count += of_group;
    }
    if (count > 0) to_.instances = count;
  }

  void read_versions(const config::TritonVersionPolicy& from) {
    if (from.has_latest())
      to_.versions.latest = std::max<std::int64_t>(from.latest().num_versions(), 1);
    to_.versions.all = from.has_all();
    to_.versions.specific.assign(from.specific().versions().begin(),
                                 from.specific().versions().end());
    if (from.has_specific() && to_.versions.specific.empty()) {
      fail_input(where_, "version_policy.specific names no version");
    }
  }

  const TritonModelConfig& from_;
  const std::string& where_;
  ModelConfig to_;
};

}  // namespace

ModelConfig parse_model_config(std::string_view text, const std::string& where) {
  constexpr std::size_t kMostBytes = 1 << 20;
  if (text.size() > kMostBytes) fail_input(where, "{} bytes, at most {}", text.size(), kMostBytes);
  Findings findings(where);
  pb::TextFormat::Parser parser;
  parser.AllowUnknownField(true);
  parser.RecordErrorsTo(&findings);
  constexpr int kMostDepth = 32;
  parser.SetRecursionLimit(kMostDepth);
  TritonModelConfig message;
  const bool parsed = parser.ParseFromString(std::string(text), &message);
  if (!findings.error().empty()) throw Error(ErrorCode::kInvalidInput, findings.error());
  if (!parsed) fail_input(where, "not a configuration in protobuf's text format");
  return Reader(message, where, findings.take_ignored()).read();
}

ModelConfig read_model_config(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail_input(path, "cannot be read");
  return parse_model_config(std::string(std::istreambuf_iterator<char>(file), {}), path);
}

}  // namespace batchwise::serve
