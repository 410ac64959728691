// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "serve/http/json_document.h"
#include "serve/http/json_values.h"
#include "serve/http/refuse.h"
#include "serve/http/tf_predict.h"
#include "serve/request_check.h"

namespace batchwise::serve {
namespace {

constexpr std::size_t kAlignment = 16;

class PredictReader {
 public:
  PredictReader(InferenceRequest& request, TfExchange& exchange)
      : request_(request), exchange_(exchange), model_(*request.model) {}

  void read(std::string_view json, std::size_t readable) {
    json_ = json;
    JsonDocument document(json, readable);
    bool seen = false;
    for (auto field : document.object()) {
      const std::string_view key = field.unescaped_key();
      if (key == "instances" || key == "inputs") {
        if (seen) refuse_invalid("there is more than one of 'instances' and 'inputs'");
        seen = true;
        exchange_.rows = key == "instances";
        if (exchange_.rows) {
          read_instances(field.value());
        } else {
          read_columns(field.value());
        }
      } else if (key == "signature_name") {
        const std::string_view name = field.value().get_string();
        if (!name.empty() && name != "serving_default") {
          refuse_invalid("model {}: there is no signature '{}' but serving_default", model_.name,
                         name);
        }
      }
    }
    document.expect_end();
    if (!seen) refuse_invalid("there is neither 'instances' nor 'inputs'");
  }

 private:
  void read_instances(JsonValue value) {
    simdjson::ondemand::array instances = value.get_array();
    const auto rows = static_cast<std::int64_t>(std::size_t(instances.count_elements()));
    bool are_objects = false;
    if (rows > 0) {
      auto first = instances.begin();
      are_objects = (*first).type() == simdjson::ondemand::json_type::object;
      instances.reset();
    }
    // An object is named inputs, or a value that is not taken ({"b64": ...}).
    if (!are_objects) return read_single(raw_json_of(instances), rows);
    if (json_.find("\"b64\"") != std::string_view::npos) refuse_b64();
    for (std::size_t i = 0; i < model_.inputs.size(); ++i) check_size(json_, i, rows);
    make_room(rows);
    std::int64_t row = 0;
    for (auto instance : instances) read_row(instance.get_object(), row++);
  }

  void read_single(std::string_view json, std::int64_t rows) {
    if (model_.inputs.size() != 1) {
      refuse_invalid("model {}: it has {} inputs, each instance must be an object of them",
                     model_.name, model_.inputs.size());
    }
    check_size(json, 0, rows);
    make_room(rows);
    read_into(json, 0, 0, rows);
  }

  void read_row(JsonObject instance, std::int64_t row) {
    std::size_t seen = 0;
    for (auto field : instance) {
      const std::size_t input = input_named(field.unescaped_key());
      ++seen;
      if (++counts_[input] != row + 1) {
        refuse_invalid("instance {}: input {} is given twice, or not in one before", row,
                       model_.inputs[input].name);
      }
      read_into(raw_json(field.value()), input, row, -1);
    }
    if (seen == model_.inputs.size()) return;
    refuse_invalid("instance {}: it has {} inputs, model {} takes {}", row, seen, model_.name,
                   model_.inputs.size());
  }

  void read_columns(JsonValue value) {
    if (value.type() != simdjson::ondemand::json_type::object) {
      simdjson::ondemand::array column = value.get_array();
      const auto rows = static_cast<std::int64_t>(std::size_t(column.count_elements()));
      return read_single(raw_json_of(column), rows);
    }
    std::vector<std::string_view> texts(model_.inputs.size());
    std::int64_t rows = -1;
    for (auto field : value.get_object()) {
      const std::size_t input = input_named(field.unescaped_key());
      if (!texts[input].empty()) refuse_invalid("input {} is given twice", name_of(input));
      simdjson::ondemand::array column = field.value().get_array();
      const auto count = static_cast<std::int64_t>(std::size_t(column.count_elements()));
      if (rows < 0) rows = count;
      if (rows != count) {
        refuse_invalid("input {} has {} rows, those before it {}", name_of(input), count, rows);
      }
      texts[input] = raw_json_of(column);
      check_size(texts[input], input, rows);
    }
    for (std::size_t i = 0; i < texts.size(); ++i) {
      if (texts[i].empty()) refuse_invalid("input {} is not given", name_of(i));
    }
    make_room(rows);
    for (std::size_t i = 0; i < texts.size(); ++i) read_into(texts[i], i, 0, rows);
  }

