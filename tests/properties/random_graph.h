// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "ops/builder.h"

// Small random graphs out of the op rows, for properties that hold for every graph. Their values
// stay tame: domains are kept, and what is not continuous sees only values without rounding.
namespace batchwise::properties {

// A graph being drawn: its values have the batch as axis 0.
class GraphDraft {
 public:
  explicit GraphDraft(std::uint64_t seed) : build(graph), random_(seed), seed_(seed) {}

  // In [0, below).
  std::int64_t draw(std::int64_t below) {
    return static_cast<std::int64_t>(random_() % static_cast<std::uint64_t>(below));
  }
  bool toss() { return draw(2) == 0; }
  template <typename T>
  const T& pick(const std::vector<T>& from) {
    return from[static_cast<std::size_t>(draw(static_cast<std::int64_t>(from.size())))];
  }
  // A new input of the graph: `sample` is the shape without the batch.
  ValueId input(std::vector<std::int64_t> sample, DType dtype = DType::kFloat32);
  // A new constant with numbers in [middle - scale, middle + scale).
  ValueId weight(Shape shape, float scale = 1, float middle = 0);
  // A weight that broadcasts to the shape of a value, or has it.
  ValueId broadcastable(const Shape& shape, float scale = 1, float middle = 0);
  // Another value of that shape: one drawn before where there is one, or a new one.
  ValueId partner(ValueId value);
  ValueId add(const std::string& op, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return build.op(op, std::move(inputs), std::move(attributes));
  }
  std::vector<std::int64_t> sample_dims(ValueId value) const {
    const auto& dims = graph.shape(value).dims();
    return {dims.begin() + 1, dims.end()};
  }
  int rank(ValueId value) const { return graph.shape(value).rank(); }

  Graph graph;
  GraphBuilder build;
  std::vector<ValueId> pool;  // float values that later nodes may use

 private:
  std::mt19937_64 random_;
  std::uint64_t seed_;
  std::uint64_t stream_ = 0;
};

// Appends nodes with one of an op on a value; kNoValue where the op does not fit the value.
struct RandomRule {
  std::string op;
  ValueId (*apply)(GraphDraft& draft, const std::string& op, ValueId x);
};
std::vector<RandomRule> layer_rules();
std::vector<RandomRule> shape_rules();
std::vector<RandomRule> value_rules();
// Rules of all ops that a model may have.
const std::vector<RandomRule>& all_random_rules();

// How often each op has been in a graph so far.
using OpCounts = std::map<std::string, int>;

struct RandomGraphOptions {
  int least_steps = 2, most_steps = 9;
  std::int64_t most_elements = 3000;  // of one sample of a value
  bool begins_with_layer = false;     // so that gradients pass through every op on their way to it
};

// A graph of several rules in a row; ops that are rare in `counts` are preferred. Counts its ops.
Graph random_graph(std::uint64_t seed, const RandomGraphOptions& options, OpCounts& counts);

}  // namespace batchwise::properties
