// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <set>

#include "backend/reference/reference.h"
#include "op_case.h"

namespace batchwise::op_cases {
namespace {

// Steps that backends insert, each in a form of its own: their folders test them.
const std::set<std::string_view> kBackendsOwn{"Pack", "Reorder"};

std::set<std::string> ops_in_cases() {
  std::set<std::string> ops;
  for (const OpCases& cases : all_cases()) {
    for (const OpCase& op_case : cases.cases) {
      CaseGraph graph = build_case(cases.op, op_case, DType::kFloat64);
      add_case_gradients(graph, op_case.seeded_outputs);
      for (const Node& node : graph.graph.nodes) ops.insert(node.op);
    }
  }
  return ops;
}

TEST(OpCoverage, EveryRowHasACase) {
  const std::set<std::string> covered = ops_in_cases();
  for (const OpDef* row : all_ops()) {
    if (kBackendsOwn.count(row->name)) continue;
    EXPECT_TRUE(covered.count(std::string(row->name)))
        << row->name << " has no op case: add one to tests/ops";
  }
}

TEST(OpCoverage, EveryRowHasAReferenceKernel) {
  for (const OpDef* row : all_ops()) {
    if (kBackendsOwn.count(row->name)) continue;
    EXPECT_NE(reference::find_reference(row->name), nullptr) << row->name;
  }
  for (const reference::ReferenceRow* row : reference::all_reference_rows()) {
    EXPECT_NE(find_op(row->op), nullptr) << row->op;
  }
}

TEST(OpCoverage, RowsAreComplete) {
  for (const OpDef* row : all_ops()) {
    EXPECT_FALSE(row->doc.empty()) << row->name;
    EXPECT_NE(row->infer, nullptr) << row->name;
    EXPECT_TRUE(row->carry != nullptr || row->max_inputs <= 1) << row->name;
  }
}

}  // namespace
}  // namespace batchwise::op_cases
