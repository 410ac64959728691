// SPDX-License-Identifier: Apache-2.0
#include "fit/state_store.h"

#include "base/check.h"

namespace batchwise {

void StateStore::add(const std::string& name, std::int64_t bytes) {
  BW_CHECK(memory_ == nullptr, "{}", name);
  if (!rows_.emplace(name, Row{total_bytes_, bytes}).second) return;
  total_bytes_ += (bytes + 63) / 64 * 64;
}

void StateStore::map() { memory_ = std::make_shared<const Memory>(total_bytes_); }

Tensor StateStore::tensor(const std::string& name, Shape shape) const {
  return Tensor::view(DType::kFloat32, std::move(shape), memory_, data(name));
}

std::byte* StateStore::data(const std::string& name) const {
  const auto it = rows_.find(name);
  BW_CHECK(it != rows_.end(), "state {} is not there", name);
  return begin() + it->second.offset;
}

}  // namespace batchwise
