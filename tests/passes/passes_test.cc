// SPDX-License-Identifier: Apache-2.0
#include "passes/pass.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "architectures/architecture.h"
#include "backend/reference/interpreter.h"
#include "batchwise/error.h"
#include "engine/evaluator.h"
#include "engine/model.h"
#include "ops/builder.h"

namespace batchwise {
namespace {

using testing::ElementsAre;
using Ints = std::vector<std::int64_t>;
using Floats = std::vector<float>;

const Capabilities& capabilities(bool takes) {
  static const Capabilities kAll{[](const Graph&, const Node&, const Epilogue&) { return true; }};
  static const Capabilities kNone{[](const Graph&, const Node&, const Epilogue&) { return false; }};
  return takes ? kAll : kNone;
}

bool apply(PassFunction pass, Graph& graph, bool takes_epilogues = true) {
  const bool changed = pass(graph, {engine_evaluator(), capabilities(takes_epilogues)});
  verify(graph);
  verify_ops(graph);
  return changed;
}

std::vector<std::string> ops_of(const Graph& graph) {
  std::vector<std::string> ops;
  for (const Node& node : graph.nodes) {
    ops.push_back(node.op + (node.epilogue.residual_input >= 0 ? "+residual" : "") +
                  (node.epilogue.activation.empty() ? "" : "+" + node.epilogue.activation));
  }
  return ops;
}

// Values between -1 and 1 that look like noise.
Floats wave(std::int64_t count, double start) {
  Floats values;
  for (std::int64_t i = 0; i < count; ++i) {
    values.push_back(static_cast<float>(std::sin(start + 1.7 * static_cast<double>(i))));
  }
  return values;
}

Floats interpret(const Graph& graph) {
  const Shape& shape = graph.shape(graph.inputs[0]);
  const std::vector<Tensor> inputs{Tensor::from(shape, wave(shape.elements(), 0.3))};
  const Tensor output = reference::interpret(graph, inputs).at(0).materialized();
  return {output.values<float>().begin(), output.values<float>().end()};
}

void expect_near(const Floats& actual, const Floats& expected, double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    EXPECT_NEAR(actual[i], expected[i], tolerance) << "value " << i;
  }
}

// A graph under construction, with one input.
struct Net {
  Graph graph;
  GraphBuilder build{graph};
  ValueId x;

