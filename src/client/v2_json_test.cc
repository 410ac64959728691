// SPDX-License-Identifier: Apache-2.0
#include "client/v2_json.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "batchwise/error.h"

namespace batchwise {
namespace {

template <typename T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

InferCall call_with(DType dtype, std::span<const std::byte> bytes) {
  InferCall call;
  call.model = "m";
  call.inputs.push_back({"x\"1", dtype, {2, 2}, bytes});
  return call;
}

TEST(EncodeInferRequest, BinaryIsJsonAndThenTheTensors) {
  const std::vector<float> x{1, 2, 3, 4};
  InferCall call = call_with(DType::kFloat32, bytes_of(x));
  call.timeout_us = 1500;
  const V2Body body = encode_infer_request(call, true);
  const auto json = nlohmann::json::parse(body.bytes.substr(0, body.json_bytes));
  EXPECT_EQ(json, nlohmann::json::parse(R"({"parameters": {"timeout": 1500,
      "binary_data_output": true}, "inputs": [{"name": "x\"1", "shape": [2, 2],
      "datatype": "FP32", "parameters": {"binary_data_size": 16}}]})"));
  ASSERT_EQ(body.bytes.size(), body.json_bytes + 16);
  EXPECT_EQ(std::memcmp(body.bytes.data() + body.json_bytes, x.data(), 16), 0);
}

TEST(EncodeInferRequest, JsonNumbersComeBackWithTheirBits) {
  const std::vector<float> x{0.1F, -0.0F, std::numeric_limits<float>::denorm_min(),
                             std::numeric_limits<float>::max()};
  InferCall call = call_with(DType::kFloat32, bytes_of(x));
  call.outputs = {"a", "b"};
  const V2Body body = encode_infer_request(call, false);
  EXPECT_EQ(body.json_bytes, body.bytes.size());
  const auto json = nlohmann::json::parse(body.bytes);
  EXPECT_EQ(json["outputs"], nlohmann::json::parse(R"([{"name": "a"}, {"name": "b"}])"));
  EXPECT_FALSE(json.contains("parameters"));
  for (std::size_t i = 0; i < x.size(); ++i) {
    const auto back = json["inputs"][0]["data"][i].get<float>();
    EXPECT_EQ(std::memcmp(&back, &x[i], sizeof back), 0) << x[i];
  }
  const std::vector<std::int64_t> big{std::numeric_limits<std::int64_t>::min(), 0, 1, 2};
  const V2Body whole = encode_infer_request(call_with(DType::kInt64, bytes_of(big)), false);
  EXPECT_EQ(nlohmann::json::parse(whole.bytes)["inputs"][0]["data"][0].get<std::int64_t>(), big[0]);
}

TEST(EncodeInferRequest, RefusesWhatJsonCannotSay) {
  const std::vector<float> x{1, NAN, 3, 4};
  EXPECT_THROW(encode_infer_request(call_with(DType::kFloat32, bytes_of(x)), false), Error);
  const std::vector<std::uint16_t> halves{1, 2, 3, 4};
  EXPECT_THROW(encode_infer_request(call_with(DType::kFloat16, bytes_of(halves)), false), Error);
}

TEST(DecodeInferReply, TakesJsonFlatOrNested) {
  for (const char* const data : {"[1.5, 2, -3e2, 4]", "[[1.5, 2], [-3e2, 4]]"}) {
    const V2Outputs outputs = decode_infer_reply(
        std::string(R"({"outputs": [{"name": "y", "datatype": "FP32", "shape": [2, 2], "data": )") +
            data + "}]}",
        -1);
    ASSERT_EQ(outputs.tensors.size(), 1U);
    const std::vector<float> expected{1.5, 2, -300, 4};
    ASSERT_EQ(outputs.tensors[0].bytes.size(), 16U);
    EXPECT_EQ(std::memcmp(outputs.tensors[0].bytes.data(), expected.data(), 16), 0);
  }
}

TEST(DecodeInferReply, TakesBinaryBehindTheJson) {
  const std::string json =
      R"({"outputs": [{"name": "a", "datatype": "INT8", "shape": [1, 2],
          "parameters": {"binary_data_size": 2}}, {"name": "b", "datatype": "UINT8", "shape": [1],
          "parameters": {"binary_data_size": 1}}]})";
  const std::string body = json + "\x01\x02\x03";
  const V2Outputs outputs = decode_infer_reply(body, static_cast<std::int64_t>(json.size()));
  ASSERT_EQ(outputs.tensors.size(), 2U);
  EXPECT_EQ(outputs.tensors[0].bytes[1], std::byte{2});
  EXPECT_EQ(outputs.tensors[1].bytes[0], std::byte{3});
}

