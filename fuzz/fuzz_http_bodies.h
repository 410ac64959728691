// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "serve/http/codec_fixture.h"
#include "serve/http/v2_infer.h"

namespace batchwise::serve {

// A model with an input of each kind of number.
inline std::shared_ptr<const ModelInfo> fuzzed_model() {
  static const auto model = model_of(
      {tensor_spec("f", DType::kFloat32, {-1, 2, 2}), tensor_spec("i", DType::kInt64, {-1}),
       tensor_spec("u", DType::kUInt8, {-1, 3}), tensor_spec("b", DType::kBool, {-1, 1}),
       tensor_spec("h", DType::kFloat16, {-1, 2}), tensor_spec("d", DType::kFloat64, {-1})});
  return model;
}
inline std::shared_ptr<const ModelInfo> fuzzed_single_model() {
  static const auto model = model_of({tensor_spec("x", DType::kFloat32, {-1, 4})});
  return model;
}

// A refusal is one line, with a status of the client's fault; what was taken fits its model.
inline void check_outcome(const std::optional<Refusal>& refusal, const InferenceRequest& request) {
  if (refusal) {
    const bool is_clients =
        refusal->status == Status::kInvalid || refusal->status == Status::kTooLarge;
    if (!is_clients || refusal->message.empty()) std::abort();
    return;
  }
  for (const RequestTensor& tensor : request.inputs) {
    const TensorSpec& spec = request.model->inputs[tensor.input];
    if (static_cast<std::int64_t>(tensor.bytes.size()) != request.rows * spec.row_bytes) {
      std::abort();
    }
  }
}

inline void read_and_answer_v2(std::shared_ptr<const ModelInfo> model, std::string_view text,
                               std::optional<std::uint64_t> inference_length) {
  const PaddedBody body(text);
  PlainRequest request;
  request.model = std::move(model);
  V2Exchange exchange;
  const auto refusal = read_v2_request(body.span(), inference_length, request, exchange);
  check_outcome(refusal, request);
  if (refusal) return;
  Response response;
  write_v2_response(request, exchange, echo(request), response);
}

}  // namespace batchwise::serve
