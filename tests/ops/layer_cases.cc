// SPDX-License-Identifier: Apache-2.0
#include "op_case.h"

namespace batchwise::op_cases {
namespace {

using Ints = std::vector<std::int64_t>;

std::vector<OpCase> gemm_cases() {
  const CaseInput x = floats({3, 5});
  return {{"plain", {x, weight({5, 4})}},
          {"bias", {x, weight({5, 4}), weight({4})}},
          {"scalar bias", {x, weight({5, 4}), weight({})}},
          {"transB", {x, weight({4, 5}), weight({4})}, {{"transB", 1}}},
          {"scaled", {x, weight({5, 4}), weight({4})}, {{"alpha", 0.5}, {"beta", 2.0}}},
          {"transA", {floats({5, 3}), weight({5, 4})}, {{"transA", 1}}, 1, 1, {}, false, false},
          {"both",
           {floats({5, 3}), weight({4, 5})},
           {{"transA", 1}, {"transB", 1}},
           1,
           1,
           {},
           false,
           false},
          {"one row", {floats({1, 300}), weight({300, 3})}},
          {"wide", {floats({9, 19}), weight({67, 19}), weight({67})}, {{"transB", 1}}},
          {"one column", {floats({7, 33}), weight({33, 1}), weight({1})}},
          {"bias a sample", {x, weight({5, 4}), floats({3, 4})}}};
}

std::vector<OpCase> matmul_cases() {
  return {{"matrix", {floats({3, 5}), weight({5, 4})}},
          {"sequence", {floats({2, 3, 5}), weight({5, 4})}},
          {"heads", {floats({2, 3, 4, 5}), floats({2, 3, 5, 2})}},
          {"broadcast", {floats({2, 3, 4, 5}), floats({2, 1, 5, 2})}},
          {"vector", {floats({3, 5}), weight({5})}},
          {"weight on the left", {weight({4, 3}), floats({2, 3, 5})}},
          {"both batched", {floats({3, 4, 6}), floats({3, 6, 4})}}};
}

std::vector<OpCase> conv_cases() {
  const CaseInput x = floats({2, 3, 6, 5});
  return {
      {"3x3", {x, weight({4, 3, 3, 3})}, {{"kernel_shape", Ints{3, 3}}}},
      {"bias, padding", {x, weight({4, 3, 3, 3}), weight({4})}, {{"pads", Ints{1, 1, 1, 1}}}},
      {"uneven padding", {x, weight({2, 3, 3, 2})}, {{"pads", Ints{0, 1, 2, 0}}}},
      {"strides", {x, weight({4, 3, 3, 3}), weight({4})}, {{"strides", Ints{2, 2}}}},
      {"dilation",
       {x, weight({2, 3, 2, 2})},
       {{"dilations", Ints{2, 3}}, {"pads", Ints{1, 1, 1, 1}}}},
      {"1x1", {x, weight({5, 3, 1, 1}), weight({5})}},
      {"1x1, strides", {x, weight({5, 3, 1, 1})}, {{"strides", Ints{2, 3}}}},
      {"groups", {floats({2, 4, 5, 5}), weight({6, 2, 3, 3}), weight({6})}, {{"group", 2}}},
      {"depthwise",
       {floats({2, 4, 5, 5}), weight({4, 1, 3, 3}), weight({4})},
       {{"group", 4}, {"pads", Ints{1, 1, 1, 1}}}},
      {"same upper",
       {x, weight({2, 3, 2, 3})},
       {{"auto_pad", std::string("SAME_UPPER")}, {"strides", Ints{2, 1}}}},
      {"same lower", {x, weight({2, 3, 2, 2})}, {{"auto_pad", std::string("SAME_LOWER")}}},
      {"one axis",
       {floats({2, 3, 9}), weight({4, 3, 3}), weight({4})},
       {{"pads", Ints{1, 1}}, {"strides", Ints{2}}}},
      {"one sample", {floats({1, 17, 4, 4}), weight({19, 17, 3, 3}), weight({19})}},
      {"many channels", {floats({2, 32, 3, 3}), weight({35, 32, 1, 1}), weight({35})}},
  };
}

std::vector<OpCase> pool_cases(bool averages) {
  const CaseInput x = floats({2, 3, 7, 6});
  const Attributes two{{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}};
  const Attributes padded{
      {"kernel_shape", Ints{3, 3}}, {"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}};
  Attributes ceil = padded;
  ceil.set("ceil_mode", std::int64_t{1});
  std::vector<OpCase> cases{
      {"2x2", {x}, two},
      {"padded", {x}, padded},
      {"ceil", {x}, ceil},
      {"overlapping", {x}, {{"kernel_shape", Ints{3, 2}}}},
      {"one axis", {floats({2, 3, 9})}, {{"kernel_shape", Ints{3}}, {"strides", Ints{2}}}},
      {"same",
       {x},
       {{"kernel_shape", Ints{3, 3}},
        {"strides", Ints{2, 2}},
        {"auto_pad", std::string("SAME_UPPER")}}}};
  if (averages) {
    Attributes counting = padded;
    counting.set("count_include_pad", std::int64_t{1});
    cases.push_back({"padding counts", {x}, counting});
  }
  return cases;
}

std::vector<OpCase> softmax_cases() {
  return {{"rows", {floats({3, 7}, -4, 4)}},
          {"long rows", {floats({2, 131}, -9, 9)}},
          {"one class", {floats({3, 1})}},
          {"axis 1", {floats({2, 5, 3})}, {{"axis", 1}}},
          {"positions", {floats({2, 3, 17})}, {{"axis", -1}}}};
}

std::vector<CaseInput> batch_norm_inputs(const CaseInput& x, std::int64_t channels) {
  const Shape shape{channels};
  return {x, weight(shape, 0.5, 2), weight(shape), not_differentiated(weight(shape)),
          not_differentiated(weight(shape, 0.5, 2))};
}

std::vector<OpCase> layer_norm_cases() {
  return {{"rows", {floats({3, 7}), weight({7}), weight({7})}},
          {"no bias", {floats({3, 7}), weight({7})}},
          {"sequence", {floats({2, 3, 19}), weight({19}), weight({19})}},
          {"axis 1", {floats({2, 3, 5}), weight({3, 5}), weight({3, 5})}, {{"axis", 1}}},
          {"statistics", {floats({2, 3, 5}), weight({5}), weight({5})}, {}, 3, 1}};
}

std::vector<OpCase> lrn_cases() {
  return {{"size 3", {floats({2, 5, 3, 2})}, {{"size", 3}, {"alpha", 0.3}, {"bias", 1.5}}},
          {"size 5", {floats({2, 7, 2, 2})}, {{"size", 5}, {"alpha", 0.1}, {"beta", 0.5}}},
          {"even size", {floats({1, 6, 2, 2})}, {{"size", 4}, {"alpha", 0.2}}}};
}

}  // namespace

std::vector<OpCases> layer_cases() {
  const std::vector<OpCase> pooled{{"images", {floats({2, 3, 4, 5})}},
                                   {"one axis", {floats({2, 3, 9})}}};
  return {
      {"Gemm", gemm_cases()},
      {"MatMul", matmul_cases()},
      {"Conv", conv_cases()},
      {"MaxPool", pool_cases(false)},
      {"AveragePool", pool_cases(true)},
      {"GlobalAveragePool", pooled},
      {"Softmax", softmax_cases()},
      {"LogSoftmax", softmax_cases()},
      {"BatchNormalization",
       {{"images", batch_norm_inputs(floats({2, 3, 4, 5}), 3), {{"epsilon", 1e-3}}},
        {"matrix", batch_norm_inputs(floats({3, 7}), 7)}}},
      {"LayerNormalization", layer_norm_cases()},
      {"LRN", lrn_cases()},
      {"Dropout", {{"plain", {floats({3, 5})}}, {"mask", {floats({3, 5})}, {}, 2, 1}}},
  };
}

}  // namespace batchwise::op_cases
