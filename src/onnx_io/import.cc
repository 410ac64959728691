// SPDX-License-Identifier: Apache-2.0
#include <climits>
#include <map>
#include <set>

#include "base/check.h"
#include "onnx_io/lower.h"
#include "onnx_io/mapped_file.h"
#include "onnx_io/node_order.h"
#include "onnx_io/onnx_io.h"
#include "onnx_io/wire.h"

namespace batchwise::onnx_io {
namespace {

constexpr std::int64_t kOldestOpset = 7;

std::int64_t opset_of(const onnx::ModelProto& head, const std::string& path) {
  std::int64_t opset = 0;
  for (const auto& import : head.opset_import()) {
    if (import.domain().empty() || import.domain() == "ai.onnx") opset = import.version();
  }
  if (opset < kOldestOpset) {
    fail_input(path, "uses opset {}; {} and newer are supported", opset, kOldestOpset);
  }
  return opset;
}

AttributeValue to_attribute(const onnx::AttributeProto& proto, const std::string& where) {
  switch (proto.type()) {
    case onnx::AttributeProto::INT:
      return static_cast<std::int64_t>(proto.i());
    case onnx::AttributeProto::FLOAT:
      return static_cast<double>(proto.f());
    case onnx::AttributeProto::STRING:
      return proto.s();
    case onnx::AttributeProto::INTS:
      return std::vector<std::int64_t>(proto.ints().begin(), proto.ints().end());
    case onnx::AttributeProto::FLOATS:
      return std::vector<double>(proto.floats().begin(), proto.floats().end());
    case onnx::AttributeProto::TENSOR:
      return to_tensor(proto.t(), where);
    default:
      fail_input(where, "attribute {} has a type that is not supported: {}", proto.name(),
                 static_cast<int>(proto.type()));
  }
}

class Importer {
 public:
  Importer(WireModel wire, std::string path) : wire_(std::move(wire)), path_(std::move(path)) {}

  Graph run() {
    opset_ = opset_of(wire_.head, path_);
    graph_.name = wire_.graph_name;
    for (const auto& entry : wire_.head.metadata_props())
      graph_.metadata[entry.key()] = entry.value();
    add_constants();
    add_inputs();
    std::set<std::string> known;
    for (const auto& [name, id] : values_) known.insert(name);
    for (const onnx::NodeProto* node : order_nodes(wire_.nodes, known, path_)) add_node(*node);
    add_outputs();
    return std::move(graph_);
  }

 private:
  void add_constants() {
    for (auto& [name, tensor] : wire_.initializers) {
      if (!values_.emplace(name, graph_.add_constant(name, tensor)).second) {
        fail_input(path_, "initializer '{}' is there twice", name);
      }
    }
  }

  void add_inputs() {
    for (const auto& info : wire_.inputs) {
      const auto same = values_.find(info.name());
      if (same != values_.end()) {
        if (graph_.value(same->second).kind == ValueKind::kConstant) continue;
        fail_input(path_, "input '{}' is there twice", info.name());
      }
      add_input(info);
    }
  }

  void add_input(const onnx::ValueInfoProto& info) {
    const std::string where = "input '" + info.name() + "'";
    const auto& tensor = info.type().tensor_type();
    if (!info.type().has_tensor_type() || !tensor.has_shape()) {
      fail_input(where, "is no tensor of a known rank");
    }
    const auto dtype = static_cast<DType>(tensor.elem_type());
    if (tensor.elem_type() <= 0 || tensor.elem_type() > 22 || dtype_bytes(dtype) == 0) {
      fail_input(where, "has element type {}, which is not supported", tensor.elem_type());
    }
    std::vector<std::int64_t> dims;
    BatchAxis batch;
    for (int axis = 0; axis < tensor.shape().dim_size(); ++axis) {
      const auto& dim = tensor.shape().dim(axis);
      const bool free = !dim.has_dim_value() || dim.dim_value() <= 0;
      if (free && axis > 0) {
        fail_input(where, "axis {} ('{}') has no size; only axis 0, the batch, may be free", axis,
                   dim.dim_param());
      }
      if (free) batch = {0, 1};
      dims.push_back(free ? 1 : dim.dim_value());
    }
    checked_bytes(Shape(dims), dtype_bytes(dtype), where);
    values_[info.name()] = graph_.add_input(info.name(), {dtype, Shape(dims)}, batch);
  }

  void add_node(const onnx::NodeProto& proto) {
    const std::string where = fmt::format("{} '{}'", proto.op_type(), proto.name());
    const OpDef* row = find_op(proto.op_type());
    const bool standard = proto.domain().empty() || proto.domain() == "ai.onnx";
    if (!standard || row == nullptr || row->min_opset == 0) {
      fail_input(where, "this op is not supported: {}{} of opset {}",
                 standard ? "" : proto.domain() + ".", proto.op_type(), opset_);
    }
    OldNode old{.name = proto.name(), .op = proto.op_type(), .opset = opset_, .where = where};
    if (old.name.empty() && proto.output_size() > 0) old.name = proto.output(0);
    for (const auto& input : proto.input()) {
      old.inputs.push_back(input.empty() ? kNoValue : find_value(input, where));
    }
    for (const auto& attribute : proto.attribute()) {
      old.attributes.set(attribute.name(), to_attribute(attribute, where));
    }
    old.num_outputs = proto.output_size();
    const std::vector<ValueId> outputs = lower_node(graph_, old);
    for (int o = 0; o < proto.output_size(); ++o) {
      if (proto.output(o).empty()) continue;
      const auto position = static_cast<std::size_t>(o);
      if (position >= outputs.size() || outputs[position] == kNoValue) {
        unsupported_[proto.output(o)] = where;
        continue;
      }
      Value& value = graph_.value(outputs[position]);
      value.name = proto.output(o);
      values_[proto.output(o)] = outputs[position];
    }
  }

  // Throws Error where nothing makes the value, or nothing that is supported.
  ValueId find_value(const std::string& name, const std::string& where) const {
    const auto it = values_.find(name);
    if (it != values_.end()) return it->second;
    const auto maker = unsupported_.find(name);
    if (maker == unsupported_.end()) fail_input(where, "uses '{}', which nothing makes", name);
    fail_input(where, "uses '{}', an output of {} that is not supported", name, maker->second);
  }

  void add_outputs() {
    for (const auto& info : wire_.outputs) {
      graph_.outputs.push_back(find_value(info.name(), path_));
    }
    if (graph_.outputs.empty()) fail_input(path_, "the model has no outputs");
    if (graph_.inputs.empty()) fail_input(path_, "the model has no inputs");
  }

  WireModel wire_;
  std::string path_;
  std::int64_t opset_ = 0;
  Graph graph_;
  std::map<std::string, ValueId> values_;
  std::map<std::string, std::string> unsupported_;
};

}  // namespace

Graph read_onnx(const std::shared_ptr<const Storage>& storage, const std::string& path) {
  return Importer(read_wire(storage, path, false), path).run();
}

Graph read_onnx(const std::string& path) {
  return Importer(read_wire(map_file(path), path, true), path).run();
}

Tensor read_tensor(const std::string& path) {
  const auto storage = map_file(path);
  onnx::TensorProto proto;
  const auto bytes = static_cast<std::int64_t>(storage->bytes());
  if (bytes > INT_MAX || !proto.ParseFromArray(storage->data(), static_cast<int>(bytes))) {
    fail_input(path, "is no tensor of ONNX: its {} bytes cannot be parsed", bytes);
  }
  return to_tensor(proto, path);
}

}  // namespace batchwise::onnx_io
