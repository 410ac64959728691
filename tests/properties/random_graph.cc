// SPDX-License-Identifier: Apache-2.0
#include "random_graph.h"

#include <algorithm>
#include <set>

#include "fixed_models.h"

namespace batchwise::properties {

ValueId GraphDraft::input(std::vector<std::int64_t> sample, DType dtype) {
  sample.insert(sample.begin(), 1);
  const std::string name = "input" + std::to_string(graph.inputs.size());
  return graph.add_input(name, {dtype, Shape(std::move(sample))}, {0, 1});
}

ValueId GraphDraft::weight(Shape shape, float scale, float middle) {
  std::vector<float> values = fixed_floats(shape.elements(), seed_ * 1000 + ++stream_, scale);
  for (float& value : values) value += middle;
  return graph.add_constant("weight" + std::to_string(stream_),
                            Tensor::from(std::move(shape), values));
}

ValueId GraphDraft::broadcastable(const Shape& shape, float scale, float middle) {
  std::vector<std::int64_t> dims = shape.dims();
  dims[0] = 1;
  const std::int64_t form = draw(5);
  if (form == 0) return weight(Shape(), scale, middle);
  if (form == 1) return weight(Shape{dims.back()}, scale, middle);
  if (form == 2) {  // a value a channel
    for (std::size_t axis = 2; axis < dims.size(); ++axis) dims[axis] = 1;
  }
  if (form == 3) {
    for (std::size_t axis = 1; axis < dims.size(); ++axis) dims[axis] = toss() ? 1 : dims[axis];
  }
  if (toss()) dims.erase(dims.begin());
  return weight(Shape(dims), scale, middle);
}

ValueId GraphDraft::partner(ValueId value) {
  std::vector<ValueId> equal;
  for (ValueId other : pool) {
    if (other != value && graph.shape(other) == graph.shape(value)) equal.push_back(other);
  }
  if (!equal.empty() && draw(4) != 0) return pick(equal);
  const std::int64_t form = draw(3);
  if (form == 0) return input(sample_dims(value));
  return add(form == 1 ? "Tanh" : "Neg", {value});
}

const std::vector<RandomRule>& all_random_rules() {
  static const std::vector<RandomRule> rules = [] {
    std::vector<RandomRule> all = layer_rules();
    for (const auto& more : {shape_rules(), value_rules()}) {
      all.insert(all.end(), more.begin(), more.end());
    }
    return all;
  }();
  return rules;
}

namespace {

ValueId first_input(GraphDraft& draft) {
  const std::int64_t c = draft.pick<std::int64_t>({1, 2, 3, 4, 8, 16, 17, 32});
  const std::int64_t size = 3 + draft.draw(10);
  switch (draft.draw(4)) {
    case 0:
      return draft.input({draft.pick<std::int64_t>({1, 5, 16, 33, 130, 256, 300, 700})});
    case 1:
      return draft.input({c, 2 + draft.draw(20)});
    default:
      return draft.input({c, size, 3 + draft.draw(10)});
  }
}

// A layer with as many channels as its input, whose outputs have about its input's size.
ValueId square_layer(GraphDraft& draft, ValueId x) {
  const std::int64_t c = draft.graph.shape(x)[1];
  float scale = 1;
  while (scale * scale * static_cast<float>(c) > 6) scale /= 2;
  if (draft.rank(x) == 2) return draft.add("Gemm", {x, draft.weight({c, c}, scale)});
  std::vector<std::int64_t> dims(static_cast<std::size_t>(draft.rank(x)), 1);
  dims[0] = dims[1] = c;
  return draft.add("Conv", {x, draft.weight(Shape(dims), scale)});
}

// The rule of the rarest op, or any: half the time each.
const RandomRule& draw_rule(GraphDraft& draft, const OpCounts& counts) {
  const std::vector<RandomRule>& rules = all_random_rules();
  const RandomRule* chosen = &draft.pick(rules);
  if (draft.toss()) return *chosen;
  const auto count = [&](const RandomRule& rule) {
    const auto it = counts.find(rule.op);
    return it == counts.end() ? 0 : it->second;
  };
  for (int i = 0; i < 12; ++i) {
    const RandomRule& other = draft.pick(rules);
    if (count(other) < count(*chosen)) chosen = &other;
  }
  return *chosen;
}

// Outputs must count samples along axis 0.
void choose_outputs(GraphDraft& draft) {
  draft.graph.outputs = {draft.pool.back()};
  if (draft.draw(3) == 0) {
    const ValueId other = draft.pick(draft.pool);
    const bool is_computed = draft.graph.value(other).kind == ValueKind::kComputed;
    if (other != draft.pool.back() && is_computed) draft.graph.outputs.push_back(other);
  }
}

}  // namespace

Graph random_graph(std::uint64_t seed, const RandomGraphOptions& options, OpCounts& counts) {
  GraphDraft draft(seed);
  const ValueId x = first_input(draft);
  draft.pool.push_back(options.begins_with_layer ? square_layer(draft, x) : x);
  const std::int64_t steps =
      options.least_steps + draft.draw(options.most_steps - options.least_steps + 1);
  for (std::int64_t step = 0; step < steps;) {
    const ValueId from = draft.toss() ? draft.pool.back() : draft.pick(draft.pool);
    const RandomRule& rule = draw_rule(draft, counts);
    const ValueId y = rule.apply(draft, rule.op, from);
    if (y == kNoValue || draft.graph.shape(y).elements() > options.most_elements) continue;
    draft.pool.push_back(y);
    ++step;
  }
  choose_outputs(draft);
  remove_dead(draft.graph, node_has_effect);
  std::set<std::string> ops;
  for (const Node& node : draft.graph.nodes) ops.insert(node.op);
  for (const std::string& op : ops) ++counts[op];
  return std::move(draft.graph);
}

}  // namespace batchwise::properties