TEST(DecodeInferReply, RefusesWhatIsNone) {
  const auto refused = [](const std::string& body, std::int64_t json_bytes = -1) {
    try {
      decode_infer_reply(body, json_bytes);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kEnvironment) << body;
      return true;
    }
    return false;
  };
  const auto output = [](const std::string& rest) {
    return R"({"outputs": [{"name": "y", )" + rest + "}]}";
  };
  EXPECT_TRUE(refused("<html>"));
  EXPECT_TRUE(refused(""));
  EXPECT_TRUE(refused("[]"));
  EXPECT_TRUE(refused("{}"));
  EXPECT_TRUE(refused("{}", 3));
  EXPECT_TRUE(refused(output(R"("datatype": "FP32", "shape": [2], "data": [1])")));
  EXPECT_TRUE(refused(output(R"("datatype": "FP32", "shape": [1], "data": ["1"])")));
  EXPECT_TRUE(refused(output(R"("datatype": "INT8", "shape": [1], "data": [1000])")));
  EXPECT_TRUE(refused(output(R"("datatype": "FP99", "shape": [1], "data": [1])")));
  EXPECT_TRUE(refused(output(R"("datatype": "FP32", "shape": [-1], "data": [])")));
  EXPECT_TRUE(refused(output(R"("datatype": "FP32", "shape": [4294967296, 4294967296])")));
  EXPECT_TRUE(refused(output(R"("datatype": "FP32", "shape": [1],
      "parameters": {"binary_data_size": 4})")));
  EXPECT_TRUE(refused(output(R"("datatype": "FP32", "shape": [1])")));
  std::string deep(5000, '[');
  EXPECT_TRUE(refused(output(R"("datatype": "FP32", "shape": [1], "data": )" + deep)));
}

TEST(DecodeModelMetadata, ReadsNamesTypesAndShapes) {
  const RemoteModel model = decode_model_metadata(R"({"name": "mlp", "versions": ["1", "2"],
      "platform": "p", "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 784]}],
      "outputs": [{"name": "y", "datatype": "BYTES", "shape": [-1]}]})");
  EXPECT_EQ(model.name, "mlp");
  EXPECT_EQ(model.versions, (std::vector<std::string>{"1", "2"}));
  ASSERT_EQ(model.inputs.size(), 1U);
  EXPECT_EQ(model.inputs[0].shape, (std::vector<std::int64_t>{-1, 784}));
  EXPECT_EQ(model.inputs[0].dtype, DType::kFloat32);
  EXPECT_EQ(model.outputs[0].dtype, DType::kUndefined);
  EXPECT_THROW(decode_model_metadata("[1]"), Error);
}

TEST(DecodeStatistics, SumsTheVersionsOfAModel) {
  const std::string body = R"({"model_stats": [
      {"name": "a", "version": "1", "inference_count": 10, "execution_count": 4},
      {"name": "a", "version": "2", "inference_count": 1, "execution_count": 1},
      {"name": "b", "version": "1", "inference_count": 7, "execution_count": 7}]})";
  EXPECT_EQ(decode_statistics(body, "a", "")->inference_count, 11);
  EXPECT_EQ(decode_statistics(body, "a", "2")->execution_count, 1);
  EXPECT_FALSE(decode_statistics(body, "c", "").has_value());
  EXPECT_FALSE(decode_statistics("{}", "a", "").has_value());
}

TEST(ErrorMessage, IsOneReadableLine) {
  EXPECT_EQ(error_message(R"({"error": "no such model"})"), "no such model");
  EXPECT_EQ(error_message("first\nsecond"), "first");
  EXPECT_EQ(error_message("a\x01\xff"), "a??");
  EXPECT_LT(error_message(std::string(5000, 'x')).size(), 300U);
}

TEST(EncodePathSegment, LeavesNothingThatHasAMeaning) {
  EXPECT_EQ(encode_path_segment("mlp-1.a_b~"), "mlp-1.a_b~");
  EXPECT_EQ(encode_path_segment("a/b?c d\r\n"), "a%2Fb%3Fc%20d%0D%0A");
}

}  // namespace
}  // namespace batchwise
