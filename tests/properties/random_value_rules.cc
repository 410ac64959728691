// SPDX-License-Identifier: Apache-2.0
#include "random_graph.h"

namespace batchwise::properties {
namespace {

ValueId unary(GraphDraft& draft, const std::string& op, ValueId x) { return draft.add(op, {x}); }

// |x| + 1/2: where logarithms, roots and quotients are tame.
ValueId positive(GraphDraft& draft, ValueId x) {
  return draft.add("Add", {draft.add("Abs", {x}), draft.weight(Shape(), 0, 0.5f)});
}

ValueId of_positive(GraphDraft& draft, const std::string& op, ValueId x) {
  return draft.add(op, {positive(draft, x)});
}

ValueId pow(GraphDraft& draft, const std::string& op, ValueId x) {
  const ValueId base = draft.add("Sigmoid", {x});
  if (draft.toss())
    return draft.add(op, {base, draft.broadcastable(draft.graph.shape(x), 1, 1.5f)});
  return draft.add(op, {base, draft.weight(Shape(), 0, draft.pick<float>({0.5f, 1, 2, 3, -1}))});
}

ValueId exp(GraphDraft& draft, const std::string& op, ValueId x) {
  const ValueId low = draft.weight(Shape(), 0, -4), high = draft.weight(Shape(), 0, 1.5f);
  return draft.add(op, {draft.add("Clip", {x, low, high})});
}

ValueId clip(GraphDraft& draft, const std::string& op, ValueId x) {
  const ValueId low = draft.toss() ? kNoValue : draft.weight(Shape(), 0, -0.75f);
  const ValueId high = draft.toss() ? kNoValue : draft.weight(Shape(), 0, 1.25f);
  return draft.add(op, {x, low, high});
}

ValueId leaky_relu(GraphDraft& draft, const std::string& op, ValueId x) {
  return draft.add(op, {x}, draft.toss() ? Attributes{} : Attributes{{"alpha", 0.25}});
}

ValueId gelu(GraphDraft& draft, const std::string& op, ValueId x) {
  if (draft.toss()) return draft.add(op, {x});
  return draft.add(op, {x}, {{"approximate", std::string("tanh")}});
}

// A weight that broadcasts, another value of the shape, or one value a row.
ValueId second(GraphDraft& draft, ValueId x) {
  const std::int64_t form = draft.draw(3);
  if (form == 0) return draft.broadcastable(draft.graph.shape(x));
  if (form == 1) return draft.partner(x);
  return draft.add("ReduceMean", {x, draft.build.int64s({-1})});
}

ValueId binary(GraphDraft& draft, const std::string& op, ValueId x) {
  const ValueId y = second(draft, x);
  return draft.toss() ? draft.add(op, {x, y}) : draft.add(op, {y, x});
}

ValueId multiply(GraphDraft& draft, const std::string& op, ValueId x) {
  return draft.add(op, {x, draft.add("Tanh", {second(draft, x)})});
}

ValueId divide(GraphDraft& draft, const std::string& op, ValueId x) {
  return draft.add(op, {x, positive(draft, second(draft, x))});
}

ValueId variadic(GraphDraft& draft, const std::string& op, ValueId x) {
  std::vector<ValueId> inputs{x, second(draft, x)};
  if (draft.toss()) inputs.push_back(draft.broadcastable(draft.graph.shape(x)));
  return draft.add(op, inputs);
}

// Comparisons see inputs alone: a rounding must not turn the answer.
ValueId condition(GraphDraft& draft, const std::string& op, ValueId x) {
  if (op == "Equal") {
    const ValueId ids = draft.input(draft.sample_dims(x), DType::kInt64);
    return draft.add(op, {ids, draft.build.int64s({draft.draw(4)})});
  }
  const ValueId values = draft.input(draft.sample_dims(x));
  return draft.add(op, {values, draft.broadcastable(draft.graph.shape(x))});
}

ValueId compare(GraphDraft& draft, const std::string& op, ValueId x) {
  const ValueId other = draft.toss() ? draft.partner(x) : draft.broadcastable(draft.graph.shape(x));
  return draft.add("Where", {condition(draft, op, x), x, other});
}

ValueId where(GraphDraft& draft, const std::string&, ValueId x) {
  return compare(draft, draft.pick<std::string>({"Greater", "Less", "Equal"}), x);
}

ValueId cast(GraphDraft& draft, const std::string& op, ValueId x) {
  const auto to = [](DType dtype) { return Attributes{{"to", static_cast<std::int64_t>(dtype)}}; };
  if (draft.toss()) {
    const DType wide = draft.toss() ? DType::kFloat64 : DType::kFloat32;
    return draft.add(op, {draft.add(op, {x}, to(wide))}, to(DType::kFloat32));
  }
  const ValueId ids = draft.input(draft.sample_dims(x), DType::kInt64);
  const DType between = draft.pick<DType>({DType::kInt32, DType::kUInt8, DType::kBool});
  const ValueId small = draft.add(op, {ids}, to(between));
  return draft.add("Add", {x, draft.add(op, {small}, to(DType::kFloat32))});
}

}  // namespace

std::vector<RandomRule> value_rules() {
  return {{"Relu", unary},       {"Sigmoid", unary},
          {"Tanh", unary},       {"Erf", unary},
          {"Neg", unary},        {"Abs", unary},
          {"Identity", unary},   {"Dropout", unary},
          {"Gelu", gelu},        {"LeakyRelu", leaky_relu},
          {"Clip", clip},        {"Exp", exp},
          {"Pow", pow},          {"Log", of_positive},
          {"Sqrt", of_positive}, {"Reciprocal", of_positive},
          {"Add", binary},       {"Sub", binary},
          {"Mul", multiply},     {"Div", divide},
          {"Sum", variadic},     {"Max", variadic},
          {"Min", variadic},     {"Greater", compare},
          {"Less", compare},     {"Equal", compare},
          {"Where", where},      {"Cast", cast}};
}

}  // namespace batchwise::properties
