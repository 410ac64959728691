// SPDX-License-Identifier: Apache-2.0
#include "architectures/architecture.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cmath>
#include <filesystem>

#include "architectures/initial_weights.h"
#include "batchwise/error.h"
#include "engine/evaluator.h"
#include "onnx_io/onnx_io.h"
#include "ops/op.h"
#include "passes/bind_batch.h"

namespace batchwise {
namespace {

std::int64_t num_elements(const Graph& graph, bool trained_only) {
  std::int64_t count = 0;
  for (const Value& value : graph.values) {
    if (value.kind != ValueKind::kConstant) continue;
    const bool statistic = value.name.find(".mean") != std::string::npos ||
                           value.name.find(".variance") != std::string::npos;
    if (!trained_only || !statistic) count += value.constant->shape().elements();
  }
  return count;
}

int count_ops(const Graph& graph, const std::string& op) {
  int count = 0;
  for (const Node& node : graph.nodes) count += node.op == op ? 1 : 0;
  return count;
}

std::string error_of(const std::string& name, const ArchitectureOptions& options) {
  try {
    make_architecture(name, options);
  } catch (const InternalError& error) {
    ADD_FAILURE() << error.what();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Mlp, HasTheKnownParameterCount) {
  const Graph graph = make_architecture("mlp", {.input = {784}, .seed = 1});
  EXPECT_EQ(num_elements(graph, true), 669706);
  EXPECT_EQ(graph.shape(graph.inputs[0]), (Shape{1, 784}));
  EXPECT_EQ(graph.value(graph.inputs[0]).batch, (BatchAxis{0, 1}));
  EXPECT_EQ(graph.shape(graph.outputs[0]), (Shape{1, 10}));
  EXPECT_EQ(graph.value(graph.outputs[0]).name, "logits");
  EXPECT_EQ(graph.shape(graph.find("dense1.weight")), (Shape{784, 512}));
  EXPECT_EQ(count_ops(graph, "Flatten"), 0);
  verify(graph);
  verify_ops(graph);
}

TEST(Mlp, FlattensAnImage) {
  const Graph graph =
      make_architecture("mlp", {.input = {1, 28, 28}, .classes = 3, .hidden = {7}, .seed = 1});
  EXPECT_EQ(graph.nodes[0].op, "Flatten");
  EXPECT_EQ(num_elements(graph, true), 784 * 7 + 7 + 7 * 3 + 3);
  EXPECT_EQ(graph.shape(graph.inputs[0]), (Shape{1, 1, 28, 28}));
}

TEST(Mlp, WithoutHiddenLayersIsLinear) {
  const Graph graph = make_architecture("mlp", {.input = {5}, .classes = 2, .hidden = {}});
  EXPECT_EQ(graph.nodes.size(), 1u);
  EXPECT_EQ(num_elements(graph, true), 12);
}

TEST(Cnn, HasTheKnownParameterCount) {
  // 5*5*1*32 + 32, 5*5*32*64 + 64, 7*7*64*1024 + 1024, 1024*10 + 10.
  const Graph graph = make_architecture("cnn", {.input = {1, 28, 28}});
  EXPECT_EQ(num_elements(graph, true), 3274634);
  EXPECT_EQ(graph.shape(graph.find("pool2")), (Shape{1, 64, 7, 7}));
}

TEST(Cnn, TakesSmallImagesWithSmallKernels) {
  const Graph graph = make_architecture("cnn", {.input = {1, 8, 8}});
  EXPECT_EQ(graph.shape(graph.find("conv1.weight")), (Shape{32, 1, 3, 3}));
  EXPECT_EQ(graph.shape(graph.find("pool2")), (Shape{1, 64, 2, 2}));
  EXPECT_EQ(graph.shape(graph.outputs[0]), (Shape{1, 10}));
}

TEST(Resnet20, HasTheKnownSize) {
  const Graph graph = make_architecture("resnet20", {.input = {3, 32, 32}});
  // 269,722 of the paper's network and two projections with their norms.
  EXPECT_EQ(num_elements(graph, true), 269722 + 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64);
  EXPECT_EQ(count_ops(graph, "Conv"), 21);
  EXPECT_EQ(count_ops(graph, "Gemm"), 1);
  EXPECT_EQ(graph.shape(graph.find("stage3.block3.add")), (Shape{1, 64, 8, 8}));
  EXPECT_EQ(graph.shape(graph.outputs[0]), (Shape{1, 10}));
}

TEST(Architectures, BindAnyBatchWithoutMixing) {
  for (const char* name : {"mlp", "cnn", "resnet20"}) {
    Graph graph = make_architecture(name, {.input = {3, 9, 11}, .classes = 4});
    const Graph bound = bind_batch(graph, 5, engine_evaluator());
    EXPECT_EQ(bound.shape(bound.outputs[0]), (Shape{5, 4})) << name;
    EXPECT_EQ(carry_batch(graph), "") << name;
  }
}

TEST(Architectures, RefuseWhatCannotBe) {
  EXPECT_EQ(error_of("vgg", {.input = {4}}),
            "[new] there is no architecture 'vgg'; there are mlp, cnn, resnet20");
  EXPECT_NE(error_of("mlp", {}).find("wants an input shape"), std::string::npos);
  EXPECT_NE(error_of("mlp", {.input = {4, 0}}).find("input 4x0"), std::string::npos);
  EXPECT_NE(error_of("mlp", {.input = {-4}}).find("input -4"), std::string::npos);
  EXPECT_NE(error_of("mlp", {.input = {4}, .hidden = {0}}).find("hidden 0"), std::string::npos);
  EXPECT_NE(error_of("mlp", {.input = {4}, .classes = 0}).find("classes 0"), std::string::npos);
  EXPECT_NE(error_of("cnn", {.input = {784}}).find("not 784"), std::string::npos);
  EXPECT_NE(error_of("cnn", {.input = {1, 3, 28}}).find("not 1x3x28"), std::string::npos);
  EXPECT_NE(error_of("resnet20", {.input = {3, 32}}).find("not 3x32"), std::string::npos);
  EXPECT_NE(error_of("mlp", {.input = {1 << 20}, .hidden = {1 << 20}}).find("[1048576, 1048576]"),
            std::string::npos);
  EXPECT_NE(error_of("mlp", {.input = {1ll << 40, 1ll << 40}}).find("does not lie between"),
            std::string::npos);
}

TEST(HeNormal, HasItsMeanVarianceAndTails) {
  const Tensor tensor = he_normal({1000, 400}, 1000, 7, "w");
  double sum = 0, squares = 0;
  int beyond_two = 0;
  const double deviation = std::sqrt(2.0 / 1000);
  for (const float value : tensor.values<float>()) {
    sum += value;
    squares += static_cast<double>(value) * value;
    beyond_two += std::abs(value) > 2 * deviation ? 1 : 0;
  }
  // Five standard errors of each over 400,000 numbers.
  EXPECT_NEAR(sum / 400000, 0, 5 * deviation / std::sqrt(400000.0));
  EXPECT_NEAR(squares / 400000 / (deviation * deviation), 1, 5 * std::sqrt(2 / 400000.0));
  EXPECT_NEAR(beyond_two / 400000.0, 0.0455, 5 * std::sqrt(0.0455 / 400000.0));
}

TEST(HeNormal, DependsOnSeedAndNameAlone) {
  const auto values = [](std::uint64_t seed, const char* name) {
    const Tensor tensor = he_normal({3, 3}, 2, seed, name);
    return std::vector<float>(tensor.values<float>().begin(), tensor.values<float>().end());
  };
  EXPECT_EQ(values(1, "a"), values(1, "a"));
  EXPECT_NE(values(1, "a"), values(2, "a"));
  EXPECT_NE(values(1, "a"), values(1, "b"));
  // The first numbers of a longer tensor are those of a shorter one.
  const Tensor longer = he_normal({20}, 2, 1, "a");
  EXPECT_EQ(values(1, "a")[8], longer.values<float>()[8]);
}

// Computed by another implementation of Philox, FNV-1a and the polar method.
TEST(HeNormal, IsTheSameOnEveryMachine) {
  const Tensor tensor = he_normal({4}, 784, 7, "dense1.weight");
  const std::vector<float> expected{-0x1.cf298ep-7f, 0x1.e2d4e6p-7f, -0x1.fde69p-5f,
                                    -0x1.a36c5ap-4f};
  EXPECT_EQ(std::vector<float>(tensor.values<float>().begin(), tensor.values<float>().end()),
            expected);
}

TEST(Architectures, ComeBackFromAFile) {
  const auto path = std::filesystem::temp_directory_path() /
                    fmt::format("batchwise_architecture_{}.onnx", getpid());
  for (const char* name : {"mlp", "cnn", "resnet20"}) {
    const Graph made = make_architecture(name, {.input = {2, 8, 8}, .hidden = {9}, .seed = 3});
    onnx_io::write_onnx(made, path);
    const Graph read = onnx_io::read_onnx(path.string());
    EXPECT_EQ(read.nodes.size(), made.nodes.size());
    EXPECT_EQ(read.value(read.inputs[0]).batch, (BatchAxis{0, 1}));
    for (std::size_t n = 0; n < made.nodes.size(); ++n) {
      EXPECT_EQ(read.nodes[n].op, made.nodes[n].op);
      EXPECT_EQ(read.nodes[n].name, made.nodes[n].name);
      EXPECT_EQ(read.nodes[n].attributes.to_string(), made.nodes[n].attributes.to_string());
    }
    for (const Value& value : made.values) {
      const ValueId id = read.find(value.name);
      ASSERT_NE(id, kNoValue) << value.name;
      EXPECT_EQ(read.shape(id), value.type.shape) << value.name;
      if (value.kind != ValueKind::kConstant) continue;
      const Tensor same = read.value(id).constant->materialized();
      EXPECT_EQ(std::memcmp(same.data(), value.constant->data(),
                            static_cast<std::size_t>(value.constant->bytes())),
                0)
          << value.name;
    }
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace batchwise
