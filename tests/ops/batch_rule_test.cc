// SPDX-License-Identifier: Apache-2.0
// Where a row says that samples do not meet, a change of one sample changes no other.
#include <gtest/gtest.h>

#include <cstring>

#include "backend/reference/interpreter.h"
#include "op_case.h"

namespace batchwise::op_cases {
namespace {

// Elements of sample `sample` of a tensor whose axis counts samples.
std::vector<bool> sample_mask(const Shape& shape, const BatchAxis& batch, std::int64_t sample) {
  const std::int64_t inner = shape.elements(batch.axis + 1, shape.rank());
  std::vector<bool> mask;
  for (std::int64_t i = 0; i < shape.elements(); ++i) {
    mask.push_back(i / inner % shape[batch.axis] / batch.block == sample);
  }
  return mask;
}

// The same tensor with other floats in one sample.
Tensor changed(const Tensor& tensor, const std::vector<bool>& mask) {
  Tensor copy = Tensor::copy_of(tensor.dtype(), tensor.shape(), tensor.data());
  auto* elements = reinterpret_cast<double*>(copy.mutable_data());
  for (std::size_t i = 0; i < mask.size(); ++i) {
    if (mask[i]) elements[i] = 0.75 * elements[i] + 0.125;
  }
  return copy;
}

// Samples in the activations of a case; 0 where they do not agree.
std::int64_t count_samples(const Graph& graph) {
  std::int64_t samples = -1;
  for (ValueId id : graph.inputs) {
    const BatchAxis batch = graph.value(id).batch;
    if (batch.axis < 0) continue;
    const std::int64_t here = graph.shape(id)[batch.axis] / batch.block;
    samples = samples < 0 || samples == here ? here : 0;
  }
  return std::max<std::int64_t>(samples, 0);
}

// Compares the outputs outside of the changed sample, bit by bit.
void check_others(const CaseGraph& before, const CaseGraph& after, std::int64_t sample) {
  const std::vector<Tensor> a = before.run(), b = after.run();
  for (ValueId id : before.graph.outputs) {
    const Value& value = before.graph.value(id);
    const Tensor &x = a[index(id)], &y = b[index(id)];
    std::vector<bool> own(static_cast<std::size_t>(x.shape().elements()), false);
    if (value.batch.axis >= 0) own = sample_mask(x.shape(), value.batch, sample);
    const std::size_t bytes = dtype_bytes(x.dtype());
    for (std::size_t i = 0; i < own.size(); ++i) {
      if (own[i]) continue;
      ASSERT_EQ(std::memcmp(x.data() + i * bytes, y.data() + i * bytes, bytes), 0)
          << before.name << ": element " << i << " changed with sample " << sample;
    }
  }
}

TEST(BatchRule, SamplesAreIndependentWhereTheRowSaysSo) {
  int checked = 0;
  for (const OpCases& cases : all_cases()) {
    for (const OpCase& op_case : cases.cases) {
      CaseGraph graph = build_case(cases.op, op_case, DType::kFloat64);
      const std::int64_t samples = count_samples(graph.graph);
      if (samples < 2 || !carry_batch(graph.graph).empty()) continue;
      for (std::int64_t sample : {std::int64_t{0}, samples - 1}) {
        CaseGraph other = graph;
        for (std::size_t i = 0; i < other.inputs.size(); ++i) {
          const Value& value = graph.graph.value(graph.graph.inputs[i]);
          if (value.type.dtype != DType::kFloat64 || value.batch.axis < 0) continue;
          other.inputs[i] =
              changed(other.inputs[i], sample_mask(value.type.shape, value.batch, sample));
        }
        check_others(graph, other, sample);
      }
      ++checked;
    }
  }
  EXPECT_GT(checked, 100);
}

}  // namespace
}  // namespace batchwise::op_cases