  explicit Net(const Shape& shape)
      : x(graph.add_input("x", {DType::kFloat32, shape}, BatchAxis{0, 1})) {}
  ValueId constant(const Shape& shape, double start) {
    return graph.add_constant("c", Tensor::from(shape, wave(shape.elements(), start)));
  }
  ValueId conv(ValueId in, std::int64_t channels) {
    const ValueId w = constant({channels, graph.shape(in)[1], 3, 3}, 2);
    return build.op("Conv", {in, w}, {{"pads", Ints{1, 1, 1, 1}}});
  }
  ValueId norm(ValueId in) {
    const Shape channels{graph.shape(in)[1]};
    const ValueId variance = build.op("Exp", {constant(channels, 7)});
    return build.op("BatchNormalization", {in, constant(channels, 4), constant(channels, 5),
                                           constant(channels, 6), variance});
  }
};

TEST(RemoveIdentities, DropsThemAndKeepsTheResult) {
  Net net({2, 3});
  const ValueId same = net.build.op("Identity", {net.x});
  net.graph.outputs = {net.build.op("Relu", {net.build.op("Dropout", {same})})};
  const Floats before = interpret(net.graph);
  EXPECT_TRUE(apply(remove_identities, net.graph));
  apply(remove_dead_nodes, net.graph);
  EXPECT_THAT(ops_of(net.graph), ElementsAre("Relu"));
  EXPECT_EQ(interpret(net.graph), before);
  EXPECT_FALSE(apply(remove_identities, net.graph));
}

TEST(FoldConstants, ComputesWhatIsKnown) {
  Net net({2, 3});
  const ValueId sum = net.build.op("Add", {net.constant({3}, 1), net.constant({3}, 2)});
  net.graph.outputs = {net.build.op("Mul", {net.x, net.build.op("Exp", {sum})})};
  const Floats before = interpret(net.graph);
  EXPECT_TRUE(apply(fold_constants, net.graph));
  EXPECT_THAT(ops_of(net.graph), ElementsAre("Mul"));
  EXPECT_EQ(interpret(net.graph), before);
  EXPECT_FALSE(apply(fold_constants, net.graph));
}

TEST(FoldConstants, LeavesWhatHoldsTheBatch) {
  Net net({1, 3});
  const ValueId size = net.build.op("Shape", {net.x});
  net.graph.outputs = {net.build.op("Reshape", {net.x, size})};
  apply(fold_constants, net.graph);
  EXPECT_THAT(ops_of(net.graph), ElementsAre("Shape", "Reshape"));
}

TEST(FoldBatchNorm, ScalesTheWeightsBefore) {
  Net net({1, 2, 4, 4});
  net.graph.outputs = {net.norm(net.conv(net.x, 3))};
  apply(fold_constants, net.graph);
  const Floats before = interpret(net.graph);
  EXPECT_TRUE(apply(fold_batch_norm, net.graph));
  for (const Node& node : net.graph.nodes) EXPECT_NE(node.op, "BatchNormalization");
  expect_near(interpret(net.graph), before, 1e-5);
}

TEST(FoldBatchNorm, LeavesALayerThatOthersUse) {
  Net net({1, 2, 4, 4});
  const ValueId layer = net.conv(net.x, 3);
  net.graph.outputs = {net.norm(layer), layer};
  apply(fold_constants, net.graph);
  EXPECT_FALSE(apply(fold_batch_norm, net.graph));
}

// A normalization that no layer takes in, as in a block that begins with one.
TEST(FoldScale, TakesAFactorAndAShiftAChannel) {
  Net net({2, 3, 4, 5});
  const ValueId scaled = net.build.op("Mul", {net.constant({3, 1, 1}, 1), net.norm(net.x)});
  net.graph.outputs = {net.build.op("Add", {scaled, net.constant({1, 3, 1, 1}, 2)})};
  apply(fold_constants, net.graph);
  const Floats before = interpret(net.graph);
  EXPECT_TRUE(apply(fold_scale, net.graph));
  EXPECT_THAT(ops_of(net.graph), ElementsAre("BatchNormalization"));
  expect_near(interpret(net.graph), before, 1e-5);
  EXPECT_FALSE(apply(fold_scale, net.graph));
}

TEST(FoldScale, TakesOneValueAFeature) {
  Net net({2, 3});
  net.graph.outputs = {net.build.op("Mul", {net.norm(net.x), net.constant({3}, 1)})};
  apply(fold_constants, net.graph);
  const Floats before = interpret(net.graph);
  EXPECT_TRUE(apply(fold_scale, net.graph));
  EXPECT_THAT(ops_of(net.graph), ElementsAre("BatchNormalization"));
  expect_near(interpret(net.graph), before, 1e-5);
}

TEST(FoldScale, LeavesWhatIsNotOneValueAChannel) {
  for (const Shape& operand :
       {Shape{4}, Shape{4, 1}, Shape{}, Shape{1, 1, 4, 1}, Shape{1, 1, 1, 4}, Shape{1, 4, 1, 4}}) {
    Net net({1, 4, 4, 4});  // as many channels as rows and columns
    net.graph.outputs = {net.build.op("Mul", {net.norm(net.x), net.constant(operand, 1)})};
    apply(fold_constants, net.graph);
    EXPECT_FALSE(apply(fold_scale, net.graph)) << operand.to_string();
  }
}

TEST(FoldScale, LeavesAFactorThatIsComputed) {
  Net net({2, 3});
  net.graph.outputs = {net.build.op("Mul", {net.norm(net.x), net.x})};
  apply(fold_constants, net.graph);
  EXPECT_FALSE(apply(fold_scale, net.graph));
}

TEST(FoldScale, LeavesANormalizationThatOthersUse) {
  Net net({2, 3, 4, 4});
  const ValueId norm = net.norm(net.x);
  net.graph.outputs = {net.build.op("Mul", {norm, net.constant({3, 1, 1}, 1)}), norm};
  apply(fold_constants, net.graph);
  EXPECT_FALSE(apply(fold_scale, net.graph));
}

TEST(FuseBias, TakesOneValueAChannel) {
  Net net({1, 2, 4, 4});
  net.graph.outputs = {net.build.op("Add", {net.constant({3, 1, 1}, 1), net.conv(net.x, 3)})};
  const Floats before = interpret(net.graph);
  EXPECT_TRUE(apply(fuse_bias, net.graph));
  EXPECT_THAT(ops_of(net.graph), ElementsAre("Conv"));
  expect_near(interpret(net.graph), before, 1e-5);  // the bias is added first
}

TEST(FuseBias, LeavesOneValueAColumnOfAnImage) {
  Net net({1, 2, 4, 4});  // 4 channels and 4 columns: only the shape tells them apart
  net.graph.outputs = {net.build.op("Add", {net.conv(net.x, 4), net.constant({4}, 1)})};
  EXPECT_FALSE(apply(fuse_bias, net.graph));
}

TEST(FuseBias, LeavesABiasThatWouldBeScaled) {
  Net net({2, 3});
  const ValueId w = net.constant({3, 4}, 1);
  const ValueId product = net.build.op("Gemm", {net.x, w}, {{"beta", 0.5}});
  net.graph.outputs = {net.build.op("Add", {product, net.constant({4}, 2)})};
  const Floats before = interpret(net.graph);
  apply(fuse_bias, net.graph);
  EXPECT_EQ(interpret(net.graph), before);
}

TEST(FuseEpilogues, TakesResidualAndActivation) {
  Net net({1, 3, 4, 4});
  const ValueId first = net.build.op("Relu", {net.conv(net.x, 3)});
  const ValueId sum = net.build.op("Add", {net.conv(first, 3), first});
  net.graph.outputs = {net.build.op("Relu", {sum})};
  EXPECT_TRUE(apply(fuse_epilogues, net.graph));
  EXPECT_THAT(ops_of(net.graph), ElementsAre("Conv+Relu", "Conv+residual+Relu"));
}

TEST(FuseEpilogues, AsksTheKernel) {
  Net net({1, 3, 4, 4});
  net.graph.outputs = {net.build.op("Relu", {net.conv(net.x, 3)})};
  EXPECT_FALSE(apply(fuse_epilogues, net.graph, false));
  EXPECT_THAT(ops_of(net.graph), ElementsAre("Conv", "Relu"));
}

TEST(RunPasses, SkipsWhatIsDisabledAndRefusesUnknownNames) {
  Net net({1, 3, 4, 4});
  net.graph.outputs = {net.build.op("Relu", {net.conv(net.x, 3)})};
  const PassContext context{engine_evaluator(), capabilities(true)};
  const auto records = run_passes(net.graph, context, false, {"fuse_epilogues"});
  EXPECT_EQ(records.size(), all_passes().size());
  for (const PassRecord& record : records) {
    EXPECT_EQ(record.disabled, record.name == "fuse_epilogues");
  }
  EXPECT_THAT(ops_of(net.graph), ElementsAre("Conv", "Relu"));
  EXPECT_THROW(run_passes(net.graph, context, false, {"fuse_everything"}), Error);
}

Floats run(const EngineModel& model, std::int64_t batch) {
  const auto program = model.program(batch, 1);
  const Graph& graph = program->graph();
  const Floats input = wave(graph.shape(graph.inputs[0]).elements(), 0.3);
  Floats output(static_cast<std::size_t>(graph.shape(graph.outputs[0]).elements()));
  const void* in = input.data();
  void* out = output.data();
  Workspace(program).run(std::span(&in, 1), std::span(&out, 1));
  return output;
}

TEST(RunPasses, GiveWhatTheInterpreterGives) {
  for (const char* name : {"mlp", "cnn", "resnet20"}) {
    const Graph source = make_architecture(name, {.input = {2, 8, 8}, .hidden = {9}, .seed = 3});
    const Floats expected = interpret(bind_batch(source, 3, engine_evaluator()));
    std::set<std::string> none, all;
    for (const PassDef& pass : all_passes()) all.insert(std::string(pass.name));
    for (const auto& disabled : {none, all}) {
      SCOPED_TRACE(std::string(name) + (disabled.empty() ? "" : " without passes"));
      expect_near(run(EngineModel(source, {.disabled_passes = disabled}), 3), expected, 1e-4);
    }
  }
}

TEST(RunPasses, GoldenOps) {
  const EngineModel mlp(make_architecture("mlp", {.input = {1, 4, 4}, .hidden = {9, 9}}), {});
  EXPECT_THAT(ops_of(mlp.inference()), ElementsAre("Flatten", "Gemm+Relu", "Gemm+Relu", "Gemm"));
  const EngineModel cnn(make_architecture("cnn", {.input = {1, 8, 8}}), {});
  EXPECT_THAT(ops_of(cnn.inference()), ElementsAre("Conv+Relu", "MaxPool", "Conv+Relu", "MaxPool",
                                                   "Flatten", "Gemm+Relu", "Gemm"));
}

}  // namespace
}  // namespace batchwise
