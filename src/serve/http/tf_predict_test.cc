// SPDX-License-Identifier: Apache-2.0
#include "serve/http/tf_predict.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "serve/http/codec_fixture.h"

namespace batchwise::serve {
namespace {

using Json = nlohmann::json;

struct Predicted {
  explicit Predicted(std::shared_ptr<const ModelInfo> model, std::string_view text) : body(text) {
    request.model = std::move(model);
    refusal = read_tf_request(body.span(), request, exchange);
  }
  Status status() const { return refusal ? refusal->status : Status::kOk; }
  std::string answer() {
    EXPECT_FALSE(refusal) << refusal->message;
    if (refusal) return "";
    Response response;
    write_tf_response(request, exchange, echo(request), response);
    return response.body;
  }

  PaddedBody body;
  PlainRequest request;
  TfExchange exchange;
  std::optional<Refusal> refusal;
};

std::shared_ptr<const ModelInfo> scalar_model() {
  return model_of({tensor_spec("x", DType::kFloat32, {-1})});
}
std::shared_ptr<const ModelInfo> pair_model() {
  return model_of({tensor_spec("x", DType::kFloat32, {-1, 2})});
}
// The example of the documentation without its strings.
std::shared_ptr<const ModelInfo> sensor_model() {
  return model_of({tensor_spec("signal", DType::kInt64, {-1, 5}),
                   tensor_spec("sensor", DType::kFloat32, {-1, 2, 2})});
}
constexpr const char* kRows = R"({"instances":[
  {"signal":[1,2,3,4,5],"sensor":[[1,2],[3,4]]},
  {"sensor":[[4,5],[6,8]],"signal":[3,4,1,2,5]}]})";
constexpr const char* kColumns = R"({"signature_name":"serving_default","inputs":{
  "signal":[[1,2,3,4,5],[3,4,1,2,5]],"sensor":[[[1,2],[3,4]],[[4,5],[6,8]]]}})";

TEST(TfPredict, ScalarRowsOfTheDocumentation) {
  EXPECT_EQ(Json::parse(Predicted(scalar_model(), R"({"instances":[1.0,2.0,5.0]})").answer()),
            Json::parse(R"({"predictions":[1.0,2.0,5.0]})"));
}

TEST(TfPredict, SingleInputNeedsNoName) {
  EXPECT_EQ(Json::parse(Predicted(pair_model(), R"({"instances":[[0,1],[2,3]]})").answer()),
            Json::parse(R"({"predictions":[[0.0,1.0],[2.0,3.0]]})"));
  EXPECT_EQ(Json::parse(Predicted(pair_model(), R"({"instances":[{"x":[0,1]}]})").answer()),
            Json::parse(R"({"predictions":[[0.0,1.0]]})"));
  EXPECT_EQ(Json::parse(Predicted(pair_model(), R"({"inputs":[[0,1],[2,3]]})").answer()),
            Json::parse(R"({"outputs":[[0.0,1.0],[2.0,3.0]]})"));
  EXPECT_EQ(Json::parse(Predicted(pair_model(), R"({"inputs":{"x":[[0,1]]}})").answer()),
            Json::parse(R"({"outputs":[[0.0,1.0]]})"));
}

TEST(TfPredict, RowsAndColumnsAreTheSameTensors) {
  Predicted rows(sensor_model(), kRows), columns(sensor_model(), kColumns);
  ASSERT_EQ(rows.status(), Status::kOk);
  ASSERT_EQ(columns.status(), Status::kOk);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(rows.request.inputs[i].input, i);
    EXPECT_EQ(values_of<std::uint8_t>(rows.request.inputs[i].bytes),
              values_of<std::uint8_t>(columns.request.inputs[i].bytes));
  }
  EXPECT_EQ(values_of<std::int64_t>(rows.request.inputs[0].bytes),
            (std::vector<std::int64_t>{1, 2, 3, 4, 5, 3, 4, 1, 2, 5}));
  EXPECT_EQ(Json::parse(rows.answer())["predictions"][1],
            Json::parse(R"({"signal_out":[3,4,1,2,5],"sensor_out":[[4.0,5.0],[6.0,8.0]]})"));
  EXPECT_EQ(Json::parse(columns.answer())["outputs"]["sensor_out"],
            Json::parse("[[[1.0,2.0],[3.0,4.0]],[[4.0,5.0],[6.0,8.0]]]"));
}

TEST(TfPredict, NonfiniteTokensGoInAndOut) {
  EXPECT_EQ(Predicted(pair_model(), R"({"instances":[[NaN,-Infinity]]})").answer(),
            R"({"predictions":[[NaN,-Infinity]]})");
}

TEST(TfPredict, WrongBodiesAreRefused) {
  for (const char* body : {"",
                           "{",
                           "{}",
                           "[]",
                           R"({"instances":[]})",
                           R"({"instances":{}})",
                           R"({"instances":5})",
                           R"({"instances":[1,2,3]})",
                           R"({"instances":[[1,2,3]]})",
                           R"({"instances":[[1,2],[3]]})",
                           R"({"instances":[[1,2],{"x":[3,4]}]})",
                           R"({"instances":[{"x":[1,2]},[3,4]]})",
                           R"({"instances":[{"z":[1,2]}]})",
                           R"({"instances":[{}]})",
                           R"({"instances":[{},{}]})",
                           R"({"instances":[{"x":[1,2],"x":[1,2]}]})",
                           R"({"instances":[{"b64":"AAAA"}]})",
                           R"({"instances":[["a","b"]]})",
                           R"({"inputs":{}})",
                           R"({"inputs":{"z":[[1,2]]}})",
                           R"({"inputs":[]})",
                           R"({"instances":[[1,2]],"inputs":[[1,2]]})",
                           R"({"instances":[[1,2]],"signature_name":"other"})",
                           R"({"instances":[[1,null]]})",
                           R"({"instances":[[1,2]]} 1)",
                           R"({"instances":[[1,2],])"}) {
    EXPECT_EQ(Predicted(pair_model(), body).status(), Status::kInvalid) << body;
  }
}

TEST(TfPredict, B64IsRefusedByName) {
  const auto model = model_of({tensor_spec("x", DType::kFloat32, {-1, 64})});
  for (const char* body : {R"({"instances":[{"b64":"AAAA"}]})", R"({"inputs":{"b64":"AAAA"}})",
                           R"({"instances":[{"x":{"b64":"AAAA"}}]})"}) {
    const Predicted predicted(model, body);
    ASSERT_TRUE(predicted.refusal) << body;
    EXPECT_NE(predicted.refusal->message.find("b64"), std::string::npos) << body;
  }
}

// Many empty instances must not make room for the tensors that they do not have.
TEST(TfPredict, ManyEmptyInstancesCostNothing) {
  std::string body = R"({"instances":[{})";
  for (int i = 0; i < 999; ++i) body += ",{}";
  body += "]}";
  auto model = model_of({tensor_spec("x", DType::kFloat32, {-1, 1'000'000'000})});
  const Predicted predicted(model, body);
  EXPECT_EQ(predicted.status(), Status::kInvalid);
  EXPECT_TRUE(predicted.exchange.values.empty());
}

}  // namespace
}  // namespace batchwise::serve
