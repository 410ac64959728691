// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstring>
#include <utility>

#include "binding/data_binding.h"

namespace batchwise {

// Data that looks as a model wants it and has zeros for labels: for plans that are made without
// data.
class ModelShapedSource : public DataSource {
 public:
  ModelShapedSource(const Graph& model, std::int64_t samples, LabelInfo label = {}) {
    path_ = "data";
    num_samples_ = samples;
    for (ValueId id : model.inputs) {
      const Value& input = model.value(id);
      std::vector<std::int64_t> dims = input.type.shape.dims();
      if (input.batch.axis >= 0) dims.erase(dims.begin() + input.batch.axis);
      features_.push_back({input.name, Shape(dims), input.type.dtype});
    }
    label_ = std::move(label);
  }
  // Zeros, for who checks labels.
  void read(std::span<const std::int64_t> indices, std::span<std::byte* const>, std::byte* labels,
            std::span<std::byte>) const override {
    if (labels != nullptr) std::memset(labels, 0, indices.size() * label_->sample_bytes());
  }
  std::size_t scratch_bytes() const override { return 0; }
  std::size_t resident_bytes() const override { return 0; }
};

}  // namespace batchwise
