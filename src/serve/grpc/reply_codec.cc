// SPDX-License-Identifier: Apache-2.0
#include <inference_proto/inference_service.pb.h>

#include "client/v2_types.h"
#include "serve/grpc/grpc_status.h"
#include "serve/grpc/request_codec.h"

namespace batchwise::serve {
namespace {

// The first byte of a field of bytes: its number, and that a length follows.
constexpr char length_delimited(int field) { return static_cast<char>(field << 3 | 2); }

void append_length(std::uint64_t length, std::string& text) {
  while (length >= 0x80) {
    text.push_back(static_cast<char>(length | 0x80));
    length >>= 7;
  }
  text.push_back(static_cast<char>(length));
}

std::size_t length_bytes(std::uint64_t length) {
  std::size_t bytes = 1;
  while (length >>= 7) ++bytes;
  return bytes;
}

void fill_head(const InferenceRequest& request, const Reply& reply,
               inference::ModelInferResponse& head) {
  const ModelInfo& model = *request.model;
  head.Clear();
  head.set_model_name(model.name);
  head.set_model_version(model.version);
  head.set_id(request.id);
  for (std::size_t i = 0; i < reply.outputs.size(); ++i) {
    const TensorSpec& spec = model.outputs[request.outputs.empty() ? i : request.outputs[i]];
    auto* output = head.add_outputs();
    output->set_name(spec.name);
    const std::string_view datatype = v2_type_name(spec.dtype);
    output->set_datatype(datatype.data(), datatype.size());
    for (const std::int64_t size : spec.shape) output->add_shape(size);
    if (output->shape_size() > 0) output->set_shape(0, reply.rows);
  }
}

}  // namespace

void encode_reply(const InferenceRequest& request, const Reply& reply, ReplyMessage kind,
                  bool is_last, inference::ModelInferResponse& scratch, EncodedReply& into) {
  using Response = inference::ModelInferResponse;
  fill_head(request, reply, scratch);
  if (is_last) (*scratch.mutable_parameters())["triton_final_response"].set_bool_param(true);
  std::size_t response_bytes = scratch.ByteSizeLong();
  for (const auto& output : reply.outputs) {
    response_bytes += 1 + length_bytes(output.size()) + output.size();
  }
  into.text.clear();
  into.ends.clear();
  into.total_bytes = response_bytes;
  if (kind == ReplyMessage::kStreamResponse) {
    into.text.push_back(
        length_delimited(inference::ModelStreamInferResponse::kInferResponseFieldNumber));
    append_length(response_bytes, into.text);
    into.total_bytes += into.text.size();
  }
  // Fields may come in any order and in parts: the outputs' bytes follow what protobuf has written.
  scratch.AppendToString(&into.text);
  for (const auto& output : reply.outputs) {
    into.text.push_back(length_delimited(Response::kRawOutputContentsFieldNumber));
    append_length(output.size(), into.text);
    into.ends.push_back(into.text.size());
  }
}

std::string encode_stream_error(const Refusal& refusal, const std::string& id,
                                const std::string& model_name) {
  inference::ModelStreamInferResponse response;
  response.set_error_message(shortened(refusal.message));
  response.mutable_infer_response()->set_id(id);
  response.mutable_infer_response()->set_model_name(model_name);
  return response.SerializeAsString();
}

}  // namespace batchwise::serve
