// SPDX-License-Identifier: Apache-2.0
#include "data/parted_source.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "data/order.h"

namespace batchwise {
namespace {

constexpr std::size_t kBlock = 64;  // samples whose places are looked up at once
constexpr std::uint64_t kSeed = 0;

}  // namespace

PartedSource::PartedSource(std::shared_ptr<const DataSource> source, double fraction)
    : source_(std::move(source)), order_(static_cast<std::size_t>(source_->num_samples())) {
  path_ = source_->path();
  num_samples_ = source_->num_samples();
  features_ = source_->features();
  label_ = source_->label();
  class_names_ = source_->class_names();
  const std::int64_t train = split_for_validation(num_samples_, fraction).train.end;
  fill_epoch_order(kSeed, 0, order_);
  std::sort(order_.begin(), order_.begin() + train);
  std::sort(order_.begin() + train, order_.end());
}

// The scratch holds where each feature goes, then what the source takes.
void PartedSource::read(std::span<const std::int64_t> indices, std::span<std::byte* const> features,
                        std::byte* labels, std::span<std::byte> scratch) const {
  auto* targets = reinterpret_cast<std::byte**>(scratch.data());
  const std::span<std::byte> inner = scratch.subspan(scratch_bytes() - source_->scratch_bytes());
  std::array<std::int64_t, kBlock> places;
  for (std::size_t first = 0; first < indices.size(); first += kBlock) {
    const std::size_t count = std::min(kBlock, indices.size() - first);
    for (std::size_t i = 0; i < count; ++i) {
      places[i] = order_[static_cast<std::size_t>(indices[first + i])];
    }
    for (std::size_t f = 0; f < features.size(); ++f) {
      targets[f] =
          features[f] == nullptr ? nullptr : features[f] + first * features_[f].sample_bytes();
    }
    std::byte* label = labels == nullptr ? nullptr : labels + first * label_->sample_bytes();
    source_->read({places.data(), count}, {targets, features.size()}, label, inner);
  }
}

std::size_t PartedSource::scratch_bytes() const {
  constexpr std::size_t kAlignment = 64;
  const std::size_t targets = features_.size() * sizeof(std::byte*);
  return (targets + kAlignment - 1) / kAlignment * kAlignment + source_->scratch_bytes();
}

std::size_t PartedSource::resident_bytes() const {
  return source_->resident_bytes() + order_.size() * sizeof(std::uint32_t);
}

}  // namespace batchwise
