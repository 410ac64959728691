// SPDX-License-Identifier: Apache-2.0
#include <unordered_map>

#include "base/check.h"
#include "ops/families.h"

namespace batchwise {
namespace {

using RowIndex = std::unordered_map<std::string_view, const OpDef*>;

// Families whose rows exist; a new family gets its line here and in families.h.
std::vector<const OpDef*> join_families() {
  std::vector<const OpDef*> rows;
  for (const std::span<const OpDef> family : {
           elementwise_ops(),
           activation_ops(),
           reduction_ops(),
           reshape_ops(),
           indexing_ops(),
           constant_ops(),
           dropout_ops(),
           internal_ops(),
           matrix_ops(),
           convolution_ops(),
           pooling_ops(),
           normalization_ops(),
           softmax_ops(),
           loss_ops(),
           optimizer_ops(),
       }) {
    for (const OpDef& row : family) rows.push_back(&row);
  }
  return rows;
}

RowIndex index_by_name() {
  RowIndex rows;
  for (const OpDef* row : all_ops()) {
    BW_CHECK(rows.emplace(row->name, row).second, "two rows are named {}", row->name);
  }
  return rows;
}

}  // namespace

std::span<const OpDef* const> all_ops() {
  static const std::vector<const OpDef*> rows = join_families();
  return rows;
}

const OpDef* find_op(std::string_view name) {
  static const RowIndex rows = index_by_name();
  const auto it = rows.find(name);
  return it == rows.end() ? nullptr : it->second;
}

}  // namespace batchwise
