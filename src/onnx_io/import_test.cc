// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "batchwise/error.h"
#include "onnx_io/test_model.h"
#include "ops/op.h"

namespace batchwise::onnx_io {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// What reading throws; "" where it reads.
std::string error_of(const std::string& bytes) {
  try {
    read_bytes(bytes);
  } catch (const InternalError& error) {
    ADD_FAILURE() << error.what();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}
std::string error_of(const TestModel& model) { return error_of(model.bytes()); }

TestModel small_model() {
  TestModel model(13);
  model.input("x", {-1, 3}).floats("w", {3, 2}, {1, 2, 3, 4, 5, 6}).floats("b", {2}, {7, 8});
  model.node("Gemm", {"x", "w", "b"}, {"h"}).node("Relu", {"h"}, {"y"}).output("y");
  return model;
}

TEST(ReadOnnx, ReadsASmallModel) {
  const Graph graph = read_bytes(small_model().bytes());
  EXPECT_EQ(graph.nodes.size(), 2u);
  EXPECT_EQ(graph.value(graph.inputs[0]).batch, (BatchAxis{0, 1}));
  EXPECT_EQ(graph.shape(graph.outputs[0]), (Shape{1, 2}));
  const Tensor weight = graph.value(graph.find("w")).constant->materialized();
  EXPECT_EQ(weight.values<float>()[5], 6);
  verify(graph);
  verify_ops(graph);
}

TEST(ReadOnnx, RefusesEveryTruncation) {
  const std::string bytes = small_model().bytes();
  // The opset is last in the file: nothing that is cut off can be done without.
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_NE(error_of(bytes.substr(0, size)), "") << "cut to " << size << " of " << bytes.size();
  }
}

TEST(ReadOnnx, SurvivesEveryFlippedByte) {
  const std::string bytes = small_model().bytes();
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    for (const int flip : {0x01, 0x10, 0x80, 0xFF}) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ flip);
      error_of(damaged);  // may read, may refuse; fails where it throws anything else
    }
  }
}

TEST(ReadOnnx, NamesACycle) {
  TestModel model(13);
  model.input("x", {1, 3});
  model.node("Add", {"x", "b"}, {"a"}).node("Relu", {"a"}, {"b"}).output("b");
  EXPECT_THAT(error_of(model), AllOf(HasSubstr("cycle"), HasSubstr("Relu")));
}

TEST(ReadOnnx, OrdersNodesItself) {
  TestModel model(13);
  model.input("x", {1, 3});
  model.node("Relu", {"h"}, {"y"}).node("Neg", {"x"}, {"h"}).output("y");
  const Graph graph = read_bytes(model.bytes());
  EXPECT_EQ(graph.nodes[0].op, "Neg");
  EXPECT_EQ(graph.nodes[1].op, "Relu");
}

TEST(ReadOnnx, NamesAnUnknownValue) {
  TestModel model(13);
  model.input("x", {1, 3}).node("Add", {"x", "nowhere"}, {"y"}).output("y");
  EXPECT_THAT(error_of(model), AllOf(HasSubstr("the_Add"), HasSubstr("'nowhere'")));
}

TEST(ReadOnnx, NamesAnUnknownOp) {
  TestModel model(17);
  model.input("x", {1, 3}).node("Teleport", {"x"}, {"y"}).output("y");
  EXPECT_THAT(error_of(model),
              AllOf(HasSubstr("Teleport"), HasSubstr("the_Teleport"), HasSubstr("opset 17")));
  TestModel foreign(17);
  foreign.input("x", {1, 3}).node("Relu", {"x"}, {"y"}).output("y");
  foreign.graph().mutable_node(0)->set_domain("com.example");
  EXPECT_THAT(error_of(foreign), HasSubstr("com.example.Relu"));
}

TEST(ReadOnnx, RefusesInternalOps) {
  TestModel model(17);
  model.input("x", {1, 3}).node("SumTo", {"x"}, {"y"}).output("y");
  model.with("shape", std::vector<std::int64_t>{3});
  EXPECT_THAT(error_of(model), HasSubstr("not supported"));
}

TEST(ReadOnnx, RefusesAnOldOpset) {
  TestModel model(6);
  model.input("x", {1, 3}).node("Relu", {"x"}, {"y"}).output("y");
  EXPECT_THAT(error_of(model), AllOf(HasSubstr("opset 6"), HasSubstr("7")));
  TestModel none(13);
  none.proto.clear_opset_import();
  none.input("x", {1, 3}).node("Relu", {"x"}, {"y"}).output("y");
  EXPECT_NE(error_of(none), "");
}

