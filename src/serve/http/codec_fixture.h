// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "serve/request.h"

// What the tests of codecs, and the fuzzers, share.
namespace batchwise::serve {

struct PlainRequest : InferenceRequest {
  void reply(Reply&&) override {}
};

// A body with the room after it that JSON needs.
class PaddedBody {
 public:
  explicit PaddedBody(std::string_view text) : bytes_(text.size() + 64), size_(text.size()) {
    if (!text.empty()) std::memcpy(bytes_.data(), text.data(), text.size());
  }
  std::span<const std::byte> span() const { return {bytes_.data(), size_}; }

 private:
  std::vector<std::byte> bytes_;
  std::size_t size_;
};

inline std::int64_t row_bytes_of(DType dtype, const std::vector<std::int64_t>& shape) {
  auto bytes = static_cast<std::int64_t>(dtype_bytes(dtype));
  for (std::size_t i = 1; i < shape.size(); ++i) bytes *= shape[i];
  return bytes;
}

inline TensorSpec tensor_spec(std::string name, DType dtype, std::vector<std::int64_t> shape) {
  const std::int64_t bytes = row_bytes_of(dtype, shape);
  return {std::move(name), dtype, std::move(shape), bytes};
}

// Outputs are named like the inputs, with "_out" behind.
inline std::shared_ptr<const ModelInfo> model_of(std::vector<TensorSpec> inputs) {
  auto model = std::make_shared<ModelInfo>();
  model->name = "m";
  model->version = "1";
  model->inputs = std::move(inputs);
  model->outputs = model->inputs;
  for (TensorSpec& output : model->outputs) output.name += "_out";
  model->max_batch_rows = 32;
  model->max_request_rows = 1000;
  return model;
}

template <typename T>
std::vector<T> values_of(std::span<const std::byte> bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

// A reply whose outputs are the request's inputs.
inline Reply echo(const InferenceRequest& request) {
  Reply reply;
  reply.refusal.status = Status::kOk;
  reply.rows = request.rows;
  const std::size_t count =
      request.outputs.empty() ? request.model->outputs.size() : request.outputs.size();
  for (std::size_t i = 0; i < count; ++i) {
    const std::size_t output = request.outputs.empty() ? i : request.outputs[i];
    for (const RequestTensor& tensor : request.inputs) {
      if (tensor.input == output) reply.outputs.push_back(tensor.bytes);
    }
  }
  return reply;
}

}  // namespace batchwise::serve
