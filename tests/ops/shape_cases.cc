// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "op_case.h"

namespace batchwise::op_cases {
namespace {

using Ints = std::vector<std::int64_t>;
constexpr std::int64_t kEnd = std::numeric_limits<std::int64_t>::max();

std::vector<OpCase> reduce_cases() {
  const CaseInput x = floats({2, 3, 4, 5});
  return {{"all", {x}},
          {"spatial", {x, int64s({2, 3})}},
          {"spatial, dropped", {x, int64s({-1, -2})}, {{"keepdims", 0}}},
          {"channel", {x, int64s({1})}},
          {"batch", {x, int64s({0})}, {{"keepdims", 0}}},
          {"long rows", {floats({3, 131}), int64s({1})}},
          {"none", {x}, {{"noop_with_empty_axes", 1}}},
          {"all, dropped", {x}, {{"keepdims", 0}}}};
}

std::vector<OpCase> reshape_cases() {
  return {{"merge", {floats({2, 3, 4}), int64s({0, -1})}},
          {"split", {floats({6, 4}), int64s({-1, 2, 4})}},
          {"rows", {floats({2, 3, 4}), int64s({-1, 4})}},
          {"zero", {floats({0, 3}), int64s({3, 0})}, {{"allowzero", 1}}},
          {"constants", {floats({2, 6}), int64s({3, 4})}}};
}

std::vector<OpCase> transpose_cases() {
  return {{"matrix", {floats({3, 5})}},
          {"heads", {floats({2, 3, 4, 5})}, {{"perm", Ints{0, 2, 1, 3}}}},
          {"channels last", {floats({2, 3, 4, 5})}, {{"perm", Ints{0, 2, 3, 1}}}},
          {"batch last", {floats({2, 3, 4})}, {{"perm", Ints{1, 2, 0}}}},
          {"integers", {integers({2, 2}, {1, 2, 3, 4})}}};
}

std::vector<OpCase> slice_cases() {
  const CaseInput x = floats({3, 7, 5});
  return {{"leading", {x, int64s({1}), int64s({3})}},
          {"axes", {x, int64s({1, -3}), int64s({6, kEnd}), int64s({1, 2})}},
          {"steps", {x, int64s({0, 4}), int64s({kEnd, 0}), int64s({1, 2}), int64s({3, -2})}},
          {"reversed", {x, int64s({-1}), int64s({-kEnd}), int64s({-2}), int64s({-1})}},
          {"empty", {x, int64s({4}), int64s({2}), int64s({1})}},
          {"whole batch", {x, int64s({0, 1}), int64s({kEnd, 2}), int64s({0, 1})}}};
}

std::vector<OpCase> split_cases() {
  const CaseInput x = floats({2, 7, 3});
  return {{"sizes", {x, int64s({2, 0, 5})}, {{"axis", 1}}, 3, 3},
          {"even", {floats({2, 6}), absent()}, {{"axis", -1}, {"num_outputs", 3}}, 3, 3},
          {"uneven", {x}, {{"axis", 1}, {"num_outputs", 3}}, 3, 3},
          {"one seeded", {x, int64s({3, 4})}, {{"axis", 1}}, 2, 1}};
}

std::vector<OpCase> gather_cases() {
  return {{"embedding", {weight({5, 3}), integers({4, 2}, {0, 4, 2, 2, 1, -1, 3, 0})}},
          {"one index", {weight({5, 3}), integers({3}, {4, 0, 4}, DType::kInt32)}},
          {"columns", {floats({2, 5, 3}), int64s({4, 0, 2})}, {{"axis", 1}}},
          {"scalar index",
           {floats({2, 5, 3}), not_differentiated([] {
              CaseInput index = int64s({2});
              index.shape = Shape();
              return index;
            }())},
           {{"axis", -1}}}};
}

std::vector<OpCase> concat_cases() {
  return {{"channels", {floats({2, 3, 4}), floats({2, 1, 4}), floats({2, 2, 4})}, {{"axis", 1}}},
          {"last", {floats({2, 3}), floats({2, 5})}, {{"axis", -1}}},
          {"samples", {floats({2, 3}), floats({1, 3})}, {{"axis", 0}}},
          {"one", {floats({2, 3})}, {{"axis", 1}}},
          {"integers", {integers({2}, {1, 2}), integers({1}, {3})}, {{"axis", 0}}}};
}

}  // namespace

std::vector<OpCases> shape_cases() {
  const Attributes start_end{{"start", 1}, {"end", -1}};
  const Tensor value = Tensor::from(Shape{1}, std::vector<float>{2.5f});
  return {
      {"ReduceSum", reduce_cases()},
      {"ReduceMean", reduce_cases()},
      {"ReduceMax", reduce_cases()},
      {"Reshape", reshape_cases()},
      {"Flatten",
       {{"images", {floats({2, 3, 4, 5})}},
        {"axis 2", {floats({2, 3, 4})}, {{"axis", 2}}},
        {"axis 0", {floats({2, 3})}, {{"axis", 0}}}}},
      {"Squeeze",
       {{"axes", {floats({2, 1, 3, 1}), int64s({1, -1})}}, {"all", {floats({2, 1, 3})}}}},
      {"Unsqueeze", {{"axes", {floats({2, 3}), int64s({1, -1})}}}},
      {"Transpose", transpose_cases()},
      {"Expand",
       {{"rows", {floats({3, 1}), int64s({3, 4})}},
        {"more axes", {weight({3}), int64s({2, 4, 3})}},
        {"kept", {floats({3, 1, 2}), int64s({5, 1})}}}},
      {"Concat", concat_cases()},
      {"Split", split_cases()},
      {"Slice", slice_cases()},
      {"Gather", gather_cases()},
      {"Constant", {{"tensor", {}, {{"value", value}}}, {"integer", {}, {{"value_int", 3}}}}},
      {"ConstantOfShape",
       {{"value", {int64s({2, 3})}, {{"value", value}}}, {"zeros", {int64s({2})}}}},
      {"Shape",
       {{"all", {not_differentiated(floats({2, 3, 4}))}},
        {"range", {not_differentiated(floats({2, 3, 4}))}, start_end}}},
  };
}

}  // namespace batchwise::op_cases
