// SPDX-License-Identifier: Apache-2.0
#include <inference_proto/inference_service.pb.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "serve/grpc/request_codec.h"
#include "serve/grpc/test_server.h"

// A ModelInferRequest as it comes over the wire, decoded for a model; what is accepted is answered,
// and protobuf reads the answer back.
namespace batchwise::serve {
namespace {

class Decoded final : public InferenceRequest {
 public:
  void reply(Reply&&) override {}
};

void expect(bool condition, const char* what) {
  if (condition) return;
  std::fprintf(stderr, "%s\n", what);
  std::abort();
}

std::shared_ptr<const ModelInfo> model_of(const inference::ModelInferRequest& message) {
  static const auto few = echo_model("few", {DType::kFloat32, DType::kInt8}, 2);
  static const auto types =
      echo_model("types",
                 {DType::kBool, DType::kUInt8, DType::kUInt16, DType::kUInt32, DType::kUInt64,
                  DType::kInt16, DType::kInt64, DType::kFloat16, DType::kFloat64},
                 1);
  return message.model_name() == "types" ? types : few;
}

void check_tensors(const InferenceRequest& request) {
  expect(request.rows >= 1 && request.rows <= request.model->max_request_rows, "rows");
  expect(request.inputs.size() == request.model->inputs.size(), "inputs");
  for (const RequestTensor& tensor : request.inputs) {
    const std::int64_t wanted = request.rows * request.model->inputs[tensor.input].row_bytes;
    expect(static_cast<std::int64_t>(tensor.bytes.size()) == wanted, "bytes");
  }
}

void check_reply(const InferenceRequest& request) {
  const Reply reply = echo_reply(request);  // reads every byte
  EncodedReply encoded;
  inference::ModelInferResponse scratch, response;
  encode_reply(request, reply, ReplyMessage::kInferResponse, true, scratch, encoded);
  std::string wire;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < encoded.ends.size(); ++i) {
    wire.append(encoded.text, begin, encoded.ends[i] - begin);
    wire.append(reinterpret_cast<const char*>(reply.outputs[i].data()), reply.outputs[i].size());
    begin = encoded.ends[i];
  }
  wire.append(encoded.text, begin);
  expect(wire.size() == encoded.total_bytes, "total_bytes");
  expect(response.ParseFromString(wire), "a reply that is no message");
  expect(response.id() == request.id, "id");
  expect(response.raw_output_contents_size() == response.outputs_size(), "outputs");
}

}  // namespace
}  // namespace batchwise::serve

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace batchwise::serve;
  inference::ModelInferRequest message;
  if (!message.ParseFromArray(data, static_cast<int>(size))) return 0;
  Decoded request;
  NarrowedContents narrowed;
  request.model = model_of(message);
  if (const auto refusal = decode_request(message, narrowed, request)) {
    expect(!refusal->message.empty() && refusal->status != Status::kInternal, "refusal");
    encode_stream_error(*refusal, message.id(), message.model_name());
    return 0;
  }
  check_tensors(request);
  check_reply(request);
  return 0;
}
