// SPDX-License-Identifier: Apache-2.0
#include "serve/http/v2_infer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "serve/http/codec_fixture.h"

namespace batchwise::serve {
namespace {

using Json = nlohmann::json;

struct Decoded {
  explicit Decoded(std::shared_ptr<const ModelInfo> model, std::string_view text,
                   std::optional<std::uint64_t> inference_length = std::nullopt)
      : body(text) {
    request.model = std::move(model);
    refusal = read_v2_request(body.span(), inference_length, request, exchange);
  }
  std::string message() const { return refusal ? refusal->message : ""; }
  Status status() const { return refusal ? refusal->status : Status::kOk; }

  PaddedBody body;
  PlainRequest request;
  V2Exchange exchange;
  std::optional<Refusal> refusal;
};

std::shared_ptr<const ModelInfo> example_model() {
  return model_of(
      {tensor_spec("input0", DType::kUInt32, {-1, 2}), tensor_spec("input1", DType::kBool, {-1})});
}

std::shared_ptr<const ModelInfo> float_model() {
  return model_of({tensor_spec("x", DType::kFloat32, {-1, 4})});
}

std::string x_input(const std::string& rest) {
  return R"({"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32",)" + rest + "}]}";
}

// After the example of the specification (whose second shape does not fit its data).
constexpr const char* kExample = R"({
  "id" : "42",
  "inputs" : [
    {"name" : "input0", "shape" : [ 2, 2 ], "datatype" : "UINT32", "data" : [ 1, 2, 3, 4 ]},
    {"name" : "input1", "shape" : [ 2 ], "datatype" : "BOOL", "data" : [ true, false ]}
  ],
  "outputs" : [ {"name" : "input0_out"} ]
})";

TEST(V2Request, ReadsTheExampleOfTheSpecification) {
  const Decoded decoded(example_model(), kExample);
  ASSERT_EQ(decoded.message(), "");
  EXPECT_EQ(decoded.request.rows, 2);
  EXPECT_EQ(decoded.request.id, "42");
  ASSERT_EQ(decoded.request.inputs.size(), 2U);
  EXPECT_EQ(values_of<std::uint32_t>(decoded.request.inputs[0].bytes),
            (std::vector<std::uint32_t>{1, 2, 3, 4}));
  EXPECT_EQ(values_of<std::uint8_t>(decoded.request.inputs[1].bytes),
            (std::vector<std::uint8_t>{1, 0}));
  EXPECT_EQ(decoded.request.outputs, std::vector<std::size_t>{0});
}

TEST(V2Response, AnswersTheExampleOfTheSpecification) {
  const Decoded decoded(example_model(), kExample);
  Response response;
  write_v2_response(decoded.request, decoded.exchange, echo(decoded.request), response);
  EXPECT_EQ(Json::parse(response.body), Json::parse(R"({
    "model_name":"m", "model_version":"1", "id":"42",
    "outputs":[{"name":"input0_out","shape":[2,2],"datatype":"UINT32","data":[1,2,3,4]}]})"));
  EXPECT_TRUE(response.tail.empty());
}

// After the example of the binary tensor data extension.
TEST(V2Request, ReadsBinaryTensorsWhereTheyLie) {
  const std::string json = R"({"inputs":[
    {"name":"input0","shape":[2,2],"datatype":"UINT32","parameters":{"binary_data_size":16}},
    {"name":"input1","shape":[2],"datatype":"BOOL","parameters":{"binary_data_size":2}}],
    "outputs":[{"name":"input0_out","parameters":{"binary_data":true}},{"name":"input1_out"}]})";
  const std::string bytes("\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\1\0", 18);
  const Decoded decoded(example_model(), json + bytes, json.size());
  ASSERT_EQ(decoded.message(), "");
  EXPECT_EQ(decoded.request.inputs[0].bytes.data(), decoded.body.span().data() + json.size());
  EXPECT_EQ(decoded.request.inputs[1].bytes.size(), 2U);
  Response response;
  write_v2_response(decoded.request, decoded.exchange, echo(decoded.request), response);
  EXPECT_EQ(response.fields,
            "Inference-Header-Content-Length: " + std::to_string(response.body.size()) + "\r\n");
  const Json answer = Json::parse(response.body);
  EXPECT_EQ(answer["outputs"][0]["parameters"]["binary_data_size"], 16);
  EXPECT_FALSE(answer["outputs"][0].contains("data"));
  EXPECT_EQ(answer["outputs"][1]["data"], Json::parse("[true,false]"));
  ASSERT_EQ(response.tail.size(), 1U);
  EXPECT_EQ(response.tail[0].data(), decoded.request.inputs[0].bytes.data());
}

