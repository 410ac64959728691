// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <optional>

#include "base/atomic_file.h"
#include "base/check.h"
#include "onnx_io/onnx_io.h"
#include "onnx_io/protobuf.h"
#include "ops/op.h"

namespace batchwise::onnx_io {
namespace {

constexpr std::int64_t kOpset = 20;
constexpr std::int64_t kIrVersion = 9;
// Protobuf cannot hold 2 GiB; half of that leaves room for everything else.
constexpr std::int64_t kMostInlineBytes = std::int64_t{1} << 30;

struct AttributeWriter {
  onnx::AttributeProto& proto;
  void operator()(std::int64_t value) const {
    proto.set_type(onnx::AttributeProto::INT);
    proto.set_i(value);
  }
  void operator()(double value) const {
    proto.set_type(onnx::AttributeProto::FLOAT);
    proto.set_f(static_cast<float>(value));
  }
  void operator()(const std::string& value) const {
    proto.set_type(onnx::AttributeProto::STRING);
    proto.set_s(value);
  }
  void operator()(const std::vector<std::int64_t>& value) const {
    proto.set_type(onnx::AttributeProto::INTS);
    for (std::int64_t item : value) proto.add_ints(item);
  }
  void operator()(const std::vector<double>& value) const {
    proto.set_type(onnx::AttributeProto::FLOATS);
    for (double item : value) proto.add_floats(static_cast<float>(item));
  }
  void operator()(const Tensor& value) const {
    proto.set_type(onnx::AttributeProto::TENSOR);
    const Tensor dense = value.materialized();
    proto.mutable_t()->set_data_type(static_cast<std::int32_t>(value.dtype()));
    for (std::int64_t dim : value.shape().dims()) proto.mutable_t()->add_dims(dim);
    proto.mutable_t()->set_raw_data(dense.data(), static_cast<std::size_t>(dense.bytes()));
  }
};

class Exporter {
 public:
  Exporter(const Graph& graph, std::string path) : graph_(graph), path_(std::move(path)) {
    std::int64_t bytes = 0;
    for (const Value& value : graph.values) {
      if (value.kind == ValueKind::kConstant) bytes += value.constant->bytes();
    }
    if (bytes > kMostInlineBytes) data_.emplace(path_ + ".data");
  }

  // Weights go from where they lie to the file, one after the other: a model takes no memory of its
  // size again while it is written. So the messages around them are put together by hand.
  void run() {
    onnx::ModelProto head;
    fill_head(head);
    onnx::GraphProto body;
    fill_body(body);
    const std::string body_bytes = serialized(body);
    std::vector<Initializer> initializers = list_initializers();
    std::uint64_t graph_bytes = body_bytes.size();
    for (const Initializer& each : initializers) graph_bytes += each.before.size() + each.raw_bytes;
    AtomicFile file(path_);
    file.write(serialized(head) + field_start(kGraphField, graph_bytes) + body_bytes);
    for (const Initializer& each : initializers) {
      file.write(each.before);
      if (each.raw_bytes > 0) {
        const Tensor dense = graph_.value(each.value).constant->materialized();
        file.write(std::span(dense.data(), each.raw_bytes));
      }
    }
    if (data_) data_->finish();
    file.finish();
  }

 private:
  static void write_info(const Value& value, onnx::ValueInfoProto& proto) {
    proto.set_name(value.name);
    auto* tensor = proto.mutable_type()->mutable_tensor_type();
    tensor->set_elem_type(static_cast<std::int32_t>(value.type.dtype));
    auto* shape = tensor->mutable_shape();
    for (int axis = 0; axis < value.type.shape.rank(); ++axis) {
      auto* dim = shape->add_dim();
      if (axis == value.batch.axis && value.batch.block == 1) {
        dim->set_dim_param("batch");
      } else if (axis != value.batch.axis) {
        dim->set_dim_value(value.type.shape[axis]);
      }
    }
  }

  // An initializer as it is written: the bytes before its raw data, and how long that is.
  struct Initializer {
    ValueId value;
    std::string before;
    std::size_t raw_bytes;
  };
  static constexpr int kGraphField = 7, kInitializerField = 5, kRawDataField = 9;

  template <typename Message>
  std::string serialized(const Message& message) const {
    std::string bytes;
    if (!message.SerializeToString(&bytes))
      fail_input(path_, "the model is too large for one file");
    return bytes;
  }

