// SPDX-License-Identifier: Apache-2.0
#include "random_graph.h"

namespace batchwise::properties {
namespace {

using Ints = std::vector<std::int64_t>;

// Keeps sums of `terms` products near 1.
float scale_for(std::int64_t terms) {
  float scale = 2;
  while (scale * scale * static_cast<float>(terms) > 4) scale /= 2;
  return scale;
}

ValueId gemm(GraphDraft& draft, const std::string&, ValueId x) {
  if (draft.rank(x) != 2) {
    if (draft.toss()) return kNoValue;
    x = draft.add("Flatten", {x});
  }
  const std::int64_t k = draft.graph.shape(x)[1];
  const std::int64_t n = draft.pick<std::int64_t>({1, 2, 3, 7, 10, 16, 33, 64, 100});
  const bool transposed = draft.toss();
  const ValueId w = draft.weight(transposed ? Shape{n, k} : Shape{k, n}, scale_for(k));
  std::vector<ValueId> inputs{x, w};
  if (draft.draw(3) != 0) inputs.push_back(draft.weight(draft.toss() ? Shape{n} : Shape{1, n}));
  Attributes attributes{{"transB", std::int64_t{transposed}}};
  if (draft.draw(5) == 0) attributes.set("alpha", 0.5);
  const ValueId y = draft.add("Gemm", inputs, attributes);
  return draft.draw(3) == 0 ? draft.add("Relu", {y}) : y;
}

ValueId matmul(GraphDraft& draft, const std::string&, ValueId x) {
  const Shape shape = draft.graph.shape(x);
  const int rank = shape.rank();
  if (rank >= 3 && draft.draw(3) == 0) {  // x times its transpose, sample by sample
    Ints perm;
    for (int axis = 0; axis < rank; ++axis) perm.push_back(axis);
    std::swap(perm[static_cast<std::size_t>(rank - 1)], perm[static_cast<std::size_t>(rank - 2)]);
    const ValueId bounded = draft.add("Tanh", {x});
    const ValueId y = draft.add(
        "MatMul", {bounded, draft.add("Transpose", {draft.partner(bounded)}, {{"perm", perm}})});
    return draft.add("Mul", {y, draft.weight(Shape(), 0, scale_for(shape[-1]))});
  }
  const std::int64_t k = shape[-1], n = draft.pick<std::int64_t>({1, 2, 5, 16, 31});
  const ValueId y = draft.add("MatMul", {x, draft.weight(Shape{k, n}, scale_for(k))});
  return draft.toss() ? draft.add("Add", {y, draft.weight(Shape{n})}) : y;
}

// Divisors of both, drawn.
std::int64_t draw_groups(GraphDraft& draft, std::int64_t channels) {
  if (draft.draw(3) != 0) return 1;
  Ints groups;
  for (std::int64_t g = 1; g <= channels; ++g) {
    if (channels % g == 0) groups.push_back(g);
  }
  return draft.toss() ? channels : draft.pick(groups);
}

// Kernel, strides, dilations and padding that fit the positions.
Attributes draw_window(GraphDraft& draft, const Shape& shape, bool dilates) {
  const int spatial = shape.rank() - 2;
  Ints kernel, strides, dilations, begins, ends;
  for (int axis = 0; axis < spatial; ++axis) {
    const std::int64_t size = shape[axis + 2];
    const std::int64_t k = 1 + draft.draw(std::min<std::int64_t>(size, 5));
    kernel.push_back(k);
    strides.push_back(1 + draft.draw(3) / 2 + draft.draw(6) / 5);
    const std::int64_t room = k > 1 ? (size - 1) / (k - 1) : 1;
    dilations.push_back(dilates && draft.draw(3) == 0 ? std::min<std::int64_t>(room, 2) : 1);
    begins.push_back(draft.draw(k));
    ends.push_back(draft.draw(k));
  }
  Attributes window{{"kernel_shape", kernel}, {"strides", strides}};
  if (dilates) window.set("dilations", dilations);
  const std::int64_t form = draft.draw(5);
  begins.insert(begins.end(), ends.begin(), ends.end());
  if (form < 2) window.set("pads", begins);
  if (form == 2) window.set("auto_pad", std::string("SAME_UPPER"));
  if (form == 3) window.set("auto_pad", std::string("SAME_LOWER"));
  return window;
}

ValueId conv(GraphDraft& draft, const std::string&, ValueId x) {
  const Shape shape = draft.graph.shape(x);
  if (shape.rank() < 3 || shape.rank() > 4) return kNoValue;
  Attributes attributes = draw_window(draft, shape, true);
  const std::int64_t group = draw_groups(draft, shape[1]);
  const std::int64_t m = group * (1 + draft.draw(group > 1 ? 2 : 20));
  if (m > 40) return kNoValue;
  Ints dims{m, shape[1] / group};
  for (std::int64_t size : attributes.get_ints("kernel_shape")) dims.push_back(size);
  attributes.set("group", group);
  const Shape filters(dims);
  std::vector<ValueId> inputs{x, draft.weight(filters, scale_for(filters.elements() / m))};
  if (draft.toss()) inputs.push_back(draft.weight(Shape{m}));
  ValueId y = draft.add("Conv", inputs, attributes);
  if (draft.draw(4) == 0) y = draft.add("Add", {y, draft.partner(y)});
  return draft.draw(3) == 0 ? draft.add("Relu", {y}) : y;
}

ValueId pool(GraphDraft& draft, const std::string& op, ValueId x) {
  const Shape shape = draft.graph.shape(x);
  if (shape.rank() < 3 || shape.rank() > 4) return kNoValue;
  Attributes attributes = draw_window(draft, shape, false);
  if (draft.draw(4) == 0 && !attributes.has("auto_pad")) {
    attributes.set("ceil_mode", std::int64_t{1});
  }
  if (op == "AveragePool") attributes.set("count_include_pad", draft.draw(2));
  return draft.add(op, {x}, attributes);
}

ValueId global_pool(GraphDraft& draft, const std::string& op, ValueId x) {
  return draft.rank(x) < 3 ? kNoValue : draft.add(op, {x});
}

ValueId batch_norm(GraphDraft& draft, const std::string& op, ValueId x) {
  const Shape channels{draft.graph.shape(x)[1]};
  return draft.add(op, {x, draft.weight(channels, 0.5f, 1), draft.weight(channels),
                        draft.weight(channels), draft.weight(channels, 0.5f, 1)});
}

ValueId layer_norm(GraphDraft& draft, const std::string& op, ValueId x) {
  const int rank = draft.rank(x);
  const std::int64_t axis = 1 + draft.draw(rank - 1);
  const Ints dims = draft.sample_dims(x);
  const Shape normal(Ints(dims.begin() + axis - 1, dims.end()));
  if (normal.elements() < 4) return kNoValue;  // a spread of nothing amplifies roundings
  // Values that are all alike would, too.
  const ValueId spread = draft.add("Add", {x, draft.weight(normal, 2)});
  std::vector<ValueId> inputs{spread, draft.weight(normal, 0.5f, 1)};
  if (draft.toss()) inputs.push_back(draft.weight(normal));
  return draft.add(op, inputs, {{"axis", draft.toss() ? axis : axis - rank}, {"epsilon", 1e-2}});
}

ValueId lrn(GraphDraft& draft, const std::string& op, ValueId x) {
  if (draft.rank(x) < 3) return kNoValue;
  return draft.add(op, {x}, {{"size", 1 + 2 * draft.draw(3)}, {"alpha", 0.25}, {"bias", 1.5}});
}

ValueId softmax(GraphDraft& draft, const std::string& op, ValueId x) {
  return draft.add(op, {x}, {{"axis", draft.toss() ? -1 : 1 + draft.draw(draft.rank(x) - 1)}});
}

ValueId reduce(GraphDraft& draft, const std::string& op, ValueId x) {
  const int rank = draft.rank(x);
  Ints axes;
  for (int axis = 1; axis < rank; ++axis) {
    if (draft.toss()) axes.push_back(draft.toss() ? axis : axis - rank);
  }
  if (axes.empty()) axes.push_back(-1);
  const bool drops = draft.toss() && static_cast<int>(axes.size()) + 1 < rank;
  const ValueId y =
      draft.add(op, {x, draft.build.int64s(axes)}, {{"keepdims", std::int64_t{!drops}}});
  return op == "ReduceSum" ? draft.add("Tanh", {y}) : y;
}

}  // namespace

std::vector<RandomRule> layer_rules() {
  return {{"Gemm", gemm},
          {"Gemm", gemm},
          {"MatMul", matmul},
          {"MatMul", matmul},
          {"Conv", conv},
          {"Conv", conv},
          {"Conv", conv},
          {"MaxPool", pool},
          {"AveragePool", pool},
          {"GlobalAveragePool", global_pool},
          {"BatchNormalization", batch_norm},
          {"LayerNormalization", layer_norm},
          {"LRN", lrn},
          {"Softmax", softmax},
          {"LogSoftmax", softmax},
          {"ReduceSum", reduce},
          {"ReduceMean", reduce},
          {"ReduceMax", reduce}};
}

}  // namespace batchwise::properties