TEST(V2Request, FieldsComeInAnyOrder) {
  const Decoded decoded(float_model(), R"({"outputs":[{"parameters":{"other":[1]},"name":"x_out"}],
      "inputs":[{"data":[[1,2.5,-3,4e1]],"extra":{"a":[1,"]"]},"datatype":"FP32","shape":[1,4],
      "name":"x"}],"parameters":{"binary_data_output":true,"timeout":1500,"priority":2}})");
  ASSERT_EQ(decoded.message(), "");
  EXPECT_EQ(values_of<float>(decoded.request.inputs[0].bytes),
            (std::vector<float>{1, 2.5, -3, 40}));
  EXPECT_EQ(decoded.request.timeout_us, 1500);
  EXPECT_EQ(decoded.request.priority, 2);
  EXPECT_EQ(decoded.exchange.binary, std::vector<std::uint8_t>{1});
}

TEST(V2Request, RawBodiesAreTheOneInput) {
  const std::string bytes(32, '\1');
  const Decoded decoded(float_model(), bytes, 0);
  ASSERT_EQ(decoded.message(), "");
  EXPECT_EQ(decoded.request.rows, 2);
  EXPECT_EQ(decoded.request.inputs[0].bytes.data(), decoded.body.span().data());
  EXPECT_TRUE(decoded.exchange.binary_default);
  EXPECT_EQ(Decoded(float_model(), bytes.substr(1), 0).status(), Status::kInvalid);
  EXPECT_EQ(Decoded(float_model(), "", 0).status(), Status::kInvalid);
  EXPECT_EQ(Decoded(example_model(), bytes, 0).status(), Status::kInvalid);
}

struct WrongBody {
  const char* body;
  const char* named;  // must be in the message
};

TEST(V2Request, WrongBodiesAreRefusedWithWhatIsWrong) {
  const std::string start = R"({"inputs":[{"name":"x","shape":)";
  const WrongBody wrong[] = {
      {"", ""},
      {"{", ""},
      {"[]", ""},
      {"{}", ""},
      {"\xFF\xFE", ""},
      {R"({"inputs":[]})", ""},
      {R"({"inputs":[{"name":"z","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}]})", "'z'"},
      {R"({"inputs":[{"name":"x","shape":[1,4],"datatype":"FP64","data":[1,2,3,4]}]})", "FP64"},
      {R"({"inputs":[{"name":"x","shape":[1,4],"datatype":"BYTES","data":["a"]}]})", "BYTES"},
      {R"({"inputs":[{"name":"x","shape":[4],"datatype":"FP32","data":[1,2,3,4]}]})", "[4]"},
      {R"({"inputs":[{"name":"x","shape":[0,4],"datatype":"FP32","data":[]}]})", "[0, 4]"},
      {R"({"inputs":[{"name":"x","shape":[-1,4],"datatype":"FP32","data":[]}]})", "-1"},
      {R"({"inputs":[{"name":"x","shape":[1.5,4],"datatype":"FP32","data":[]}]})", ""},
      {R"({"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2,3]}]})", "4"},
      {R"({"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32"}]})", "no data"},
      {R"({"inputs":[{"name":"x","datatype":"FP32","data":[1,2,3,4]}]})", "no shape"},
      {R"({"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2,NaN,4]}]})", "NaN"},
      {R"({"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2,null,4]}]})", "null"},
      {R"({"inputs":[{"name":"x","shape":[999,4],"datatype":"FP32","data":[1,2,3,4]}]})", "3996"},
      {R"({"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]}]} x)", "end"},
  };
  for (const WrongBody& each : wrong) {
    const Decoded decoded(float_model(), each.body);
    EXPECT_EQ(decoded.status(), Status::kInvalid) << each.body;
    EXPECT_NE(decoded.message().find(each.named), std::string::npos) << decoded.message();
  }
}

