// SPDX-License-Identifier: Apache-2.0
#include "serve/grpc/request_codec.h"

#include <gtest/gtest.h>
#include <inference_proto/inference_service.pb.h>

#include <limits>

#include "client/v2_types.h"
#include "serve/grpc/test_server.h"

namespace batchwise::serve {
namespace {

class Decoded final : public InferenceRequest {
 public:
  void reply(Reply&&) override {}
  NarrowedContents narrowed;
};

std::optional<Refusal> decode(const inference::ModelInferRequest& message, Decoded& into,
                              std::shared_ptr<const ModelInfo> model) {
  into.model = std::move(model);
  return decode_request(message, into.narrowed, into);
}

template <typename T>
std::string raw(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

inference::ModelInferRequest float_message(std::int64_t rows) {
  inference::ModelInferRequest message;
  auto* input = message.add_inputs();
  input->set_name("in0");
  input->set_datatype("FP32");
  input->add_shape(rows);
  input->add_shape(4);
  message.add_raw_input_contents(raw(std::vector<float>(static_cast<std::size_t>(rows) * 4, 1.5f)));
  return message;
}

std::shared_ptr<const ModelInfo> float_model() { return echo_model("m", {DType::kFloat32}, 4); }

Status status_of(const inference::ModelInferRequest& message,
                 std::shared_ptr<const ModelInfo> model = float_model()) {
  Decoded request;
  const auto refusal = decode(message, request, std::move(model));
  if (!refusal) return Status::kOk;
  EXPECT_FALSE(refusal->message.empty());
  EXPECT_EQ(refusal->message.find('\n'), std::string::npos);
  EXPECT_LT(refusal->message.size(), 2000u);
  return refusal->status;
}

TEST(RequestCodec, LeavesRawBytesInTheMessage) {
  const auto message = float_message(3);
  Decoded request;
  ASSERT_FALSE(decode(message, request, float_model()));
  EXPECT_EQ(request.rows, 3);
  ASSERT_EQ(request.inputs.size(), 1u);
  EXPECT_EQ(static_cast<const void*>(request.inputs[0].bytes.data()),
            message.raw_input_contents(0).data());
  EXPECT_EQ(request.inputs[0].bytes.size(), 48u);
}

TEST(RequestCodec, TakesTimeoutPriorityAndId) {
  auto message = float_message(1);
  message.set_id("7");
  (*message.mutable_parameters())["timeout"].set_int64_param(1500);
  (*message.mutable_parameters())["priority"].set_uint64_param(2);
  (*message.mutable_parameters())["sequence_id"].set_int64_param(0);
  (*message.mutable_parameters())["binary_data_output"].set_bool_param(true);
  (*message.mutable_parameters())["anything"].set_string_param("else");
  Decoded request;
  ASSERT_FALSE(decode(message, request, float_model()));
  EXPECT_EQ(request.timeout_us, 1500);
  EXPECT_EQ(request.priority, 2);
  EXPECT_EQ(request.id, "7");
}

TEST(RequestCodec, RefusesParametersThatChangeTheMeaning) {
  const auto with = [](const std::string& name, auto&& set) {
    auto message = float_message(1);
    set((*message.mutable_parameters())[name]);
    return status_of(message);
  };
  using Parameter = inference::InferParameter;
  EXPECT_EQ(with("timeout", [](Parameter& p) { p.set_int64_param(-1); }), Status::kInvalid);
  EXPECT_EQ(with("timeout", [](Parameter& p) { p.set_string_param("1"); }), Status::kInvalid);
  EXPECT_EQ(with("timeout", [](Parameter& p) { p.set_uint64_param(~0ull); }), Status::kInvalid);
  EXPECT_EQ(with("priority", [](Parameter& p) { p.set_int64_param(1ll << 40); }), Status::kInvalid);
  EXPECT_EQ(with("sequence_id", [](Parameter& p) { p.set_int64_param(4); }), Status::kUnsupported);
  EXPECT_EQ(with("sequence_start", [](Parameter& p) { p.set_bool_param(true); }),
            Status::kUnsupported);
  auto message = float_message(1);
  (*message.mutable_inputs(0)->mutable_parameters())["shared_memory_region"].set_string_param("a");
  EXPECT_EQ(status_of(message), Status::kUnsupported);
  message = float_message(1);
  message.add_outputs()->set_name("out0");
  (*message.mutable_outputs(0)->mutable_parameters())["classification"].set_int64_param(3);
  EXPECT_EQ(status_of(message), Status::kUnsupported);
}

TEST(RequestCodec, RefusesWhatDoesNotFitTheModel) {
  const auto changed = [](auto&& change) {
    auto message = float_message(2);
    change(message, *message.mutable_inputs(0));
    return status_of(message);
  };
  using Message = inference::ModelInferRequest;
  using Input = Message::InferInputTensor;
  EXPECT_EQ(changed([](Message&, Input&) {}), Status::kOk);
  EXPECT_EQ(changed([](Message&, Input& i) { i.set_name(std::string(100'000, 'x')); }),
            Status::kInvalid);
  EXPECT_EQ(changed([](Message&, Input& i) { i.set_datatype("FP64"); }), Status::kInvalid);
  EXPECT_EQ(changed([](Message&, Input& i) { i.set_datatype(""); }), Status::kInvalid);
  EXPECT_EQ(changed([](Message&, Input& i) { i.set_shape(0, 3); }), Status::kInvalid);
  EXPECT_EQ(changed([](Message&, Input& i) { i.set_shape(0, 0); }), Status::kInvalid);
  EXPECT_EQ(changed([](Message&, Input& i) { i.set_shape(0, -2); }), Status::kInvalid);
  EXPECT_EQ(changed([](Message&, Input& i) { i.set_shape(1, 5); }), Status::kInvalid);
  EXPECT_EQ(changed([](Message&, Input& i) { i.add_shape(1); }), Status::kInvalid);
  EXPECT_EQ(changed([](Message&, Input& i) { i.clear_shape(); }), Status::kInvalid);
  EXPECT_EQ(changed([](Message&, Input& i) { i.set_shape(0, std::int64_t{1} << 62); }),
            Status::kTooLarge);
  EXPECT_EQ(changed([](Message& m, Input&) { m.clear_raw_input_contents(); }), Status::kInvalid);
  EXPECT_EQ(changed([](Message& m, Input&) { m.add_raw_input_contents("x"); }), Status::kInvalid);
  EXPECT_EQ(changed([](Message& m, Input&) { m.mutable_raw_input_contents(0)->pop_back(); }),
            Status::kInvalid);
  EXPECT_EQ(changed([](Message&, Input& i) { i.mutable_contents()->add_fp32_contents(1); }),
            Status::kInvalid);
  EXPECT_EQ(changed([](Message& m, Input& i) { *m.add_inputs() = Input(i); }), Status::kInvalid);
  EXPECT_EQ(changed([](Message& m, Input&) { m.clear_inputs(); }), Status::kInvalid);
  EXPECT_EQ(changed([](Message& m, Input&) { m.add_outputs()->set_name("in0"); }),
            Status::kInvalid);
  EXPECT_EQ(changed([](Message& m, Input&) {
              m.add_outputs()->set_name("out0");
              m.add_outputs()->set_name("out0");
            }),
            Status::kInvalid);
}

TEST(RequestCodec, RefusesInputsOfDifferentRowsOrGivenTwice) {
  const auto model = echo_model("m", {DType::kFloat32, DType::kFloat32}, 4);
  auto message = float_message(2);
  *message.add_inputs() = message.inputs(0);
  message.add_raw_input_contents(message.raw_input_contents(0));
  EXPECT_EQ(status_of(message, model), Status::kInvalid);  // in0 twice
  message.mutable_inputs(1)->set_name("in1");
  EXPECT_EQ(status_of(message, model), Status::kOk);
  message.mutable_inputs(1)->set_shape(0, 1);
  message.mutable_raw_input_contents(1)->resize(16);
  EXPECT_EQ(status_of(message, model), Status::kInvalid);
}

inference::ModelInferRequest typed_message(DType dtype) {
  inference::ModelInferRequest message;
  auto* input = message.add_inputs();
  input->set_name("in0");
  input->set_datatype(std::string(v2_type_name(dtype)));
  input->add_shape(1);
  input->add_shape(2);
  return message;
}

// What arrives of two values in `contents`, as numbers of the model's type.
template <typename T, typename Fill>
std::vector<T> typed(DType dtype, Fill&& fill) {
  auto message = typed_message(dtype);
  fill(*message.mutable_inputs(0)->mutable_contents());
  Decoded request;
  if (decode(message, request, echo_model("m", {dtype}, 2))) return {};
  const auto bytes = request.inputs.at(0).bytes;
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

TEST(RequestCodec, TakesNumbersOfAllTypes) {
  using Contents = inference::InferTensorContents;
  const auto ints = [](Contents& c) { c.add_int_contents(-7), c.add_int_contents(100); };
  const auto unsigned_ints = [](Contents& c) { c.add_uint_contents(7), c.add_uint_contents(200); };
  EXPECT_EQ(typed<std::int8_t>(DType::kInt8, ints), (std::vector<std::int8_t>{-7, 100}));
  EXPECT_EQ(typed<std::int16_t>(DType::kInt16, ints), (std::vector<std::int16_t>{-7, 100}));
  EXPECT_EQ(typed<std::int32_t>(DType::kInt32, ints), (std::vector<std::int32_t>{-7, 100}));
  EXPECT_EQ(typed<std::uint8_t>(DType::kUInt8, unsigned_ints), (std::vector<std::uint8_t>{7, 200}));
  EXPECT_EQ(typed<std::uint16_t>(DType::kUInt16, unsigned_ints),
            (std::vector<std::uint16_t>{7, 200}));
  EXPECT_EQ(typed<std::uint32_t>(DType::kUInt32, unsigned_ints),
            (std::vector<std::uint32_t>{7, 200}));
  EXPECT_EQ(typed<std::int64_t>(
                DType::kInt64,
                [](Contents& c) { c.add_int64_contents(-1), c.add_int64_contents(1ll << 40); }),
            (std::vector<std::int64_t>{-1, 1ll << 40}));
  EXPECT_EQ(typed<std::uint64_t>(
                DType::kUInt64,
                [](Contents& c) { c.add_uint64_contents(3), c.add_uint64_contents(~0ull); }),
            (std::vector<std::uint64_t>{3, ~0ull}));
  EXPECT_EQ(typed<float>(DType::kFloat32,
                         [](Contents& c) { c.add_fp32_contents(0.1f), c.add_fp32_contents(-2); }),
            (std::vector<float>{0.1f, -2}));
  EXPECT_EQ(typed<double>(DType::kFloat64,
                          [](Contents& c) { c.add_fp64_contents(0.1), c.add_fp64_contents(-2); }),
            (std::vector<double>{0.1, -2}));
  EXPECT_EQ(typed<char>(DType::kBool,
                        [](Contents& c) { c.add_bool_contents(true), c.add_bool_contents(false); }),
            (std::vector<char>{1, 0}));
}

TEST(RequestCodec, RefusesNumbersThatTheTypeDoesNotHold) {
  using Contents = inference::InferTensorContents;
  const auto refused = [](DType dtype, auto&& fill) {
    auto message = typed_message(dtype);
    fill(*message.mutable_inputs(0)->mutable_contents());
    return status_of(message, echo_model("m", {dtype}, 2)) == Status::kInvalid;
  };
  const auto ints = [](Contents& c) { c.add_int_contents(0), c.add_int_contents(128); };
  EXPECT_TRUE(refused(DType::kInt8, ints));
  EXPECT_FALSE(refused(DType::kInt16, ints));
  EXPECT_TRUE(refused(DType::kUInt8,
                      [](Contents& c) { c.add_uint_contents(0), c.add_uint_contents(256); }));
  EXPECT_TRUE(refused(DType::kFloat32, [](Contents& c) { c.add_fp32_contents(1); }));
  EXPECT_TRUE(refused(DType::kFloat32, ints));
  EXPECT_TRUE(refused(DType::kFloat16,
                      [](Contents& c) { c.add_fp32_contents(1), c.add_fp32_contents(1); }));
}

std::string wire(const EncodedReply& encoded, const Reply& reply) {
  std::string text;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < encoded.ends.size(); ++i) {
    text.append(encoded.text, begin, encoded.ends[i] - begin);
    text.append(reinterpret_cast<const char*>(reply.outputs[i].data()), reply.outputs[i].size());
    begin = encoded.ends[i];
  }
  return text + encoded.text.substr(begin);
}

// Oracle: protobuf's own reading of what we have written.
TEST(ReplyCodec, IsWhatProtobufReads) {
  for (const std::int64_t width : {1, 40, 5000}) {
    const auto model = echo_model("m", {DType::kFloat32, DType::kInt8}, width);
    Decoded request;
    request.model = model;
    request.id = "id";
    std::vector<std::byte> floats(static_cast<std::size_t>(width) * 8, std::byte{5});
    std::vector<std::byte> bytes(static_cast<std::size_t>(width) * 2, std::byte{9});
    Reply reply;
    reply.rows = 2;
    reply.outputs = {floats, bytes};
    inference::ModelInferResponse scratch, response;
    EncodedReply encoded;
    encode_reply(request, reply, ReplyMessage::kInferResponse, false, scratch, encoded);
    const std::string text = wire(encoded, reply);
    EXPECT_EQ(text.size(), encoded.total_bytes);
    ASSERT_TRUE(response.ParseFromString(text));
    EXPECT_EQ(response.id(), "id");
    EXPECT_EQ(response.model_name(), "m");
    EXPECT_EQ(response.model_version(), "1");
    ASSERT_EQ(response.outputs_size(), 2);
    EXPECT_EQ(response.outputs(1).name(), "out1");
    EXPECT_EQ(response.outputs(1).datatype(), "INT8");
    EXPECT_EQ(response.outputs(1).shape(0), 2);
    EXPECT_EQ(response.outputs(1).shape(1), width);
    ASSERT_EQ(response.raw_output_contents_size(), 2);
    EXPECT_EQ(response.raw_output_contents(0), std::string(floats.size(), 5));
    EXPECT_EQ(response.raw_output_contents(1), std::string(bytes.size(), 9));

    encode_reply(request, reply, ReplyMessage::kStreamResponse, true, scratch, encoded);
    inference::ModelStreamInferResponse streamed;
    ASSERT_TRUE(streamed.ParseFromString(wire(encoded, reply)));
    EXPECT_TRUE(streamed.error_message().empty());
    EXPECT_EQ(streamed.infer_response().raw_output_contents(1), std::string(bytes.size(), 9));
    EXPECT_TRUE(streamed.infer_response().parameters().at("triton_final_response").bool_param());
  }
}

TEST(ReplyCodec, GivesTheOutputsThatWereAskedFor) {
  Decoded request;
  request.model = echo_model("m", {DType::kFloat32, DType::kInt8}, 1);
  request.outputs = {1};
  const std::vector<std::byte> bytes(1, std::byte{9});
  Reply reply;
  reply.rows = 1;
  reply.outputs = {bytes};
  inference::ModelInferResponse scratch, response;
  EncodedReply encoded;
  encode_reply(request, reply, ReplyMessage::kInferResponse, false, scratch, encoded);
  ASSERT_TRUE(response.ParseFromString(wire(encoded, reply)));
  ASSERT_EQ(response.outputs_size(), 1);
  EXPECT_EQ(response.outputs(0).name(), "out1");
}

}  // namespace
}  // namespace batchwise::serve