  static std::string_view raw_json_of(simdjson::ondemand::array& array) { return array.raw_json(); }

  [[noreturn]] static void refuse_b64() {
    refuse_invalid("b64 is not taken: no input is of strings");
  }

  std::string_view name_of(std::size_t input) const { return model_.inputs[input].name; }

  std::size_t input_named(std::string_view name) const {
    for (std::size_t i = 0; i < model_.inputs.size(); ++i) {
      if (model_.inputs[i].name == name) return i;
    }
    if (name == "b64") refuse_b64();
    refuse_invalid("model {}: there is no input '{}'", model_.name, name);
  }

  // Each value takes a character and a comma: nothing is allocated for what cannot be there.
  void check_size(std::string_view json, std::size_t input, std::int64_t rows) const {
    const TensorSpec& spec = model_.inputs[input];
    const auto bytes = static_cast<std::int64_t>(dtype_bytes(spec.dtype));
    const std::int64_t row_values = bytes > 0 ? spec.row_bytes / bytes : 0;
    const auto most = static_cast<std::int64_t>(json.size() / 2);
    if (rows == 0 || row_values <= most / rows) return;
    refuse_invalid("input {}: {} rows take {} values each, the JSON has at most {}", spec.name,
                   rows, row_values, most);
  }

  void make_room(std::int64_t rows) {
    if (rows < 1) refuse_invalid("there are no instances");
    if (rows > model_.max_request_rows) {
      refuse(Status::kTooLarge, "model {}: {} rows are more than {}", model_.name, rows,
             model_.max_request_rows);
    }
    request_.rows = rows;
    std::size_t bytes = 0;
    for (const TensorSpec& spec : model_.inputs) bytes += input_bytes(spec);
    exchange_.values.resize(std::max(exchange_.values.size(), bytes));
    std::byte* at = exchange_.values.data();
    for (std::size_t i = 0; i < model_.inputs.size(); ++i) {
      const auto size = static_cast<std::size_t>(rows * model_.inputs[i].row_bytes);
      request_.inputs.push_back({i, {at, size}});
      at += input_bytes(model_.inputs[i]);
    }
    counts_.assign(model_.inputs.size(), 0);
  }

  std::size_t input_bytes(const TensorSpec& spec) const {
    const auto size = static_cast<std::size_t>(request_.rows * spec.row_bytes);
    return (size + kAlignment - 1) / kAlignment * kAlignment;
  }

  // `rows` rows from `row` on, in an array; rows -1: one row by itself.
  void read_into(std::string_view json, std::size_t input, std::int64_t row, std::int64_t rows) {
    const TensorSpec& spec = model_.inputs[input];
    shape_.assign(spec.shape.begin(), spec.shape.end());
    if (rows >= 0) {
      shape_[0] = rows;
    } else {
      shape_.erase(shape_.begin());
    }
    const auto row_values = spec.row_bytes / static_cast<std::int64_t>(dtype_bytes(spec.dtype));
    if (elements_of(shape_, INT64_MAX) != row_values * std::max<std::int64_t>(rows, 1)) {
      refuse_invalid("input {}: its rows have no fixed shape", spec.name);
    }
    // The bytes are ours: exchange_.values.
    const std::size_t offset =
        static_cast<std::size_t>(request_.inputs[input].bytes.data() - exchange_.values.data()) +
        static_cast<std::size_t>(row * spec.row_bytes);
    read_json_values(json, {spec.name, spec.dtype, shape_, true}, exchange_.values.data() + offset);
  }

  InferenceRequest& request_;
  TfExchange& exchange_;
  const ModelInfo& model_;
  std::string_view json_;             // the whole body
  std::vector<std::int64_t> counts_;  // of each input: the instances that had it
  std::vector<std::int64_t> shape_;
};

}  // namespace

std::optional<Refusal> read_tf_request(std::span<const std::byte> body, InferenceRequest& request,
                                       TfExchange& exchange) {
  request.rows = 0;
  request.inputs.clear();
  request.outputs.clear();
  request.id.clear();
  request.timeout_us = 0;
  request.priority = 0;
  return refusal_of([&] {
    const std::string_view json(reinterpret_cast<const char*>(body.data()), body.size());
    PredictReader(request, exchange).read(json, body.size() + kJsonPadding);
    if (auto refusal = check_request(request)) throw RefusedRequest{*refusal};
  });
}

}  // namespace batchwise::serve
