// SPDX-License-Identifier: Apache-2.0
#include "serve/configured_model.h"

#include <gtest/gtest.h>

#include <fstream>

#include "batchwise/error.h"
#include "serve/serving_test.h"

namespace batchwise::serve {
namespace {

// A repository with one model m, 8 numbers in and 4 out, and its configuration.
class ConfiguredModelTest : public testing::Test {
 protected:
  void write(const std::string& config, const std::string& file = "m/1/model.onnx") {
    write_model(folder_ / file);
    std::ofstream(folder_ / "m/config.pbtxt") << config;
  }
  std::unique_ptr<BatchingServer> serve() {
    auto server = std::make_unique<BatchingServer>(test_options());
    server->add_folder(folder_.path());
    server->wait_ready();
    return server;
  }
  std::string failure() {
    try {
      serve();
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidInput);
      return error.what();
    }
    return "";
  }
  static std::shared_ptr<const ModelInfo> find(const BatchingServer& server) {
    Refusal why;
    return server.find_model("m", "", why);
  }
  TestFolder folder_;
};

// The ports of the model that `new mlp` writes.
constexpr const char* kPorts = R"(
  input { name: "input" data_type: TYPE_FP32 dims: 8 }
  output { name: "logits" data_type: TYPE_FP32 dims: 4 }
)";

TEST_F(ConfiguredModelTest, LimitsTheBatch) {
  write(std::string("name: 'm' max_batch_size: 3") + kPorts);
  const auto server = serve();
  ASSERT_NE(find(*server), nullptr);
  EXPECT_EQ(find(*server)->max_batch_rows, 3);
  // No limit for requests: they are split.
  auto request = std::make_shared<TestRequest>(find(*server), 10, 5);
  server->infer(request);
  EXPECT_EQ(request->wait(), Status::kOk);
  EXPECT_EQ(request->results(), predicted(read_engine_model(folder_ / "m/1/model.onnx"), *request));
}

TEST_F(ConfiguredModelTest, NamesTheFileAndTheVersions) {
  write("default_model_filename: 'net.onnx' version_policy: { specific { versions: [ 1, 2 ] } }",
        "m/1/net.onnx");
  write_model(folder_ / "m/2/net.onnx", 1);
  write_model(folder_ / "m/3/net.onnx", 2);
  write_model(folder_ / "m/4/model.onnx", 3);
  const auto server = serve();
  ASSERT_NE(find(*server), nullptr);
  EXPECT_EQ(find(*server)->version, "2");
}

TEST_F(ConfiguredModelTest, HoldsTheModelToIt) {
  for (const char* config :
       {"name: 'other'", "input { name: 'z' }", "input { name: 'input' data_type: TYPE_INT8 }",
        "max_batch_size: 4 input { name: 'input' dims: [ 9 ] }",
        "max_batch_size: 4 input { name: 'input' dims: [ -1, 8 ] }",
        "input { name: 'input' dims: [ 8 ] }", "output { name: 'logits' dims: [ -1, 5 ] }",
        "sequence_batching { }", "nonsense"}) {
    write(config);
    EXPECT_NE(failure().find("config.pbtxt"), std::string::npos) << config;
  }
  for (const char* config : {"", "input { name: 'input' dims: [ -1, 8 ] }",
                             "max_batch_size: 4 input { name: 'input' dims: [ -1 ] }"}) {
    write(config);
    EXPECT_EQ(failure(), "") << config;
  }
}

}  // namespace
}  // namespace batchwise::serve