TEST(ReadOnnx, ChecksTheSizeOfInitializers) {
  TestModel few = small_model();
  few.graph().mutable_initializer(0)->set_raw_data("12345678");
  EXPECT_THAT(error_of(few), AllOf(HasSubstr("'w'"), HasSubstr("24"), HasSubstr("8")));
  TestModel overflow = small_model();
  overflow.graph().mutable_initializer(0)->set_dims(0, std::int64_t{1} << 40);
  overflow.graph().mutable_initializer(0)->set_dims(1, std::int64_t{1} << 40);
  EXPECT_THAT(error_of(overflow), HasSubstr("'w'"));
  TestModel negative = small_model();
  negative.graph().mutable_initializer(0)->set_dims(0, -3);
  EXPECT_THAT(error_of(negative), HasSubstr("'w'"));
  TestModel typed = small_model();
  typed.graph().mutable_initializer(0)->clear_raw_data();
  typed.graph().mutable_initializer(0)->add_float_data(1);
  EXPECT_THAT(error_of(typed), AllOf(HasSubstr("'w'"), HasSubstr("[3, 2]")));
  TestModel type = small_model();
  type.graph().mutable_initializer(0)->set_data_type(99);
  EXPECT_THAT(error_of(type), HasSubstr("99"));
}

TEST(ReadOnnx, NamesShapesThatContradict) {
  TestModel model(13);
  model.input("x", {1, 3}).floats("w", {4, 2}, {1, 2, 3, 4, 5, 6, 7, 8});
  model.node("MatMul", {"x", "w"}, {"y"}).output("y");
  EXPECT_THAT(error_of(model), AllOf(HasSubstr("the_MatMul"), HasSubstr("3"), HasSubstr("4")));
  TestModel free_axis(13);
  free_axis.input("x", {1, -1}).node("Relu", {"x"}, {"y"}).output("y");
  EXPECT_THAT(error_of(free_axis), AllOf(HasSubstr("'x'"), HasSubstr("axis 1")));
}

TEST(ReadOnnx, NamesDuplicates) {
  TestModel values(13);
  values.input("x", {1, 3}).node("Relu", {"x"}, {"y"}).node("Neg", {"x"}, {"y"}).output("y");
  EXPECT_THAT(error_of(values), HasSubstr("'y' is made twice"));
  TestModel input = small_model();
  input.node("Neg", {"x"}, {"x"});
  EXPECT_THAT(error_of(input), HasSubstr("'x' is made twice"));
  TestModel constants = small_model();
  constants.floats("w", {1}, {1});
  EXPECT_THAT(error_of(constants), HasSubstr("'w' is there twice"));
  TestModel inputs = small_model();
  inputs.input("x", {1, 3});
  EXPECT_THAT(error_of(inputs), HasSubstr("'x' is there twice"));
}

TEST(ReadOnnx, NamesWhatIsMissing) {
  TestModel output = small_model();
  output.output("z");
  EXPECT_THAT(error_of(output), HasSubstr("'z'"));
  TestModel none = small_model();
  none.graph().clear_output();
  EXPECT_THAT(error_of(none), HasSubstr("no outputs"));
  TestModel no_operand(10);
  no_operand.input("x", {1, 3}).node("Clip", {}, {"y"}).output("y");
  no_operand.with_float("min", 0);
  EXPECT_THAT(error_of(no_operand), HasSubstr("the_Clip"));
  TestModel absent(10);
  absent.input("x", {1, 3}).node("Softmax", {""}, {"y"}).output("y");
  EXPECT_THAT(error_of(absent), HasSubstr("the_Softmax"));
  EXPECT_THAT(error_of(std::string("not a model")), HasSubstr("test.onnx"));
}

TEST(ReadOnnx, NamesAnOutputThatIsNotSupported) {
  TestModel model(13);
  model.input("x", {1, 1, 4, 4}).node("MaxPool", {"x"}, {"y", "indices"});
  model.with("kernel_shape", std::vector<std::int64_t>{2, 2}).output("indices");
  EXPECT_THAT(error_of(model), AllOf(HasSubstr("'indices'"), HasSubstr("the_MaxPool")));
}

TEST(ReadOnnx, PassesOverFieldsOfNewerFormats) {
  TestModel model = small_model();
  // TensorProto.metadata_props, field 16: its tag takes two bytes.
  auto* weight = model.graph().mutable_initializer(0);
  weight->GetReflection()->MutableUnknownFields(weight)->AddLengthDelimited(16, "abc");
  EXPECT_EQ(error_of(model), "");
}

class ExternalData : public testing::Test {
 public:
  ExternalData() : folder_(testing::TempDir() + "batchwise_XXXXXX") { mkdtemp(folder_.data()); }
  ~ExternalData() override { std::filesystem::remove_all(folder_); }

