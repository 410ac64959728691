// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "onnx_io/onnx_io.h"
#include "onnx_io/protobuf.h"

namespace batchwise::onnx_io {

// An ONNX model built message by message, right or wrong. For tests only.
class TestModel {
 public:
  explicit TestModel(std::int64_t opset) {
    proto.set_ir_version(8);
    auto* import = proto.add_opset_import();
    import->set_domain("");
    import->set_version(opset);
    graph().set_name("test");
  }

  onnx::GraphProto& graph() { return *proto.mutable_graph(); }

  // A dimension of -1 is free.
  TestModel& input(const std::string& name, const std::vector<std::int64_t>& dims,
                   int type = onnx::TensorProto::FLOAT) {
    auto* info = graph().add_input();
    info->set_name(name);
    auto* tensor = info->mutable_type()->mutable_tensor_type();
    tensor->set_elem_type(type);
    tensor->mutable_shape();
    for (const std::int64_t size : dims) {
      auto* dim = tensor->mutable_shape()->add_dim();
      if (size >= 0) {
        dim->set_dim_value(size);
      } else {
        dim->set_dim_param("N");
      }
    }
    return *this;
  }
  TestModel& output(const std::string& name) {
    graph().add_output()->set_name(name);
    return *this;
  }
  TestModel& floats(const std::string& name, const std::vector<std::int64_t>& dims,
                    const std::vector<float>& values) {
    auto* tensor = graph().add_initializer();
    tensor->set_name(name);
    tensor->set_data_type(onnx::TensorProto::FLOAT);
    for (const std::int64_t dim : dims) tensor->add_dims(dim);
    tensor->set_raw_data(values.data(), values.size() * sizeof(float));
    return *this;
  }
  TestModel& int64s(const std::string& name, const std::vector<std::int64_t>& values) {
    auto* tensor = graph().add_initializer();
    tensor->set_name(name);
    tensor->set_data_type(onnx::TensorProto::INT64);
    tensor->add_dims(static_cast<std::int64_t>(values.size()));
    for (const std::int64_t value : values) tensor->add_int64_data(value);
    return *this;
  }
  TestModel& node(const std::string& op, const std::vector<std::string>& inputs,
                  const std::vector<std::string>& outputs) {
    auto* node = graph().add_node();
    node->set_op_type(op);
    node->set_name("the_" + op);
    for (const auto& input : inputs) node->add_input(input);
    for (const auto& output : outputs) node->add_output(output);
    return *this;
  }
  // Attributes of the last node.
  TestModel& with(const std::string& name, std::int64_t value) {
    auto& attribute = add_attribute(name, onnx::AttributeProto::INT);
    attribute.set_i(value);
    return *this;
  }
  TestModel& with_float(const std::string& name, float value) {
    auto& attribute = add_attribute(name, onnx::AttributeProto::FLOAT);
    attribute.set_f(value);
    return *this;
  }
  TestModel& with(const std::string& name, const std::vector<std::int64_t>& values) {
    auto& attribute = add_attribute(name, onnx::AttributeProto::INTS);
    for (const std::int64_t value : values) attribute.add_ints(value);
    return *this;
  }

  std::string bytes() const { return proto.SerializeAsString(); }

  onnx::ModelProto proto;

 private:
  onnx::AttributeProto& add_attribute(const std::string& name,
                                      onnx::AttributeProto::AttributeType type) {
    auto* attribute = graph().mutable_node(graph().node_size() - 1)->add_attribute();
    attribute->set_name(name);
    attribute->set_type(type);
    return *attribute;
  }
};

// Bytes as a storage that owns them.
class StringStorage : public Storage {
 public:
  explicit StringStorage(std::string bytes) : bytes_(std::move(bytes)) {}
  const std::byte* data() const override {
    return reinterpret_cast<const std::byte*>(bytes_.data());
  }
  std::size_t bytes() const override { return bytes_.size(); }

 private:
  std::string bytes_;
};

inline Graph read_bytes(std::string bytes) {
  return read_onnx(std::make_shared<StringStorage>(std::move(bytes)), "test.onnx");
}

}  // namespace batchwise::onnx_io