  // The tag and length of a length-delimited field.
  static std::string field_start(int field, std::uint64_t bytes) {
    std::string text(1, static_cast<char>((field << 3) | 2));
    for (; bytes >= 128; bytes >>= 7) text.push_back(static_cast<char>((bytes & 127) | 128));
    text.push_back(static_cast<char>(bytes));
    return text;
  }

  void fill_head(onnx::ModelProto& model) const {
    model.set_ir_version(kIrVersion);
    model.set_producer_name("batchwise");
    auto* import = model.add_opset_import();
    import->set_domain("");
    import->set_version(kOpset);
    for (const auto& [key, value] : graph_.metadata) {
      auto* entry = model.add_metadata_props();
      entry->set_key(key);
      entry->set_value(value);
    }
  }

  void fill_body(onnx::GraphProto& proto) const {
    proto.set_name(graph_.name.empty() ? "batchwise" : graph_.name);
    Graph carried = graph_;
    carry_batch(carried);
    for (ValueId id : graph_.inputs) write_info(carried.value(id), *proto.add_input());
    for (ValueId id : graph_.outputs) write_info(carried.value(id), *proto.add_output());
    for (const Node& node : graph_.nodes) write_node(node, *proto.add_node());
  }

  std::vector<Initializer> list_initializers() {
    std::vector<Initializer> list;
    const std::vector<int> uses = graph_.use_counts();
    for (std::size_t i = 0; i < graph_.values.size(); ++i) {
      const Value& value = graph_.values[i];
      if (value.kind != ValueKind::kConstant || uses[i] == 0) continue;
      onnx::TensorProto tensor;
      tensor.set_name(value.name);
      tensor.set_data_type(static_cast<std::int32_t>(value.type.dtype));
      for (std::int64_t dim : value.type.shape.dims()) tensor.add_dims(dim);
      const auto raw_bytes = static_cast<std::size_t>(value.constant->bytes());
      if (data_ && raw_bytes >= 1024) {
        write_external(tensor, value.constant->materialized().data(), raw_bytes);
        const std::string message = serialized(tensor);
        list.push_back({ValueId(i), field_start(kInitializerField, message.size()) + message, 0});
        continue;
      }
      const std::string message = serialized(tensor) + field_start(kRawDataField, raw_bytes);
      list.push_back({ValueId(i),
                      field_start(kInitializerField, message.size() + raw_bytes) + message,
                      raw_bytes});
    }
    return list;
  }

  void write_external(onnx::TensorProto& tensor, const std::byte* data, std::size_t bytes) {
    tensor.set_data_location(onnx::TensorProto::EXTERNAL);
    const auto add = [&](const char* key, const std::string& value) {
      auto* entry = tensor.add_external_data();
      entry->set_key(key);
      entry->set_value(value);
    };
    add("location", std::filesystem::path(path_ + ".data").filename().string());
    add("offset", std::to_string(data_bytes_));
    add("length", std::to_string(bytes));
    data_->write(std::span(data, bytes));
    data_bytes_ += bytes;
  }

  void write_node(const Node& node, onnx::NodeProto& proto) const {
    const OpDef& row = op_row(node.op);
    BW_CHECK(row.min_opset > 0 && node.epilogue.empty(), "{} is not an op of ONNX", node.op);
    proto.set_name(node.name);
    proto.set_op_type(node.op);
    for (ValueId id : node.inputs) proto.add_input(id == kNoValue ? "" : graph_.value(id).name);
    for (ValueId id : node.outputs) proto.add_output(id == kNoValue ? "" : graph_.value(id).name);
    for (const auto& [name, value] : node.attributes.values()) {
      auto* attribute = proto.add_attribute();
      attribute->set_name(name);
      std::visit(AttributeWriter{*attribute}, value);
    }
  }

  const Graph& graph_;
  std::string path_;
  std::optional<AtomicFile> data_;
  std::size_t data_bytes_ = 0;
};

// Names are identities in a file: values that builders named alike are told apart.
Graph with_unique_names(Graph graph) {
  std::map<std::string, int> seen;
  for (Value& value : graph.values) {
    int& count = seen[value.name];
    if (count++ > 0 || value.name.empty()) {
      std::string name;
      do {
        name = fmt::format("{}.{}", value.name, count++);
      } while (seen.count(name) != 0);
      seen[name] = 1;
      value.name = name;
    }
  }
  return graph;
}

}  // namespace

void write_onnx(const Graph& graph, const std::string& path) {
  const Graph named = with_unique_names(graph);
  Exporter(named, path).run();
}

}  // namespace batchwise::onnx_io
