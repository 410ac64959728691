// SPDX-License-Identifier: Apache-2.0
#include "fit/state_store.h"

#include "base/check.h"

namespace batchwise {

void StateStore::add(const std::string& name, std::int64_t bytes) {
  BW_CHECK(memory_.data() == nullptr, "{}", name);
  if (!rows_.emplace(name, Row{total_bytes_, bytes}).second) return;
  total_bytes_ += (bytes + 63) / 64 * 64;
}

void StateStore::map() { memory_ = MappedBuffer(total_bytes_); }

std::byte* StateStore::data(const std::string& name) const {
  const auto it = rows_.find(name);
  BW_CHECK(it != rows_.end(), "state {} is not there", name);
  return memory_.data() + it->second.offset;
}

}  // namespace batchwise
