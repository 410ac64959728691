// SPDX-License-Identifier: Apache-2.0
#include <simdjson.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "base/check.h"
#include "client/v2_json.h"
#include "client/v2_types.h"

namespace batchwise {
namespace {

namespace dom = simdjson::dom;

constexpr char kWhere[] = "reply";
constexpr std::int64_t kMostElements = std::int64_t{1} << 32;

std::string first_line(std::string_view text) {
  constexpr std::size_t kMost = 200;
  text = text.substr(0, text.find_first_of("\r\n"));
  std::string line(text.substr(0, kMost));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  }
  return line + (text.size() > kMost ? "..." : "");
}

// A parsed body, or a failure that shows it. The parser owns what the element points to.
dom::element parse(dom::parser& parser, std::string_view body, const char* what) {
  dom::element root;
  if (parser.parse(body.data(), body.size()).get(root) != simdjson::SUCCESS) {
    fail_environment(kWhere, "the {} are no JSON: {}", what, first_line(body));
  }
  return root;
}

std::string text_of(dom::element element, std::string_view key) {
  std::string_view text;
  if (element[key].get(text) != simdjson::SUCCESS) return {};
  return std::string(text);
}

std::vector<std::int64_t> shape_of(dom::element element) {
  std::vector<std::int64_t> shape;
  dom::array sizes;
  if (element["shape"].get(sizes) != simdjson::SUCCESS) return shape;
  for (const dom::element size : sizes) {
    std::int64_t value = 0;
    if (size.get(value) != simdjson::SUCCESS) fail_environment(kWhere, "a shape is no integers");
    shape.push_back(value);
  }
  return shape;
}

template <typename T>
void append_number(dom::element element, std::vector<std::byte>& out) {
  T value{};
  bool is_good = false;
  if constexpr (std::is_floating_point_v<T>) {
    double number = 0;
    is_good = element.get(number) == simdjson::SUCCESS;
    value = static_cast<T>(number);
  } else if constexpr (std::is_same_v<T, std::uint64_t>) {
    is_good = element.get(value) == simdjson::SUCCESS;
  } else {
    std::int64_t number = 0;
    bool truth = false;
    if (element.get(truth) == simdjson::SUCCESS) {
      number = truth ? 1 : 0;
      is_good = true;
    } else {
      is_good = element.get(number) == simdjson::SUCCESS;
    }
    value = static_cast<T>(number);
    is_good = is_good && static_cast<std::int64_t>(value) == number;
  }
  if (!is_good) fail_environment(kWhere, "an element of an output is not of its type");
  const auto* const bytes = reinterpret_cast<const std::byte*>(&value);
  out.insert(out.end(), bytes, bytes + sizeof(T));
}

using AppendNumber = void (*)(dom::element, std::vector<std::byte>&);
AppendNumber append_for(DType dtype, const std::string& name) {
  switch (dtype) {
    case DType::kFloat32:
      return append_number<float>;
    case DType::kFloat64:
      return append_number<double>;
    case DType::kInt8:
      return append_number<std::int8_t>;
    case DType::kInt16:
      return append_number<std::int16_t>;
    case DType::kInt32:
      return append_number<std::int32_t>;
    case DType::kInt64:
      return append_number<std::int64_t>;
    case DType::kBool:
    case DType::kUInt8:
      return append_number<std::uint8_t>;
    case DType::kUInt16:
      return append_number<std::uint16_t>;
    case DType::kUInt32:
      return append_number<std::uint32_t>;
    case DType::kUInt64:
      return append_number<std::uint64_t>;
    default:
      fail_environment(kWhere, "output {} came as JSON numbers of type {}", name,
                       dtype_name(dtype));
  }
}

// Flat or nested.
void append_all(dom::element element, AppendNumber append, std::vector<std::byte>& out) {
  dom::array parts;
  if (element.get(parts) != simdjson::SUCCESS) return append(element, out);
  for (const dom::element part : parts) append_all(part, append, out);
}

std::int64_t expected_bytes(const NamedTensor& tensor) {
  std::int64_t elements = 1;
  for (const std::int64_t size : tensor.shape) {
    if (size < 0 || (size > 0 && elements > kMostElements / size)) {
      fail_environment(kWhere, "output {} has the shape {}", tensor.name,
                       fmt::join(tensor.shape, "x"));
    }
    elements *= size;
  }
  return elements * static_cast<std::int64_t>(dtype_bytes(tensor.dtype));
}

std::vector<RemoteTensor> tensors_of(dom::element root, const char* key) {
  std::vector<RemoteTensor> tensors;
  dom::array rows;
  if (root[key].get(rows) != simdjson::SUCCESS) return tensors;
  for (const dom::element row : rows) {
    tensors.push_back(
        {text_of(row, "name"), parse_v2_type(text_of(row, "datatype")), shape_of(row)});
  }
  return tensors;
}

}  // namespace

