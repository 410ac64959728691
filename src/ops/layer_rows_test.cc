// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "batchwise/error.h"
#include "ops/builder.h"
#include "ops/window.h"

namespace batchwise {
namespace {

using Ints = std::vector<std::int64_t>;

// A graph of one node on inputs of these shapes.
struct OneNode {
  Graph graph;
  std::vector<ValueId> outputs;

  OneNode(const std::string& op, const std::vector<Shape>& shapes,
          const Attributes& attributes = {}, const std::vector<BatchAxis>& batch = {},
          int num_outputs = 1) {
    std::vector<ValueId> inputs;
    for (std::size_t i = 0; i < shapes.size(); ++i) {
      inputs.push_back(graph.add_input(fmt::format("x{}", i), {DType::kFloat32, shapes[i]},
                                       i < batch.size() ? batch[i] : BatchAxis{}));
    }
    outputs = GraphBuilder(graph).ops(op, inputs, attributes, num_outputs);
  }
  const Shape& shape(std::size_t o = 0) const { return graph.shape(outputs[o]); }
};

Shape infer(const std::string& op, const std::vector<Shape>& shapes,
            const Attributes& attributes = {}) {
  return OneNode(op, shapes, attributes).shape();
}

// The batch axis of the output; axis -2 where samples are mixed.
BatchAxis carried(const std::string& op, const std::vector<Shape>& shapes,
                  const std::vector<BatchAxis>& batch, const Attributes& attributes = {}) {
  OneNode node(op, shapes, attributes, batch);
  const std::string mixes = carry_batch(node.graph);
  return mixes.empty() ? node.graph.value(node.outputs[0]).batch : BatchAxis{-2, 1};
}

std::string error_of(const std::string& op, const std::vector<Shape>& shapes,
                     const Attributes& attributes = {}) {
  try {
    infer(op, shapes, attributes);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidInput);
    return error.what();
  }
  return "";
}

constexpr BatchAxis kNone{};
constexpr BatchAxis kFirst{0, 1};
constexpr BatchAxis kMixed{-2, 1};

TEST(Gemm, InfersShapes) {
  EXPECT_EQ(infer("Gemm", {{3, 5}, {5, 4}}), (Shape{3, 4}));
  EXPECT_EQ(infer("Gemm", {{5, 3}, {4, 5}, {1, 4}}, {{"transA", 1L}, {"transB", 1L}}),
            (Shape{3, 4}));
  EXPECT_NE(error_of("Gemm", {{3, 5}, {4, 5}}).find("inner sizes 5 and 4"), std::string::npos);
  EXPECT_NE(error_of("Gemm", {{3, 5}, {5, 4}, {3}}).find("does not broadcast"), std::string::npos);
  EXPECT_NE(error_of("Gemm", {{3, 5}, {5, 4}, {4}, {3, 4}}), "") << "a fourth input is not ONNX's";
}

TEST(Gemm, CarriesRowsOnly) {
  const std::vector<Shape> shapes{{6, 6}, {6, 6}, {6}};
  EXPECT_EQ(carried("Gemm", shapes, {kFirst, kNone, kNone}), kFirst);
  EXPECT_EQ(carried("Gemm", shapes, {{0, 3}, kNone, kNone}), (BatchAxis{0, 3}));
  EXPECT_EQ(carried("Gemm", shapes, {{1, 1}, kNone, kNone}), kMixed);
  EXPECT_EQ(carried("Gemm", shapes, {kFirst, kNone, kNone}, {{"transA", 1L}}), kMixed);
  EXPECT_EQ(carried("Gemm", shapes, {{1, 1}, kNone, kNone}, {{"transA", 1L}}), kFirst);
  EXPECT_EQ(carried("Gemm", shapes, {kFirst, kFirst, kNone}), kMixed);
  EXPECT_EQ(carried("Gemm", {{6, 6}, {6, 6}, {6, 6}}, {kFirst, kNone, kNone}), kMixed)
      << "C would have a fixed row for each sample";
  EXPECT_EQ(carried("Gemm", {{6, 6}, {6, 6}, {6, 6}}, {kFirst, kNone, kFirst}), kFirst);
}

TEST(MatMul, InfersAsNumPy) {
  EXPECT_EQ(infer("MatMul", {{2, 1, 3, 5}, {6, 5, 4}}), (Shape{2, 6, 3, 4}));
  EXPECT_EQ(infer("MatMul", {{5}, {6, 5, 4}}), (Shape{6, 4}));
  EXPECT_EQ(infer("MatMul", {{6, 3, 5}, {5}}), (Shape{6, 3}));
  EXPECT_EQ(infer("MatMul", {{5}, {5}}), Shape());
  EXPECT_NE(error_of("MatMul", {{2, 3, 5}, {3, 5, 4}}).find("do not broadcast"), std::string::npos);
}

TEST(MatMul, CarriesLeadingAxes) {
  EXPECT_EQ(carried("MatMul", {{2, 3, 5}, {5, 4}}, {kFirst, kNone}), kFirst);
  EXPECT_EQ(carried("MatMul", {{2, 3, 5}, {2, 5, 4}}, {kFirst, kFirst}), kFirst);
  EXPECT_EQ(carried("MatMul", {{2, 3, 5}, {2, 5, 4}}, {kFirst, kNone}), kMixed);
  EXPECT_EQ(carried("MatMul", {{2, 3, 5}, {1, 5, 4}}, {kFirst, kNone}), kFirst);
  EXPECT_EQ(carried("MatMul", {{3, 5}, {2, 5, 4}}, {kNone, kFirst}), kFirst);
  EXPECT_EQ(carried("MatMul", {{2, 5}, {5, 4}}, {{1, 1}, kNone}), kMixed);
  EXPECT_EQ(carried("MatMul", {{2, 5}, {5, 4}}, {kNone, {1, 1}}), (BatchAxis{1, 1}));
  EXPECT_EQ(carried("MatMul", {{2, 5}, {3, 5, 4}}, {kFirst, kNone}), (BatchAxis{1, 1}));
  EXPECT_EQ(carried("MatMul", {{5}, {5, 4}}, {kFirst, kNone}), kMixed);
}

struct WindowCase {
  const char* auto_pad;
  std::int64_t in, kernel, stride, dilation;
  std::int64_t out, pad_begin, pad_end;
};

// Sizes and pads by the formulas of the ONNX specification of Conv, worked by hand.
TEST(Window, ResolvesAutoPad) {
  const WindowCase cases[] = {
      {"SAME_UPPER", 5, 2, 2, 1, 3, 0, 1}, {"SAME_LOWER", 5, 2, 2, 1, 3, 1, 0},
      {"SAME_UPPER", 7, 3, 1, 2, 7, 2, 2}, {"SAME_UPPER", 4, 1, 2, 1, 2, 0, 0},
      {"VALID", 7, 3, 2, 1, 3, 0, 0},      {"NOTSET", 7, 3, 2, 2, 2, 0, 0},
  };
  for (const WindowCase& c : cases) {
    OneNode node("Conv", {{1, 1, c.in}, {1, 1, c.kernel}},
                 {{"auto_pad", std::string(c.auto_pad)},
                  {"strides", Ints{c.stride}},
                  {"dilations", Ints{c.dilation}}});
    const ConvGeometry geometry = conv_geometry(NodeView(node.graph, node.graph.nodes[0]));
    EXPECT_EQ(geometry.out, Ints{c.out}) << c.auto_pad << c.in;
    EXPECT_EQ(geometry.pad_begin, Ints{c.pad_begin}) << c.auto_pad << c.in;
    EXPECT_EQ(geometry.pad_end, Ints{c.pad_end}) << c.auto_pad << c.in;
  }
}

TEST(Conv, InfersShapesAndRefusesMisfits) {
  // The example of the ONNX specification: 7x5, 3x3, stride 2.
  const Attributes padded{{"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}};
  EXPECT_EQ(infer("Conv", {{1, 1, 7, 5}, {1, 1, 3, 3}}, padded), (Shape{1, 1, 4, 3}));
  const Attributes asymmetric{{"strides", Ints{2, 2}}, {"pads", Ints{1, 0, 1, 0}}};
  EXPECT_EQ(infer("Conv", {{1, 1, 7, 5}, {1, 1, 3, 3}}, asymmetric), (Shape{1, 1, 4, 2}));
  EXPECT_EQ(infer("Conv", {{2, 4, 9}, {6, 2, 3}, {6}}, {{"group", 2L}}), (Shape{2, 6, 7}));
  EXPECT_NE(error_of("Conv", {{1, 3, 7, 5}, {1, 1, 3, 3}}).find("3 input channels"),
            std::string::npos);
  EXPECT_NE(error_of("Conv", {{1, 1, 2, 2}, {1, 1, 3, 3}}).find("does not fit"), std::string::npos);
  EXPECT_NE(error_of("Conv", {{1, 1, 7, 5}, {1, 1, 3, 3}}, {{"strides", Ints{0, 1}}}), "");
  EXPECT_NE(error_of("Conv", {{1, 1, 7, 5}, {1, 1, 3, 3}}, {{"pads", Ints{1, 1}}}), "");
  EXPECT_NE(error_of("Conv", {{1, 1, 7, 5}, {1, 1, 3, 3}}, {{"group", 0L}}), "");
  EXPECT_NE(error_of("Conv", {{1, 1, 7, 5}, {1, 1, 3, 3}}, {{"kernel_shape", Ints{2, 2}}}), "");
  EXPECT_NE(error_of("Conv", {{1, 1, 7, 5, 3}, {1, 1, 3, 3, 3}}).find("3-d"), std::string::npos);
}

TEST(Conv, CarriesAxisZeroOnly) {
  const std::vector<Shape> shapes{{2, 4, 9}, {6, 4, 3}};
  EXPECT_EQ(carried("Conv", shapes, {{0, 2}, kNone}), (BatchAxis{0, 2}));
  EXPECT_EQ(carried("Conv", shapes, {{1, 1}, kNone}), kMixed);
  EXPECT_EQ(carried("Conv", shapes, {kFirst, kFirst}), kMixed);
  EXPECT_EQ(carried("ConvGradWeight", {{2, 4, 9}, {2, 6, 7}}, {kFirst, kFirst},
                    {{"kernel_shape", Ints{3}}}),
            kMixed);
}

TEST(ConvGradients, InferShapesOfInputAndWeights) {
  const Attributes attributes{{"kernel_shape", Ints{3, 2}},
                              {"strides", Ints{2, 1}},
                              {"group", 2L},
                              {"input_spatial", Ints{8, 6}}};
  EXPECT_EQ(infer("ConvGradInput", {{5, 6, 3, 5}, {6, 2, 3, 2}}, attributes), (Shape{5, 4, 8, 6}));
  Attributes of_weight = attributes;
  of_weight.erase("input_spatial");
  EXPECT_EQ(infer("ConvGradWeight", {{5, 4, 8, 6}, {5, 6, 3, 5}}, of_weight), (Shape{6, 2, 3, 2}));
  EXPECT_NE(error_of("ConvGradWeight", {{5, 4, 8, 6}, {5, 6, 3, 6}}, of_weight), "");
}

TEST(Pool, InfersCeilMode) {
  const std::vector<Shape> x{{1, 1, 4, 4}};
  Attributes attributes{{"kernel_shape", Ints{3, 3}}, {"strides", Ints{2, 2}}};
  EXPECT_EQ(infer("MaxPool", x, attributes), (Shape{1, 1, 1, 1}));
  attributes.set("ceil_mode", std::int64_t{1});
  EXPECT_EQ(infer("MaxPool", x, attributes), (Shape{1, 1, 2, 2}));
  // The third window would begin in the padding.
  EXPECT_EQ(infer("AveragePool", {{1, 1, 2}},
                  {{"kernel_shape", Ints{1}}, {"strides", Ints{2}}, {"ceil_mode", 1L}}),
            (Shape{1, 1, 1}));
  EXPECT_NE(error_of("MaxPool", x, {{"kernel_shape", Ints{2, 2}}, {"pads", Ints{2, 0, 0, 0}}}), "");
  EXPECT_EQ(carried("MaxPool", x, {kFirst}, attributes), kFirst);
  EXPECT_EQ(carried("GlobalAveragePool", x, {{2, 1}}), kMixed);
}

TEST(Softmax, MixesAlongItsAxisOnly) {
  EXPECT_EQ(carried("Softmax", {{2, 3}}, {kFirst}), kFirst);
  EXPECT_EQ(carried("Softmax", {{2, 3}}, {kFirst}, {{"axis", 0L}}), kMixed);
  EXPECT_EQ(carried("Softmax", {{2, 3}}, {{1, 1}}, {{"axis", -2L}}), (BatchAxis{1, 1}));
  EXPECT_NE(error_of("Softmax", {{2, 3}}, {{"axis", 2L}}).find("out of range"), std::string::npos);
}

TEST(Normalization, InfersStatistics) {
  OneNode layer("LayerNormalization", {{2, 3, 4}, {3, 4}}, {{"axis", -2L}}, {}, 3);
  EXPECT_EQ(layer.shape(0), (Shape{2, 3, 4}));
  EXPECT_EQ(layer.shape(2), (Shape{2, 1, 1}));
  const std::vector<Shape> shapes{{7, 4, 2, 2}, {4}, {4}, {4}, {4}};
  EXPECT_EQ(OneNode("BatchNormalizationTraining", shapes, {{"group", 3L}}, {}, 5).shape(1),
            (Shape{2, 4}));
  EXPECT_EQ(OneNode("BatchNormalizationTraining", shapes, {{"group", 9L}}, {}, 5).shape(1),
            (Shape{1, 4}));
  EXPECT_NE(error_of("BatchNormalization", {{7, 4}, {4}, {4}, {4}, {3}}), "");
}

TEST(Normalization, TrainingMixesSamplesAndInferenceDoesNot) {
  const std::vector<Shape> shapes{{7, 4, 2, 2}, {4}, {4}, {4}, {4}};
  const std::vector<BatchAxis> batch{kFirst, kNone, kNone, kNone, kNone};
  EXPECT_EQ(carried("BatchNormalization", shapes, batch), kFirst);
  EXPECT_EQ(carried("BatchNormalizationTraining", shapes, batch), kMixed);
  EXPECT_EQ(carried("LayerNormalization", {{2, 3}, {3}}, {kFirst, kNone}), kFirst);
  EXPECT_EQ(carried("LayerNormalization", {{2, 3}, {3}}, {{1, 1}, kNone}), kMixed);
  EXPECT_EQ(carried("LRN", {{2, 3, 1}}, {kFirst}, {{"size", 3L}}), kFirst);
}

TEST(Loss, IsOfEachSample) {
  EXPECT_EQ(infer("MeanSquaredError", {{5, 2, 3}, {5, 2, 3}}), (Shape{5}));
  EXPECT_EQ(carried("MeanSquaredError", {{5, 2}, {5, 2}}, {kFirst, kFirst}), kFirst);
  EXPECT_EQ(carried("MeanSquaredError", {{5, 2}, {5, 2}}, {kFirst, kNone}), kMixed);
  EXPECT_NE(error_of("CrossEntropy", {{5, 2}, {5}}).find("labels are float32"), std::string::npos);
}

TEST(LayerRows, CountFlops) {
  const auto flops = [](const OneNode& node) {
    return node_flops(node.graph, node.graph.nodes[0]);
  };
  EXPECT_EQ(flops(OneNode("Gemm", {{3, 5}, {5, 4}})), 2.0 * 3 * 5 * 4);
  EXPECT_EQ(flops(OneNode("MatMul", {{2, 3, 5}, {5, 4}})), 2.0 * 2 * 3 * 5 * 4);
  EXPECT_EQ(flops(OneNode("MatMulGradWeight", {{2, 3, 5}, {2, 3, 4}})), 2.0 * 6 * 5 * 4);
  EXPECT_EQ(flops(OneNode("Conv", {{2, 4, 9}, {6, 2, 3}}, {{"group", 2L}})), 2.0 * 2 * 6 * 7 * 6);
}

}  // namespace
}  // namespace batchwise
