// SPDX-License-Identifier: Apache-2.0
#include "ops/shape_values.h"

#include <algorithm>
#include <array>
#include <limits>

#include "ops/axes.h"
#include "ops/constant_value.h"

namespace batchwise {
namespace {

using Integers = std::vector<std::int64_t>;
using Known = std::optional<Integers>;

constexpr std::int64_t kMostElements = 64;  // more is no shape

// Walks back from a value. Budgeted, because a graph may use a value many times over.
class ShapeValues {
 public:
  explicit ShapeValues(const Graph& graph) : graph_(graph) {}

  Known of(ValueId id) {
    if (id == kNoValue || --budget_ < 0) return std::nullopt;
    const Value& value = graph_.value(id);
    const bool integer = value.type.dtype == DType::kInt64 || value.type.dtype == DType::kInt32;
    if (!integer || value.type.shape.elements() > kMostElements) return std::nullopt;
    if (value.kind == ValueKind::kConstant) return value.constant->to_int64s(value.name);
    if (value.kind != ValueKind::kComputed || index(value.producer) >= graph_.nodes.size()) {
      return std::nullopt;
    }
    const Node& node = graph_.node(value.producer);
    if (node.outputs.size() != 1 || node.outputs[0] != id) return std::nullopt;
    return of_node(NodeView(graph_, node));
  }

 private:
  struct Rule {
    std::string_view op;
    Known (ShapeValues::*compute)(const NodeView&);
  };

  Known of_node(const NodeView& view) {
    static constexpr std::array<Rule, 13> kRules{{{"Shape", &ShapeValues::of_shape},
                                                  {"Gather", &ShapeValues::of_gather},
                                                  {"Concat", &ShapeValues::of_concat},
                                                  {"Slice", &ShapeValues::of_slice},
                                                  {"Identity", &ShapeValues::of_same},
                                                  {"Cast", &ShapeValues::of_same},
                                                  {"Unsqueeze", &ShapeValues::of_same},
                                                  {"Squeeze", &ShapeValues::of_same},
                                                  {"Reshape", &ShapeValues::of_same},
                                                  {"Add", &ShapeValues::of_arithmetic},
                                                  {"Sub", &ShapeValues::of_arithmetic},
                                                  {"Mul", &ShapeValues::of_arithmetic},
                                                  {"Div", &ShapeValues::of_arithmetic}}};
    for (const Rule& rule : kRules) {
      if (rule.op == view.node().op) return (this->*rule.compute)(view);
    }
    return std::nullopt;
  }

  Known of_shape(const NodeView& view) {
    const ShapeRange range = shape_range(view);
    const Integers& dims = view.input(0).dims();
    return Integers(dims.begin() + range.begin, dims.begin() + range.end);
  }

  Known of_gather(const NodeView& view) {
    const Known data = of(view.input_id(0)), indices = of(view.input_id(1));
    if (!data || !indices || view.input(0).rank() != 1) return std::nullopt;
    const auto count = static_cast<std::int64_t>(data->size());
    Integers result;
    for (const std::int64_t place : *indices) {
      if (place < -count || place >= count) return std::nullopt;
      result.push_back((*data)[static_cast<std::size_t>(place < 0 ? place + count : place)]);
    }
    return result;
  }

  Known of_concat(const NodeView& view) {
    Integers result;
    for (int i = 0; i < view.num_inputs(); ++i) {
      const Known part = of(view.input_id(i));
      if (!part || view.input(i).rank() != 1) return std::nullopt;
      result.insert(result.end(), part->begin(), part->end());
    }
    return result;
  }

  Known of_slice(const NodeView& view) {
    const Known data = of(view.input_id(0));
    if (!data || view.input(0).rank() != 1) return std::nullopt;
    const SliceRange range = slice_ranges(view).at(0);
    Integers result;
    for (std::int64_t i = 0; i < range.count; ++i) {
      result.push_back(data->at(static_cast<std::size_t>(range.start + i * range.step)));
    }
    return result;
  }

  Known of_same(const NodeView& view) { return of(view.input_id(0)); }

  Known of_arithmetic(const NodeView& view) {
    const Known a = of(view.input_id(0)), b = of(view.input_id(1));
    if (!a || !b || view.input(0).rank() > 1 || view.input(1).rank() > 1) return std::nullopt;
    const std::size_t count =
        std::min(a->size(), b->size()) == 0 ? 0 : std::max(a->size(), b->size());
    Integers result;
    for (std::size_t i = 0; i < count; ++i) {
      const Known element =
          combine(view.node().op, (*a)[a->size() == 1 ? 0 : i], (*b)[b->size() == 1 ? 0 : i]);
      if (!element) return std::nullopt;
      result.push_back(element->front());
    }
    return result;
  }

  static Known combine(const std::string& op, std::int64_t a, std::int64_t b) {
    std::int64_t result = 0;
    if (op == "Div") {
      if (b == 0 || (b == -1 && a == std::numeric_limits<std::int64_t>::min())) return std::nullopt;
      return Integers{a / b};
    }
    const bool overflow = op == "Add"   ? __builtin_add_overflow(a, b, &result)
                          : op == "Sub" ? __builtin_sub_overflow(a, b, &result)
                                        : __builtin_mul_overflow(a, b, &result);
    if (overflow) return std::nullopt;
    return Integers{result};
  }

  const Graph& graph_;
  int budget_ = 1000;
};

}  // namespace

std::optional<std::vector<std::int64_t>> shape_values(const Graph& graph, ValueId id) {
  return ShapeValues(graph).of(id);
}

}  // namespace batchwise
