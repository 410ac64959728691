// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>

#include "data/data_source.h"

namespace batchwise {

// The samples of a source in another order: first those to train with, then those to validate with,
// as split_for_validation() counts them. Which are which is drawn by chance, as data often lies
// sorted by class, but is a function of their number alone: every seed, and a second training of
// the same model, keeps the same samples apart. Within both parts the order is the source's.
class PartedSource : public DataSource {
 public:
  // Throws Error where `fraction` is not in [0, 1) or leaves nothing to train with.
  PartedSource(std::shared_ptr<const DataSource> source, double fraction);

  void read(std::span<const std::int64_t> indices, std::span<std::byte* const> features,
            std::byte* labels, std::span<std::byte> scratch) const override;
  std::size_t scratch_bytes() const override;
  std::size_t resident_bytes() const override;

 private:
  std::shared_ptr<const DataSource> source_;
  std::vector<std::uint32_t> order_;
};

}  // namespace batchwise