 protected:
  void write(const std::string& name, const std::string& bytes) {
    std::ofstream(folder_ + "/" + name, std::ios::binary).write(bytes.data(), std::ssize(bytes));
  }
  // Reads a model whose weights lie elsewhere; returns the message of its error.
  std::string error_at(const std::string& location, const std::string& offset = "",
                       const std::string& length = "") {
    TestModel model = small_model();
    auto* weight = model.graph().mutable_initializer(0);
    weight->clear_raw_data();
    weight->set_data_location(onnx::TensorProto::EXTERNAL);
    const auto add = [&](const char* key, const std::string& value) {
      auto* entry = weight->add_external_data();
      entry->set_key(key);
      entry->set_value(value);
    };
    add("location", location);
    if (!offset.empty()) add("offset", offset);
    if (!length.empty()) add("length", length);
    write("model.onnx", model.bytes());
    try {
      graph_ = read_onnx(folder_ + "/model.onnx");
    } catch (const InternalError& error) {
      ADD_FAILURE() << error.what();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }

  std::string folder_;
  Graph graph_;
};

TEST_F(ExternalData, IsReadBesideTheModel) {
  const std::vector<float> values{0, 1, 2, 3, 4, 5, 6, 7};
  write("weights", std::string(reinterpret_cast<const char*>(values.data()), 32));
  ASSERT_EQ(error_at("weights", "8", "24"), "");
  const Tensor weight = graph_.value(graph_.find("w")).constant->materialized();
  EXPECT_EQ(weight.values<float>()[0], 2);
  EXPECT_EQ(weight.values<float>()[5], 7);
}

TEST_F(ExternalData, IsNotReadElsewhere) {
  write("weights", std::string(32, '\0'));
  EXPECT_THAT(error_at("../weights", "0", "24"), HasSubstr("outside the model's folder"));
  EXPECT_THAT(error_at("/etc/passwd", "0", "24"), HasSubstr("outside the model's folder"));
  EXPECT_THAT(error_at("a/../../weights", "0", "24"), HasSubstr("outside the model's folder"));
}

TEST_F(ExternalData, MustHaveTheBytes) {
  write("weights", std::string(32, '\0'));
  EXPECT_THAT(error_at("weights", "16", "24"), AllOf(HasSubstr("'w'"), HasSubstr("32")));
  EXPECT_THAT(error_at("weights", "0", "20"), AllOf(HasSubstr("24"), HasSubstr("20")));
  EXPECT_THAT(error_at("weights", "-8", "24"), HasSubstr("'-8'"));
  EXPECT_THAT(error_at("weights", "999999999999999999", "24"), HasSubstr("'w'"));
  EXPECT_THAT(error_at("missing"), HasSubstr("missing"));
  EXPECT_THAT(error_at(""), HasSubstr("which file"));
}

TEST_F(ExternalData, IsRefusedInMemory) {
  TestModel model = small_model();
  model.graph().mutable_initializer(0)->clear_raw_data();
  model.graph().mutable_initializer(0)->set_data_location(onnx::TensorProto::EXTERNAL);
  EXPECT_THAT(error_of(model), HasSubstr("another file"));
}

// Exporters merge tensors that are equal at first, as the ones and zeros of fresh normalizations,
// and give the second an Identity of the first: tied in the file, apart in the user's model.
TEST(ReadOnnx, EqualTensorsThatWereMergedAreApartAgain) {
  TestModel model(17);
  model.input("x", {-1, 2, 4}).floats("scale", {2}, {1, 1}).floats("bias", {2}, {0, 0});
  model.node("Identity", {"scale"}, {"variance"}).node("Identity", {"bias"}, {"mean"});
  model.node("BatchNormalization", {"x", "scale", "bias", "mean", "variance"}, {"y"}).output("y");
  const Graph graph = read_bytes(model.bytes());
  ASSERT_EQ(graph.nodes.size(), 1u);
  for (const char* name : {"variance", "mean"}) {
    const Value& value = graph.value(graph.find(name));
    EXPECT_EQ(value.kind, ValueKind::kConstant) << name;
    EXPECT_EQ(value.constant->materialized().values<float>()[1], name[0] == 'v' ? 1 : 0);
  }
  EXPECT_EQ(graph.nodes[0].inputs[4], graph.find("variance"));
}

// Values that nobody would have twice by chance are one weight with two uses.
TEST(ReadOnnx, TiedWeightsStayTied) {
  TestModel model(17);
  model.input("x", {-1, 2}).floats("w", {2, 2}, {1, 2, 3, 4});
  model.node("Identity", {"w"}, {"v"}).node("MatMul", {"x", "w"}, {"h"});
  model.node("MatMul", {"h", "v"}, {"y"}).output("y");
  const Graph graph = read_bytes(model.bytes());
  EXPECT_EQ(graph.nodes.size(), 3u);
  EXPECT_NE(graph.value(graph.find("v")).kind, ValueKind::kConstant);
}

}  // namespace
}  // namespace batchwise::onnx_io