TEST(V2Request, HugeDeclarationsCostNothing) {
  const auto with_shape = [](const std::string& shape) {
    return Decoded(float_model(), R"({"inputs":[{"name":"x","shape":)" + shape +
                                      R"(,"datatype":"FP32","data":[1]}]})")
        .status();
  };
  EXPECT_EQ(with_shape("[1001,4]"), Status::kTooLarge);
  EXPECT_EQ(with_shape("[9223372036854775807,4]"), Status::kTooLarge);
  EXPECT_EQ(with_shape("[92233720368547758080,4]"), Status::kInvalid);
  EXPECT_EQ(with_shape("[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]"), Status::kInvalid);
}

TEST(V2Request, InputsAreGivenOnceAndAll) {
  const std::string x = R"({"name":"x","shape":[1,4],"datatype":"FP32","data":[1,2,3,4]})";
  EXPECT_EQ(Decoded(float_model(), R"({"inputs":[)" + x + "," + x + "]}").status(),
            Status::kInvalid);
  EXPECT_EQ(Decoded(example_model(), R"({"inputs":[{"name":"input1","shape":[1],
                                        "datatype":"BOOL","data":[true]}]})")
                .status(),
            Status::kInvalid);
  EXPECT_EQ(Decoded(example_model(), R"({"inputs":[
      {"name":"input1","shape":[1],"datatype":"BOOL","data":[true]},
      {"name":"input0","shape":[2,2],"datatype":"UINT32","data":[1,2,3,4]}]})")
                .status(),
            Status::kInvalid);
}

TEST(V2Request, BinarySizesMustFit) {
  const auto with = [](const std::string& parameters, std::size_t bytes) {
    const std::string json = x_input(R"("parameters":{)" + parameters + "}");
    return Decoded(float_model(), json + std::string(bytes, '\0'), json.size()).status();
  };
  EXPECT_EQ(with(R"("binary_data_size":16)", 16), Status::kOk);
  EXPECT_EQ(with(R"("binary_data_size":16)", 15), Status::kInvalid);
  EXPECT_EQ(with(R"("binary_data_size":16)", 17), Status::kInvalid);
  EXPECT_EQ(with(R"("binary_data_size":15)", 15), Status::kInvalid);
  EXPECT_EQ(with(R"("binary_data_size":-16)", 16), Status::kInvalid);
  EXPECT_EQ(with(R"("binary_data_size":18446744073709551615)", 16), Status::kInvalid);
  const std::string json = x_input(R"("parameters":{"binary_data_size":16})");
  EXPECT_EQ(Decoded(float_model(), json, json.size() + 1).status(), Status::kInvalid);
  EXPECT_EQ(Decoded(float_model(), json, UINT64_MAX).status(), Status::kInvalid);
}

TEST(V2Request, WhatIsNotDoneIsRefusedClearly) {
  const std::string data = R"("data":[1,2,3,4])";
  const auto message = [&](const std::string& body) {
    return Decoded(float_model(), body).message();
  };
  EXPECT_NE(message(x_input(R"("parameters":{"shared_memory_region":"r"})")).find("shared memory"),
            std::string::npos);
  const std::string inputs =
      R"({"inputs":[{"name":"x","shape":[1,4],"datatype":"FP32",)" + data + "}],";
  EXPECT_NE(message(inputs + R"("outputs":[{"name":"x_out","parameters":{"classification":3}}]})")
                .find("classification"),
            std::string::npos);
  EXPECT_NE(message(inputs + R"("parameters":{"sequence_id":7}})").find("sequence"),
            std::string::npos);
  EXPECT_NE(message(inputs + R"("outputs":[{"name":"none"}]})").find("none"), std::string::npos);
  EXPECT_NE(message(inputs + R"("outputs":[{"name":"x_out"},{"name":"x_out"}]})").find("twice"),
            std::string::npos);
}

// The request is used again: nothing of the one before may stay.
TEST(V2Request, NothingStaysOfTheRequestBefore) {
  Decoded decoded(example_model(), kExample);
  const PaddedBody second(R"({"inputs":[
      {"name":"input1","shape":[1],"datatype":"BOOL","data":[true]},
      {"name":"input0","shape":[1,2],"datatype":"UINT32","data":[7,8]}]})");
  ASSERT_FALSE(read_v2_request(second.span(), std::nullopt, decoded.request, decoded.exchange));
  EXPECT_EQ(decoded.request.rows, 1);
  EXPECT_EQ(decoded.request.id, "");
  EXPECT_TRUE(decoded.request.outputs.empty());
  EXPECT_EQ(decoded.request.inputs[0].input, 1U);
}

}  // namespace
}  // namespace batchwise::serve