V2Outputs decode_infer_reply(std::string_view body, std::int64_t json_bytes) {
  const auto size = static_cast<std::int64_t>(body.size());
  if (json_bytes < 0) json_bytes = size;
  if (json_bytes > size) {
    fail_environment(kWhere, "its JSON has {} bytes, its body {}", json_bytes, size);
  }
  dom::parser parser;
  const dom::element root = parse(parser, body.substr(0, json_bytes), "outputs");
  dom::array rows;
  if (root["outputs"].get(rows) != simdjson::SUCCESS) fail_environment(kWhere, "has no outputs");
  V2Outputs outputs;
  std::string_view binary = body.substr(json_bytes);
  for (const dom::element row : rows) {
    NamedTensor& tensor = outputs.tensors.emplace_back();
    tensor.name = text_of(row, "name");
    tensor.dtype = parse_v2_type(text_of(row, "datatype"));
    tensor.shape = shape_of(row);
    if (tensor.dtype == DType::kUndefined) {
      fail_environment(kWhere, "output {} has the type '{}'", tensor.name,
                       text_of(row, "datatype"));
    }
    const std::int64_t expected = expected_bytes(tensor);
    std::int64_t length = 0;
    dom::element data;
    if (row["parameters"]["binary_data_size"].get(length) == simdjson::SUCCESS) {
      if (length != expected || length > static_cast<std::int64_t>(binary.size())) {
        fail_environment(kWhere, "output {} has {} bytes, its shape {}", tensor.name,
                         std::min<std::int64_t>(length, static_cast<std::int64_t>(binary.size())),
                         expected);
      }
      tensor.bytes = std::as_bytes(std::span(binary.data(), static_cast<std::size_t>(length)));
      binary.remove_prefix(static_cast<std::size_t>(length));
    } else if (row["data"].get(data) == simdjson::SUCCESS) {
      std::vector<std::byte>& numbers = outputs.numbers.emplace_back();
      append_all(data, append_for(tensor.dtype, tensor.name), numbers);
      if (static_cast<std::int64_t>(numbers.size()) != expected) {
        fail_environment(kWhere, "output {} has {} bytes, its shape {}", tensor.name,
                         numbers.size(), expected);
      }
      // Moving the vector of vectors leaves these where they are.
      tensor.bytes = numbers;
    } else {
      fail_environment(kWhere, "output {} has no data", tensor.name);
    }
  }
  return outputs;
}

RemoteModel decode_model_metadata(std::string_view body) {
  dom::parser parser;
  const dom::element root = parse(parser, body, "model's metadata");
  if (!root.is_object()) fail_environment(kWhere, "the model's metadata are no object");
  RemoteModel model;
  model.name = text_of(root, "name");
  dom::array versions;
  if (root["versions"].get(versions) == simdjson::SUCCESS) {
    for (const dom::element version : versions) {
      std::string_view text;
      if (version.get(text) == simdjson::SUCCESS) model.versions.emplace_back(text);
    }
  }
  model.inputs = tensors_of(root, "inputs");
  model.outputs = tensors_of(root, "outputs");
  return model;
}

std::optional<RemoteStatistics> decode_statistics(std::string_view body, const std::string& model,
                                                  const std::string& version) {
  dom::parser parser;
  const dom::element root = parse(parser, body, "statistics");
  dom::array rows;
  if (root["model_stats"].get(rows) != simdjson::SUCCESS) return {};
  std::optional<RemoteStatistics> sum;
  for (const dom::element row : rows) {
    if (text_of(row, "name") != model) continue;
    if (!version.empty() && text_of(row, "version") != version) continue;
    std::int64_t rows_run = 0, batches = 0;
    if (row["inference_count"].get(rows_run) != simdjson::SUCCESS ||
        row["execution_count"].get(batches) != simdjson::SUCCESS) {
      continue;
    }
    if (!sum) sum.emplace();
    sum->inference_count += rows_run;
    sum->execution_count += batches;
  }
  return sum;
}

std::string error_message(std::string_view body) {
  dom::parser parser;
  dom::element root;
  std::string_view text;
  if (parser.parse(body.data(), body.size()).get(root) == simdjson::SUCCESS &&
      root["error"].get(text) == simdjson::SUCCESS) {
    return first_line(text);
  }
  return first_line(body);
}

}  // namespace batchwise
