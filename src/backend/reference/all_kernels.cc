// SPDX-License-Identifier: Apache-2.0
#include <unordered_map>

#include "backend/reference/families.h"
#include "base/check.h"

namespace batchwise::reference {
namespace {

using RowIndex = std::unordered_map<std::string_view, const ReferenceRow*>;

std::vector<const ReferenceRow*> join_families() {
  std::vector<const ReferenceRow*> rows;
  for (const std::span<const ReferenceRow> family : {
           elementwise_kernels(),
           activation_kernels(),
           reduction_kernels(),
           reshape_kernels(),
           indexing_kernels(),
           constant_kernels(),
           dropout_kernels(),
           matrix_kernels(),
           convolution_kernels(),
           pooling_kernels(),
           normalization_kernels(),
           softmax_kernels(),
           loss_kernels(),
           optimizer_kernels(),
       }) {
    for (const ReferenceRow& row : family) rows.push_back(&row);
  }
  return rows;
}

RowIndex index_by_op() {
  RowIndex rows;
  for (const ReferenceRow* row : all_reference_rows()) {
    BW_CHECK(rows.emplace(row->op, row).second, "two reference kernels for {}", row->op);
  }
  return rows;
}

// A node apart from its graph, which may be gone when the kernel runs: the values that it touches,
// without their elements, except integers (axes, shapes), which kernels read at run time.
class OwnNode {
 public:
  explicit OwnNode(const NodeView& view) : node_(view.node()) {
    for (ValueId& id : node_.inputs) id = copy(view, id);
    for (ValueId& id : node_.outputs) id = copy(view, id);
  }
  NodeView view() const { return {graph_, node_}; }

 private:
  ValueId copy(const NodeView& view, ValueId id) {
    if (id == kNoValue) return id;
    Value value = view.graph().value(id);
    value.producer = kNoNode;
    if (value.type.dtype != DType::kInt64 || value.kind != ValueKind::kConstant) {
      value.kind = ValueKind::kInput;
      value.constant.reset();
    }
    return graph_.add_value(std::move(value));
  }

  Graph graph_;
  Node node_;
};

class ReferenceKernel : public Kernel {
 public:
  ReferenceKernel(const ReferenceRow& row, const NodeView& view) : row_(row), node_(view) {}

  void run(const KernelCall& call) const override {
    row_.run({node_.view(), call.inputs, call.outputs, call.state});
  }

 private:
  const ReferenceRow& row_;
  OwnNode node_;
};

std::optional<std::string> refuse(const KernelRequest& request) {
  if (request.node().epilogue.empty()) return std::nullopt;
  return "it applies no epilogue";
}

std::unique_ptr<Kernel> prepare(const KernelRequest& request) {
  const ReferenceRow* row = find_reference(request.node().op);
  BW_CHECK(row != nullptr, "{}", request.where());
  return std::make_unique<ReferenceKernel>(*row, request);
}

std::vector<KernelDef> make_kernel_rows() {
  std::vector<KernelDef> rows;
  for (const ReferenceRow* row : all_reference_rows()) {
    rows.push_back({.op = row->op, .name = "reference", .refuse = refuse, .prepare = prepare});
  }
  return rows;
}

std::vector<const KernelDef*> point_to(const std::vector<KernelDef>& rows) {
  std::vector<const KernelDef*> pointers;
  for (const KernelDef& row : rows) pointers.push_back(&row);
  return pointers;
}

}  // namespace

std::span<const ReferenceRow* const> all_reference_rows() {
  static const std::vector<const ReferenceRow*> rows = join_families();
  return rows;
}

const ReferenceRow* find_reference(std::string_view op) {
  static const RowIndex rows = index_by_op();
  const auto it = rows.find(op);
  return it == rows.end() ? nullptr : it->second;
}

const Backend& reference_backend() {
  static const std::vector<KernelDef> rows = make_kernel_rows();
  static const std::vector<const KernelDef*> pointers = point_to(rows);
  static const Backend backend{"reference", pointers};
  return backend;
}

}  // namespace batchwise::reference
