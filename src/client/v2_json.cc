// SPDX-License-Identifier: Apache-2.0
#include "client/v2_json.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <iterator>
#include <type_traits>

#include "base/check.h"
#include "client/v2_types.h"

namespace batchwise {
namespace {

void append_quoted(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c));
    } else {
      out += c;
    }
  }
  out += '"';
}

template <typename T>
void append_numbers(std::string& out, const NamedTensor& tensor) {
  const std::size_t count = tensor.bytes.size() / sizeof(T);
  for (std::size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, tensor.bytes.data() + i * sizeof(T), sizeof(T));
    if constexpr (std::is_floating_point_v<T>) {
      if (!std::isfinite(value)) {
        fail_input(tensor.name, "element {} is {}, which JSON has no number for", i, value);
      }
    }
    if (i > 0) out += ',';
    if constexpr (std::is_floating_point_v<T>) {
      // "-0" is an integer to most readers, and loses its sign.
      if (value == 0 && std::signbit(value)) {
        out += "-0.0";
        continue;
      }
    }
    fmt::format_to(std::back_inserter(out), "{}", value);
  }
}

void append_data(std::string& out, const NamedTensor& tensor) {
  switch (tensor.dtype) {
    case DType::kFloat32:
      return append_numbers<float>(out, tensor);
    case DType::kFloat64:
      return append_numbers<double>(out, tensor);
    case DType::kInt8:
      return append_numbers<std::int8_t>(out, tensor);
    case DType::kInt16:
      return append_numbers<std::int16_t>(out, tensor);
    case DType::kInt32:
      return append_numbers<std::int32_t>(out, tensor);
    case DType::kInt64:
      return append_numbers<std::int64_t>(out, tensor);
    case DType::kUInt8:
      return append_numbers<std::uint8_t>(out, tensor);
    case DType::kUInt16:
      return append_numbers<std::uint16_t>(out, tensor);
    case DType::kUInt32:
      return append_numbers<std::uint32_t>(out, tensor);
    case DType::kUInt64:
      return append_numbers<std::uint64_t>(out, tensor);
    case DType::kBool:
      return append_numbers<std::uint8_t>(out, tensor);
    default:
      fail_input(tensor.name, "{} cannot be sent as JSON; send binary tensors",
                 dtype_name(tensor.dtype));
  }
}

void append_input(std::string& out, const NamedTensor& tensor, bool binary) {
  out += R"({"name":)";
  append_quoted(out, tensor.name);
  fmt::format_to(std::back_inserter(out), R"(,"shape":[{}],"datatype":"{}")",
                 fmt::join(tensor.shape, ","), v2_type_name(tensor.dtype));
  if (binary) {
    fmt::format_to(std::back_inserter(out), R"(,"parameters":{{"binary_data_size":{}}}}})",
                   tensor.bytes.size());
    return;
  }
  out += R"(,"data":[)";
  append_data(out, tensor);
  out += "]}";
}

// `"parameters":{...},` of the whole request, or nothing.
std::string request_parameters(const InferCall& call, bool binary) {
  std::string inside;
  if (call.timeout_us > 0) inside = fmt::format(R"("timeout":{:.0f})", std::ceil(call.timeout_us));
  // Named outputs say it themselves.
  if (binary && call.outputs.empty()) {
    inside += (inside.empty() ? "" : ",") + std::string(R"("binary_data_output":true)");
  }
  return inside.empty() ? inside : R"("parameters":{)" + inside + "},";
}

}  // namespace

V2Body encode_infer_request(const InferCall& call, bool binary) {
  V2Body body;
  std::string& out = body.bytes;
  out = "{" + request_parameters(call, binary) + R"("inputs":[)";
  for (const NamedTensor& input : call.inputs) {
    if (&input != &call.inputs.front()) out += ',';
    append_input(out, input, binary);
  }
  out += ']';
  for (const std::string& name : call.outputs) {
    out += &name == &call.outputs.front() ? R"(,"outputs":[{"name":)" : R"(,{"name":)";
    append_quoted(out, name);
    out += binary ? R"(,"parameters":{"binary_data":true}})" : "}";
  }
  out += call.outputs.empty() ? "}" : "]}";
  body.json_bytes = out.size();
  if (!binary) return body;
  for (const NamedTensor& input : call.inputs) {
    out.append(reinterpret_cast<const char*>(input.bytes.data()), input.bytes.size());
  }
  return body;
}

std::string encode_path_segment(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                          (c >= 'A' && c <= 'Z') ||
                          std::string_view("-._~").find(c) != std::string_view::npos;
    if (is_plain) {
      out += c;
    } else {
      fmt::format_to(std::back_inserter(out), "%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace batchwise
