// SPDX-License-Identifier: Apache-2.0
#include <limits>

#include "random_graph.h"

namespace batchwise::properties {
namespace {

using Ints = std::vector<std::int64_t>;

ValueId reshape(GraphDraft& draft, const std::string& op, ValueId x) {
  const Ints dims = draft.sample_dims(x);
  const Shape sample(dims);
  if (draft.rank(x) > 2 && draft.draw(3) == 0) {  // rows of all samples through an op, and back
    const std::int64_t width = dims.back();
    const ValueId rows = draft.add(op, {x, draft.build.int64s({-1, width})});
    const ValueId w = draft.weight(Shape{width, width}, 0.25f);
    Ints back = dims;
    back.insert(back.begin(), -1);
    return draft.add(op, {draft.add("Gemm", {rows, w}), draft.build.int64s(back)});
  }
  if (draft.rank(x) > 2 && draft.toss()) {
    return draft.add(op, {x, draft.build.int64s({0, -1})});
  }
  std::int64_t elements = sample.elements();
  Ints target{-1};
  for (const std::int64_t factor : {2, 3, 5}) {
    if (elements % factor == 0 && target.size() < 3 && draft.draw(4) != 0) {
      target.push_back(factor);
      elements /= factor;
    }
  }
  target.push_back(elements);
  return draft.add(op, {x, draft.build.int64s(target)});
}

// The shape is computed from the batch's: Reshape(x, Concat(Shape(x)[:1], -1)) as exporters write.
ValueId shape(GraphDraft& draft, const std::string& op, ValueId x) {
  const ValueId inner = draft.add(op, {x}, {{"start", std::int64_t{1}}});
  if (draft.toss()) {
    const ValueId zeros = draft.add("ConstantOfShape", {inner});
    return draft.add("Add", {x, zeros});
  }
  const ValueId target =
      draft.add("Concat", {draft.build.int64s({-1}), inner}, {{"axis", std::int64_t{0}}});
  return draft.add("Reshape", {draft.add("Flatten", {x}), target});
}

ValueId constant_of_shape(GraphDraft& draft, const std::string& op, ValueId x) {
  const Tensor half = Tensor::from(Shape{1}, std::vector<float>{0.5f});
  const ValueId filled =
      draft.add(op, {draft.build.int64s(draft.sample_dims(x))}, {{"value", half}});
  return draft.add(draft.toss() ? "Add" : "Mul", {x, filled});
}

ValueId constant(GraphDraft& draft, const std::string& op, ValueId x) {
  const Tensor value = Tensor::from(Shape{1}, std::vector<float>{0.75f});
  return draft.add(draft.toss() ? "Sub" : "Mul", {x, draft.add(op, {}, {{"value", value}})});
}

ValueId flatten(GraphDraft& draft, const std::string& op, ValueId x) {
  return draft.rank(x) < 3 && draft.toss() ? kNoValue : draft.add(op, {x});
}

Ints identity_permutation(int rank) {
  Ints perm;
  for (int axis = 0; axis < rank; ++axis) perm.push_back(axis);
  return perm;
}

ValueId transpose(GraphDraft& draft, const std::string& op, ValueId x) {
  const int rank = draft.rank(x);
  if (rank < 3) return kNoValue;
  Ints perm = identity_permutation(rank);
  if (draft.draw(3) == 0) {  // the batch goes elsewhere and comes back
    std::swap(perm[0], perm[1]);
    const ValueId moved = draft.add(op, {x}, {{"perm", perm}});
    return draft.add(op, {draft.add("Sigmoid", {moved})}, {{"perm", perm}});
  }
  for (int axis = 1; axis < rank; ++axis) {
    std::swap(perm[static_cast<std::size_t>(axis)],
              perm[static_cast<std::size_t>(1 + draft.draw(rank - 1))]);
  }
  return draft.add(op, {x}, {{"perm", perm}});
}

ValueId concat(GraphDraft& draft, const std::string& op, ValueId x) {
  const std::int64_t axis = 1 + draft.draw(draft.rank(x) - 1);
  std::vector<ValueId> parts{x, draft.partner(x)};
  if (draft.toss()) parts.push_back(draft.add("Relu", {x}));
  return draft.add(op, parts, {{"axis", draft.toss() ? axis : axis - draft.rank(x)}});
}

ValueId split(GraphDraft& draft, const std::string& op, ValueId x) {
  const int axis = 1 + static_cast<int>(draft.draw(draft.rank(x) - 1));
  const std::int64_t size = draft.graph.shape(x)[axis];
  if (size < 2) return kNoValue;
  const std::int64_t first = 1 + draft.draw(size - 1);
  const auto parts = draft.build.ops(op, {x, draft.build.int64s({first, size - first})},
                                     {{"axis", std::int64_t{axis}}}, 2);
  if (first * 2 == size) return draft.add("Mul", {draft.add("Tanh", {parts[0]}), parts[1]});
  if (draft.toss()) return draft.pick(parts);
  return draft.add("Concat", {parts[1], parts[0]}, {{"axis", std::int64_t{axis}}});
}

ValueId slice(GraphDraft& draft, const std::string& op, ValueId x) {
  const int axis = 1 + static_cast<int>(draft.draw(draft.rank(x) - 1));
  const std::int64_t size = draft.graph.shape(x)[axis];
  if (size < 2) return kNoValue;
  const auto ints = [&](std::int64_t value) { return draft.build.int64s({value}); };
  if (draft.draw(4) == 0) {  // backwards
    return draft.add(op, {x, ints(-1), ints(-std::numeric_limits<std::int64_t>::max()), ints(axis),
                          ints(-1 - draft.draw(2))});
  }
  const std::int64_t start = draft.draw(size - 1);
  const std::int64_t end = start + 1 + draft.draw(size - start);
  return draft.add(op, {x, ints(start), ints(end), ints(axis), ints(1 + draft.draw(2))});
}

ValueId unsqueeze(GraphDraft& draft, const std::string& op, ValueId x) {
  if (draft.rank(x) > 3) return kNoValue;
  return draft.add(op, {x, draft.build.int64s({1 + draft.draw(draft.rank(x))})});
}

ValueId squeeze(GraphDraft& draft, const std::string& op, ValueId x) {
  const ValueId axes = draft.build.int64s({1 + draft.draw(draft.rank(x))});
  const ValueId wide = draft.add("Unsqueeze", {x, axes});
  return draft.add(op, {draft.add("Tanh", {wide}), axes});
}

ValueId expand(GraphDraft& draft, const std::string& op, ValueId x) {
  if (draft.rank(x) > 3) return kNoValue;
  const ValueId wide = draft.add("Unsqueeze", {x, draft.build.int64s({1})});
  Ints dims = draft.sample_dims(x);
  dims.insert(dims.begin(), {1, 2 + draft.draw(3)});
  return draft.add(op, {wide, draft.build.int64s(dims)});
}

ValueId gather(GraphDraft& draft, const std::string& op, ValueId x) {
  const int axis = 1 + static_cast<int>(draft.draw(draft.rank(x) - 1));
  if (draft.toss()) {  // columns, some of them twice
    Ints columns;
    for (std::int64_t i = 0; i < 1 + draft.draw(6); ++i) {
      columns.push_back(draft.draw(draft.graph.shape(x)[axis]));
    }
    return draft.add(op, {x, draft.build.int64s(columns)}, {{"axis", std::int64_t{axis}}});
  }
  const ValueId ids = draft.input({1 + draft.draw(5)}, DType::kInt64);  // an embedding
  return draft.add(op, {draft.weight(Shape{4, 1 + draft.draw(33)}), ids});
}

}  // namespace

std::vector<RandomRule> shape_rules() {
  return {{"Reshape", reshape},   {"Shape", shape},
          {"Constant", constant}, {"ConstantOfShape", constant_of_shape},
          {"Flatten", flatten},   {"Transpose", transpose},
          {"Concat", concat},     {"Split", split},
          {"Slice", slice},       {"Unsqueeze", unsqueeze},
          {"Squeeze", squeeze},   {"Expand", expand},
          {"Gather", gather}};
}

}  // namespace batchwise::properties
