// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>

#include "backend/reference/one_op.h"
#include "base/check.h"

// Expected values are those of ONNX Runtime 1.31 (float32) on the same inputs, or, for ops that it
// lacks, were worked out with NumPy in float64.
namespace batchwise::reference {
namespace {

using Ints = std::vector<std::int64_t>;

// Quarters from -1.25 to 1.25 in a fixed jumble; each input of a case has a seed of its own.
template <typename T>
Tensor ramp(const Shape& shape, int seed) {
  std::vector<T> values;
  for (std::int64_t i = 0; i < shape.elements(); ++i) {
    values.push_back(static_cast<T>((i * 7 + seed * 5 + 3) % 11 - 5) / 4);
  }
  return Tensor::from(shape, values);
}

template <typename T>
Tensor absolute(const Tensor& tensor, T plus) {
  std::vector<T> values;
  for (T value : tensor.values<T>()) values.push_back(std::abs(value) + plus);
  return Tensor::from(tensor.shape(), values);
}

void expect_near(const std::vector<double>& got, const std::vector<double>& want, double tolerance,
                 const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  for (std::size_t i = 0; i < got.size(); ++i) EXPECT_NEAR(got[i], want[i], tolerance) << what << i;
}

struct LayerCase {
  const char* op;
  std::vector<Shape> shapes;
  Attributes attributes;
  std::vector<double> want;
};

template <typename T>
void check(const LayerCase& c) {
  std::vector<Tensor> inputs;
  for (std::size_t i = 0; i < c.shapes.size(); ++i) {
    inputs.push_back(ramp<T>(c.shapes[i], static_cast<int>(i)));
  }
  const OneOp run(c.op, inputs, c.attributes);
  expect_near(run.values<T>(), c.want, 2e-6, c.op + (" " + c.attributes.to_string()) + " at ");
}

void check_cases(const std::vector<LayerCase>& cases) {
  for (const LayerCase& c : cases) {
    check<float>(c);
    check<double>(c);
  }
}

TEST(ReferenceMatrix, Forward) {
  check_cases({
      {"Gemm",
       {{3, 2}, {2, 3}, {2}},
       {{"transA", 1L}, {"transB", 1L}, {"alpha", 0.5}, {"beta", 2.0}},
       {-2.34375, 2.4375, -0.9375, 2.5}},
      {"Gemm", {{2, 3}, {3, 2}, {2, 1}}, {}, {-2.8125, 0.3125, -0.8125, 1.6875}},
      {"MatMul",
       {{2, 1, 2, 3}, {2, 3, 2}},
       {},
       {-2.0625, 1.0625, -1.8125, 0.6875, 0.875, 0.5625, 0.8125, 0.5625, -1.5625, 0.3125, -1.3125,
        -0.0625, 0.75, 0.5625, 0.6875, 0.5625}},
      {"MatMul", {{3}, {2, 3, 2}}, {}, {-2.0625, 1.0625, 0.875, 0.5625}},
      {"MatMul", {{2, 2, 3}, {3}}, {}, {-1, -0.8125, -0.625, -0.4375}},
  });
}

TEST(ReferenceConvolution, Forward) {
  check_cases({
      {"Conv",
       {{1, 4, 4, 3}, {2, 2, 2, 2}, {2}},
       {{"group", 2L},
        {"pads", Ints{1, 0, 0, 1}},
        {"strides", Ints{2, 1}},
        {"dilations", Ints{1, 2}}},
       {0.875, -2.25, -0.8125, -1, 1.125, 2.25, 1.8125, 1.3125}},
      {"Conv",
       {{2, 2, 5}, {1, 2, 2}},
       {{"auto_pad", std::string("SAME_LOWER")}, {"strides", Ints{2}}},
       {0.125, 2.5, -1.125, 0.375, -1.1875, -0.6875}},
      {"Conv",
       {{2, 2, 5}, {1, 2, 2}},
       {{"auto_pad", std::string("SAME_UPPER")}, {"strides", Ints{2}}},
       {-1.1875, -0.6875, 2.3125, -0.75, 2.5, -0.25}},
  });
}

TEST(ReferencePooling, Forward) {
  check_cases({
      {"MaxPool",
       {{1, 1, 4, 5}},
       {{"kernel_shape", Ints{3, 2}}, {"strides", Ints{2, 2}}, {"ceil_mode", 1L}},
       {1.25, 1.25, 1, 1, 1.25, -0.25}},
      {"MaxPool",
       {{1, 1, 7}},
       {{"kernel_shape", Ints{2}},
        {"strides", Ints{2}},
        {"pads", Ints{1, 1}},
        {"dilations", Ints{2}}},
       {1.25, 1.25, 0, 0}},
      {"AveragePool",
       {{1, 1, 4, 4}},
       {{"kernel_shape", Ints{3, 3}},
        {"strides", Ints{2, 2}},
        {"pads", Ints{1, 1, 1, 1}},
        {"count_include_pad", 1L}},
       {0.1944444, 0.05555556, 0.1111111, -0.1111111}},
      {"AveragePool",
       {{1, 1, 4, 4}},
       {{"kernel_shape", Ints{3, 3}}, {"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}},
       {0.4375, 0.08333334, 0.1666667, -0.1111111}},
      {"GlobalAveragePool", {{1, 2, 2, 3}}, {}, {0.2083333, -0.2916667}},
  });
}

// A window that ceil_mode lets reach beyond the padding counts the padding only.
TEST(ReferencePooling, AverageCountsNothingBeyondThePadding) {
  const Tensor x = Tensor::from(Shape{1, 1, 6}, std::vector<float>{1, 2, 3, 4, 5, 6});
  Attributes attributes{{"kernel_shape", Ints{3}},
                        {"strides", Ints{2}},
                        {"pads", Ints{1, 1}},
                        {"ceil_mode", 1L},
                        {"count_include_pad", 1L}};
  expect_near(OneOp("AveragePool", {x}, attributes).values<float>(), {1, 3, 5, 3}, 1e-6, "with ");
  attributes.set("count_include_pad", std::int64_t{0});
  expect_near(OneOp("AveragePool", {x}, attributes).values<float>(), {1.5, 3, 5, 6}, 1e-6, "no ");
}

TEST(ReferencePooling, MaxGradientGoesToTheFirstOfEquals) {
  const Tensor x = Tensor::from(Shape{1, 1, 4}, std::vector<double>{2, 2, 1, 2});
  const Tensor y = Tensor::from(Shape{1, 1, 2}, std::vector<double>{2, 2});
  const Tensor dy = Tensor::from(Shape{1, 1, 2}, std::vector<double>{5, 7});
  const Attributes attributes{{"kernel_shape", Ints{3}}};
  expect_near(OneOp("MaxPoolGrad", {dy, x, y}, attributes).values<double>(), {5, 7, 0, 0}, 0, "");
}

TEST(ReferenceSoftmax, Forward) {
  const std::vector<double> columns{0.1316016, 0.7033139,  0.2786007, 0.09518319,
                                    0.5897977, 0.2015028,  0.1316016, 0.7033139,
                                    0.2786007, 0.09518319, 0.5897977, 0.2015028};
  check_cases({
      {"Softmax", {{2, 3, 2}}, {{"axis", 1L}}, columns},
      {"LogSoftmax",
       {{2, 3}},
       {{"axis", -1L}},
       {-2.182856, -0.4328555, -1.432855, -2.182856, -0.4328555, -1.432855}},
  });
}

TEST(ReferenceSoftmax, StandsLargeLogits) {
  const Tensor x = Tensor::from(Shape{1, 3}, std::vector<float>{1000, 999, -1000});
  expect_near(OneOp("Softmax", {x}).values<float>(), {0.73105858, 0.26894142, 0}, 1e-6, "");
}

TEST(ReferenceNormalization, Forward) {
  check_cases({
      {"LRN",
       {{1, 4, 1, 2}},
       {{"size", 3L}, {"alpha", 0.5}, {"beta", 0.75}, {"bias", 1.5}},
       {-0.3595702, 0.7866806, 0.1665446, -0.4720083, 0.6320093, 0, -0.6347007, 0.5287448}},
      {"LayerNormalization",
       {{2, 2, 3}, {2, 3}, {2, 3}},
       {{"axis", 1L}, {"epsilon", 0.01}},
       {-1.473265, 0.6454582, -0.07090838, -1.652357, 0.2110964, -0.6045418, -1.473265, 0.6454582,
        -0.07090835, -1.652357, 0.2110965, -0.6045418}},
  });
}

TEST(ReferenceNormalization, LayerStatistics) {
  const OneOp run("LayerNormalization", {ramp<float>({2, 2, 3}, 0), ramp<float>({2, 3}, 1)},
                  {{"axis", 1L}, {"epsilon", 0.01}}, 3);
  expect_near(run.values<float>(1), {0.2083333, -0.2916667}, 1e-6, "mean ");
  expect_near(run.values<float>(2), {1.361441, 1.361441}, 1e-6, "inv_std ");
}

TEST(ReferenceNormalization, BatchInference) {
  const std::vector<Tensor> inputs{ramp<float>({2, 2, 2}, 0), ramp<float>({2}, 1),
                                   ramp<float>({2}, 2), ramp<float>({2}, 3),
                                   absolute(ramp<float>({2}, 4), 0.5f)};
  expect_near(
      OneOp("BatchNormalization", inputs, {{"epsilon", 0.01}}).values<float>(),
      {-1.360341, -0.292244, 0.8329617, 1.055679, -0.4448293, -1.055171, 1.111359, 0.7216029}, 2e-6,
      "");
}

// Five samples in groups of two: the second group has three.
TEST(ReferenceNormalization, BatchTrainingGoesGroupByGroup) {
  const std::vector<Tensor> inputs{ramp<double>({5, 2}, 0), ramp<double>({2}, 1),
                                   ramp<double>({2}, 2), ramp<double>({2}, 3),
                                   absolute(ramp<double>({2}, 4), 0.0)};
  const OneOp run("BatchNormalizationTraining", inputs,
                  {{"epsilon", 0.01}, {"momentum", 0.8}, {"group", 2L}}, 5, {3, 4});
  expect_near(run.values<double>(0),
              {-1.4746762, 0.751240702, -0.0253237953, 1.2487593, 0.22774152, 0.949859409,
               -1.57731975, 0.724226751, -0.900421772, 1.32591384},
              1e-7, "y ");
  expect_near(run.values<double>(1), {-0.125, 0.25, -0.0833333333, -0.166666667}, 1e-8, "mean ");
  expect_near(run.values<double>(2), {2.57662651, 0.99503719, 1.20337418, 1.20337418}, 1e-7,
              "inv_std ");
  expect_near(OneOp::as_doubles<double>(run.after[0]), {0.283333333, -0.313333333}, 1e-8, "mean' ");
  expect_near(OneOp::as_doubles<double>(run.after[1]), {0.798611111, 0.776111111}, 1e-8, "var' ");
}

TEST(ReferenceLoss, CrossEntropy) {
  const Tensor labels = Tensor::from(Shape{3}, std::vector<std::int32_t>{2, 0, 3});
  expect_near(OneOp("CrossEntropy", {ramp<double>({3, 4}, 0), labels}).values<double>(),
              {1.51699973, 0.825059047, 1.70013269}, 1e-8, "");
  const Tensor positions = Tensor::from(Shape{1, 2}, std::vector<std::uint8_t>{2, 1});
  expect_near(OneOp("CrossEntropy", {ramp<double>({1, 3, 2}, 0), positions}).values<double>(),
              {1.4399638}, 1e-7, "positions ");
}

TEST(ReferenceLoss, NamesALabelOutOfRange) {
  const Tensor labels = Tensor::from(Shape{2}, Ints{1, 4});
  RunState state;
  state.first_sample = 32;
  try {
    const OneOp run("CrossEntropy", {ramp<float>({2, 4}, 0), labels}, {}, 1, {}, state);
    FAIL() << "label 4 of 4 classes was taken";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidInput);
    EXPECT_NE(std::string(error.what()).find("label 4 of sample 33"), std::string::npos)
        << error.what();
  }
}

TEST(ReferenceLoss, MeanSquaredErrorIsAMeanOverTheSample) {
  const Tensor prediction = Tensor::from(Shape{2, 2}, std::vector<float>{1, 2, 3, 4});
  const Tensor target = Tensor::from(Shape{2, 2}, std::vector<float>{0, 4, 3, 1});
  const Tensor dloss = Tensor::from(Shape{2}, std::vector<float>{1, 10});
  expect_near(OneOp("MeanSquaredError", {prediction, target}).values<float>(), {2.5, 4.5}, 0, "");
  expect_near(OneOp("MeanSquaredErrorGrad", {dloss, prediction, target}).values<float>(),
              {1, -2, 0, 30}, 0, "gradient ");
}

// Summing 5 rows at once, or 2 and then 3 that continue, gives the same bits.
TEST(ReferenceAccumulation, ContinuesWhereItWasCut) {
  const auto rows = [](const Tensor& all, std::int64_t begin, std::int64_t end) {
    const std::int64_t row = all.shape().elements(1, all.shape().rank());
    Shape shape = all.shape();
    shape[0] = end - begin;
    const std::span<const float> values = all.values<float>();
    return Tensor::from(shape, values.subspan(static_cast<std::size_t>(begin * row),
                                              static_cast<std::size_t>((end - begin) * row)));
  };
  struct Case {
    const char* op;
    Shape x, dy;
    Attributes attributes;
  };
  const Case cases[] = {
      {"MatMulGradWeight", {5, 3}, {5, 2}, {}},
      {"ConvGradWeight", {5, 2, 6}, {5, 3, 4}, {{"kernel_shape", Ints{3}}}},
  };
  for (const Case& c : cases) {
    // Sevenths are not exact, so that the order of summation shows.
    const auto inexact = [](const Tensor& tensor) {
      std::vector<float> values;
      for (float value : tensor.values<float>()) values.push_back(value / 7.0f);
      return Tensor::from(tensor.shape(), values);
    };
    const Tensor x = inexact(ramp<float>(c.x, 0)), dy = inexact(ramp<float>(c.dy, 1));
    const Tensor whole = OneOp(c.op, {x, dy}, c.attributes).outputs[0];
    RunState state;
    const Tensor garbage = ramp<float>(whole.shape(), 3);
    const OneOp first(c.op, {rows(x, 0, 2), rows(dy, 0, 2), garbage}, c.attributes, 1, {2}, state);
    state.accumulate = true;
    const OneOp second(c.op, {rows(x, 2, 5), rows(dy, 2, 5), first.after[0]}, c.attributes, 1, {2},
                       state);
    EXPECT_EQ(OneOp::as_doubles<float>(second.after[0]), OneOp::as_doubles<float>(whole)) << c.op;
  }
}

TEST(ReferenceOptimizer, Sgd) {
  const Tensor rate = Tensor::scalar(0.1), multiplier = Tensor::scalar(0.5);
  const std::vector<Tensor> inputs{ramp<double>({3}, 0), ramp<double>({3}, 1), ramp<double>({3}, 2),
                                   rate, multiplier};
  Attributes attributes{{"momentum", 0.9}, {"weight_decay", 0.2}};
  const OneOp heavy("SgdUpdate", inputs, attributes, 2, {0, 2});
  expect_near(OneOp::as_doubles<double>(heavy.after[0]), {-0.46, 1.1475, 0.3075}, 1e-12, "w ");
  expect_near(OneOp::as_doubles<double>(heavy.after[1]), {-0.4, 1.025, -0.575}, 1e-12, "v ");
  attributes.set("nesterov", std::int64_t{1});
  const OneOp nesterov("SgdUpdate", inputs, attributes, 2, {0, 2});
  expect_near(OneOp::as_doubles<double>(nesterov.after[0]), {-0.4915, 1.14525, 0.35925}, 1e-12,
              "nesterov ");
  const OneOp plain("SgdUpdate", {inputs[0], inputs[1], Tensor(), rate, multiplier},
                    {{"weight_decay", 0.2}}, 1, {0});
  expect_near(OneOp::as_doubles<double>(plain.after[0]), {-0.5275, 1.2375, 0.3075}, 1e-12,
              "plain ");
}

TEST(ReferenceOptimizer, AdamCorrectsItsMoments) {
  const std::vector<Tensor> inputs{ramp<double>({3}, 0), ramp<double>({3}, 1),
                                   ramp<double>({3}, 2), absolute(ramp<double>({3}, 3), 0.0),
                                   Tensor::scalar(0.1),  Tensor::scalar(0.5)};
  RunState third;
  third.step = 2;
  const OneOp run("AdamUpdate", inputs,
                  {{"beta1", 0.9}, {"beta2", 0.99}, {"epsilon", 1e-3}, {"weight_decay", 0.2}}, 3,
                  {0, 2, 3}, third);
  expect_near(OneOp::as_doubles<double>(run.after[0]), {-0.441532351, 1.16755361, 0.253282199},
              1e-8, "w ");
  expect_near(OneOp::as_doubles<double>(run.after[1]), {-0.6475, 0.9125, -0.0575}, 1e-12, "m ");
  expect_near(OneOp::as_doubles<double>(run.after[2]), {0.49575625, 0.49515625, 1.24080625}, 1e-12,
              "v ");
}

TEST(ReferenceOptimizer, GlobalNormClipsAllGradientsTogether) {
  const OneOp run("GlobalNormMultiplier", {ramp<float>({3}, 0), ramp<float>({2, 2}, 1)},
                  {{"max_norm", 1.5}}, 2);
  expect_near(run.values<float>(0), {0.722314771}, 1e-6, "multiplier ");
  expect_near(run.values<float>(1), {2.07665597}, 1e-6, "norm ");
  const OneOp small("GlobalNormMultiplier", {ramp<float>({3}, 0)}, {{"max_norm", 100.0}}, 2);
  expect_near(small.values<float>(0), {1}, 0, "multiplier ");
}

}  // namespace
}  // namespace batchwise::reference
