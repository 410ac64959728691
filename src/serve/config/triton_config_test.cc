// SPDX-License-Identifier: Apache-2.0
#include "serve/config/triton_config.h"

#include <gtest/gtest.h>

#include "batchwise/error.h"

namespace batchwise::serve {
namespace {

// As the examples of Triton's documentation are written.
constexpr const char* kTypical = R"(
name: "digits"
backend: "onnxruntime"
max_batch_size: 64
input [
  {
    name: "x"
    data_type: TYPE_FP32
    dims: [ 1, 28, 28 ]
  }
]
output [ { name: "y" data_type: TYPE_FP32 dims: [ 10 ] label_filename: "labels.txt" } ]
instance_group [ { count: 2 kind: KIND_CPU } ]
dynamic_batching {
  preferred_batch_size: [ 4, 8 ]
  max_queue_delay_microseconds: 100
  default_queue_policy { timeout_action: DELAY default_timeout_microseconds: 5000 max_queue_size: 16 }
}
optimization { execution_accelerators { cpu_execution_accelerator : [ { name : "openvino" } ] } }
parameters { key: "intra_op_thread_count" value: { string_value: "4" } }
version_policy: { specific { versions: [ 1, 3 ] } }
)";

std::string refusal(const std::string& text) {
  try {
    parse_model_config(text, "config.pbtxt");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidInput);
    return error.what();
  }
  return "";
}

TEST(ModelConfig, ReadsWhatMeansSomethingHere) {
  const ModelConfig config = parse_model_config(kTypical, "config.pbtxt");
  EXPECT_EQ(config.name, "digits");
  EXPECT_EQ(config.max_batch_rows, 64);
  ASSERT_EQ(config.inputs.size(), 1u);
  EXPECT_EQ(config.inputs[0].name, "x");
  EXPECT_EQ(config.inputs[0].dtype, DType::kFloat32);
  EXPECT_EQ(config.inputs[0].dims, (std::vector<std::int64_t>{1, 28, 28}));
  ASSERT_EQ(config.outputs.size(), 1u);
  EXPECT_EQ(config.outputs[0].dims, std::vector<std::int64_t>{10});
  EXPECT_EQ(config.instances, 2);
  ASSERT_TRUE(config.batching.has_value());
  EXPECT_EQ(config.batching->preferred_rows, (std::vector<std::int64_t>{4, 8}));
  EXPECT_EQ(config.batching->max_queue_delay_us, 100);
  EXPECT_EQ(config.batching->queue_timeout_us, 5000);
  EXPECT_TRUE(config.batching->delay_at_timeout);
  EXPECT_EQ(config.batching->max_queue_requests, 16);
  EXPECT_EQ(config.versions.specific, (std::vector<std::int64_t>{1, 3}));
  EXPECT_EQ(config.model_file, "model.onnx");
}

TEST(ModelConfig, SaysWhatItPassesOver) {
  const ModelConfig config = parse_model_config(kTypical, "config.pbtxt");
  ASSERT_EQ(config.ignored.size(), 3u);
  EXPECT_EQ(config.ignored[0].substr(0, 15), "label_filename:");
  EXPECT_EQ(config.ignored[1].substr(0, 13), "optimization:");
  EXPECT_EQ(config.ignored[2].substr(0, 11), "parameters:");
}

TEST(ModelConfig, TellsNotStatedFromZero) {
  EXPECT_FALSE(parse_model_config("", "c").max_batch_rows.has_value());
  EXPECT_EQ(parse_model_config("max_batch_size: 0", "c").max_batch_rows, 0);
  EXPECT_FALSE(parse_model_config("", "c").batching.has_value());
  EXPECT_TRUE(parse_model_config("dynamic_batching { }", "c").batching.has_value());
}

TEST(ModelConfig, ReadsVersionPolicies) {
  EXPECT_EQ(parse_model_config("", "c").versions.latest, 1);
  EXPECT_TRUE(parse_model_config("version_policy: { all {} }", "c").versions.all);
  EXPECT_EQ(
      parse_model_config("version_policy: { latest { num_versions: 2 } }", "c").versions.latest, 2);
}

TEST(ModelConfig, RefusesWhatWouldChangeResults) {
  for (const char* text :
       {"platform: \"tensorrt_plan\"", "backend: \"python\"", "sequence_batching { }",
        "ensemble_scheduling { step [ ] }", "batch_input [ ]", "batch_output [ ]",
        "model_operations { op_library_filename: \"a.so\" }",
        "model_transaction_policy { decoupled: true }",
        "input { name: \"x\" reshape: { shape: [ 4 ] } }",
        "input { name: \"x\" allow_ragged_batch: true }", "input { name: \"x\" optional: true }",
        "output { name: \"y\" is_shape_tensor: true }", "max_batch_size: -1",
        "max_batch_size: 4 dynamic_batching { preferred_batch_size: 8 }",
        "instance_group { count: 0 }", "default_model_filename: \"../m.onnx\""}) {
    EXPECT_NE(refusal(text), "") << text;
  }
}

TEST(ModelConfig, NamesFileLineAndFieldOfAFault) {
  EXPECT_EQ(refusal("name: \"a\"\nmax_bach_size: 4\n").substr(0, 15), "[config.pbtxt:2");
  EXPECT_NE(refusal("name: \"a\"\nmax_bach_size: 4\n").find("max_bach_size"), std::string::npos);
  EXPECT_EQ(refusal("name: \"a\"\n\ninput {").substr(0, 15), "[config.pbtxt:3");
}

TEST(ModelConfig, RefusesHugeAndDeepTexts) {
  EXPECT_NE(refusal(std::string(2 << 20, ' ')), "");
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "optimization { a {";
  EXPECT_NE(refusal(deep), "");
}

}  // namespace
}  // namespace batchwise::serve
