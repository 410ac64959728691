// SPDX-License-Identifier: Apache-2.0
#include "client/grpc/infer_messages.h"

#include <inference_proto/inference_service.pb.h>

#include "client/v2_types.h"

namespace batchwise {
namespace {

template <typename Tensors>
void decode_tensors(const Tensors& tensors, std::vector<RemoteTensor>& into) {
  for (const auto& tensor : tensors) {
    into.push_back({tensor.name(),
                    parse_v2_type(tensor.datatype()),
                    {tensor.shape().begin(), tensor.shape().end()}});
  }
}

// The bytes that a dense tensor of this shape takes; nothing where the shape is none.
std::optional<std::size_t> dense_bytes(const NamedTensor& tensor) {
  std::size_t bytes = dtype_bytes(tensor.dtype);
  for (const std::int64_t size : tensor.shape) {
    if (size < 0 || __builtin_mul_overflow(bytes, static_cast<std::size_t>(size), &bytes)) {
      return std::nullopt;
    }
  }
  return bytes;
}

}  // namespace

std::string encode_infer_call(const InferCall& call) {
  inference::ModelInferRequest request;
  request.set_model_name(call.model);
  request.set_model_version(call.version);
  if (call.timeout_us > 0) {
    (*request.mutable_parameters())["timeout"].set_int64_param(
        static_cast<std::int64_t>(call.timeout_us));
  }
  for (const NamedTensor& tensor : call.inputs) {
    auto* input = request.add_inputs();
    input->set_name(tensor.name);
    input->set_datatype(std::string(v2_type_name(tensor.dtype)));
    for (const std::int64_t size : tensor.shape) input->add_shape(size);
    request.add_raw_input_contents(tensor.bytes.data(), tensor.bytes.size());
  }
  for (const std::string& name : call.outputs) request.add_outputs()->set_name(name);
  return request.SerializeAsString();
}

std::optional<std::vector<NamedTensor>> decode_outputs(const inference::ModelInferResponse& reply) {
  if (reply.outputs_size() != reply.raw_output_contents_size()) return std::nullopt;
  std::vector<NamedTensor> outputs;
  for (int i = 0; i < reply.outputs_size(); ++i) {
    const auto& output = reply.outputs(i);
    NamedTensor tensor{output.name(),
                       parse_v2_type(output.datatype()),
                       {output.shape().begin(), output.shape().end()},
                       std::as_bytes(std::span(reply.raw_output_contents(i)))};
    const bool is_known = tensor.dtype != DType::kUndefined;
    if (is_known && dense_bytes(tensor) != tensor.bytes.size()) return std::nullopt;
    outputs.push_back(std::move(tensor));
  }
  return outputs;
}

RemoteModel decode_model(const inference::ModelMetadataResponse& reply) {
  RemoteModel model;
  model.name = reply.name();
  model.versions.assign(reply.versions().begin(), reply.versions().end());
  decode_tensors(reply.inputs(), model.inputs);
  decode_tensors(reply.outputs(), model.outputs);
  return model;
}

RemoteStatistics decode_statistics(const inference::ModelStatisticsResponse& reply) {
  RemoteStatistics sums;
  for (const auto& model : reply.model_stats()) {
    sums.inference_count += static_cast<std::int64_t>(model.inference_count());
    sums.execution_count += static_cast<std::int64_t>(model.execution_count());
  }
  return sums;
}

}  // namespace batchwise
