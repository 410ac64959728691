// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "engine/evaluator.h"
#include "engine/model.h"
#include "onnx_io/onnx_io.h"
#include "passes/bind_batch.h"

namespace batchwise {
namespace {

std::string models_folder() {
  const char* shared = std::getenv("BATCHWISE_SHARED_DIR");
  return (std::filesystem::path(shared != nullptr ? shared : "../shared") / "models").string();
}

// What ONNX's own test runner feeds its light models: 0/n, 1/n, ...
std::vector<float> ramp(std::int64_t count) {
  std::vector<float> values;
  for (std::int64_t i = 0; i < count; ++i) {
    values.push_back(static_cast<float>(static_cast<double>(i) / static_cast<double>(count)));
  }
  return values;
}

std::vector<float> run(const EngineModel& model, std::int64_t batch,
                       const std::vector<float>& input) {
  constexpr int kThreads = 2;
  const auto program = model.program(batch, kThreads);
  const Graph& graph = program->graph();
  EXPECT_EQ(static_cast<std::int64_t>(input.size()), graph.shape(graph.inputs[0]).elements());
  std::vector<float> output(static_cast<std::size_t>(graph.shape(graph.outputs[0]).elements()));
  const void* in = input.data();
  void* out = output.data();
  Workspace workspace(program);
  workspace.run(std::span(&in, 1), std::span(&out, 1));
  return output;
}

class LightModel : public testing::TestWithParam<const char*> {};

TEST_P(LightModel, GivesTheExpectedOutputAtAnyBatch) {
  const std::string base = models_folder() + "/light_" + GetParam();
  if (!std::filesystem::exists(base + ".onnx")) GTEST_SKIP() << base << ".onnx is missing";
  Graph graph = onnx_io::read_onnx(base + ".onnx");
  ASSERT_EQ(free_batch(graph, engine_evaluator()), "");
  const std::int64_t elements = graph.shape(graph.inputs[0]).elements();
  const EngineModel model(std::move(graph), {});
  ASSERT_EQ(model.mixes_samples(), "");

  const std::vector<float> first = ramp(elements);
  const std::vector<float> alone = run(model, 1, first);
  const Tensor expected = onnx_io::read_tensor(base + "_output_0.pb").materialized();
  ASSERT_EQ(expected.shape().elements(), std::ssize(alone));
  for (std::size_t i = 0; i < alone.size(); ++i) {
    const float wanted = expected.values<float>()[i];
    ASSERT_NEAR(alone[i], wanted, 1e-7 + 1e-3 * std::abs(wanted)) << "output " << i;
  }

  const std::vector<float> second(first.rbegin(), first.rend());
  const std::vector<float> second_alone = run(model, 1, second);
  std::vector<float> inputs = first;
  inputs.insert(inputs.end(), second.begin(), second.end());
  inputs.insert(inputs.end(), first.begin(), first.end());
  std::vector<float> outputs = alone;
  outputs.insert(outputs.end(), second_alone.begin(), second_alone.end());
  outputs.insert(outputs.end(), alone.begin(), alone.end());
  EXPECT_EQ(run(model, 3, inputs), outputs) << "rows must have the bits that they have alone";
}

INSTANTIATE_TEST_SUITE_P(All, LightModel,
                         testing::Values("bvlc_alexnet", "densenet121", "inception_v1",
                                         "inception_v2", "resnet50", "shufflenet", "squeezenet",
                                         "vgg19", "zfnet512"),
                         [](const auto& row) { return std::string(row.param); });

}  // namespace
}  // namespace batchwise
