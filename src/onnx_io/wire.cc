// SPDX-License-Identifier: Apache-2.0
#include "onnx_io/wire.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <climits>
#include <filesystem>
#include <map>
#include <optional>

#include "base/check.h"
#include "onnx_io/mapped_file.h"

namespace batchwise::onnx_io {
namespace {

using google::protobuf::internal::WireFormatLite;

// A length-delimited part of the file.
struct Bytes {
  const std::byte* data;
  std::size_t size;
};

// Calls field(number, bytes) for each length-delimited field and scalar(number, value) for each
// varint of a message; other wire types are passed over. Sizes beyond 2 GiB, which protobuf's own
// stream cannot address, are read by hand: the stream only decodes numbers.
class FieldReader {
 public:
  FieldReader(Bytes bytes, const std::string& path) : bytes_(bytes), path_(path) {}

  template <typename Field, typename Scalar>
  void read(Field&& field, Scalar&& scalar) {
    while (at_ < bytes_.size) {
      const std::uint64_t tag = varint();
      const auto number = static_cast<int>(tag >> 3);
      switch (tag & 7) {
        case WireFormatLite::WIRETYPE_VARINT:
          scalar(number, varint());
          break;
        case WireFormatLite::WIRETYPE_FIXED64:
          skip(8);
          break;
        case WireFormatLite::WIRETYPE_FIXED32:
          skip(4);
          break;
        case WireFormatLite::WIRETYPE_LENGTH_DELIMITED: {
          const std::uint64_t size = varint();
          const std::byte* begin = bytes_.data + at_;
          skip(size);
          field(number, Bytes{begin, static_cast<std::size_t>(size)});
          break;
        }
        default:
          fail_input(path_, "is no ONNX model: bad field at byte {}", at_);
      }
    }
  }

 private:
  std::uint64_t varint() {
    const std::size_t left = std::min<std::size_t>(bytes_.size - at_, 16);
    google::protobuf::io::CodedInputStream stream(
        reinterpret_cast<const std::uint8_t*>(bytes_.data + at_), static_cast<int>(left));
    std::uint64_t value = 0;
    if (!stream.ReadVarint64(&value)) fail_input(path_, "is truncated at byte {}", at_);
    at_ += static_cast<std::size_t>(stream.CurrentPosition());
    return value;
  }
  void skip(std::uint64_t count) {
    if (count > bytes_.size - at_) {
      fail_input(path_, "is truncated: {} bytes wanted where {} are left", count,
                 bytes_.size - at_);
    }
    at_ += static_cast<std::size_t>(count);
  }

  Bytes bytes_;
  const std::string& path_;
  std::size_t at_ = 0;
};

template <typename Message>
Message parse(Bytes bytes, const std::string& path, const char* what) {
  Message message;
  if (bytes.size > INT_MAX || !message.ParseFromArray(bytes.data, static_cast<int>(bytes.size))) {
    fail_input(path, "is no ONNX model: a {} of {} bytes cannot be parsed", what, bytes.size);
  }
  return message;
}

DType checked_dtype(std::int64_t type, const std::string& where) {
  if (type <= 0 || type > 22 || dtype_bytes(static_cast<DType>(type)) == 0) {
    fail_input(where, "has element type {}, which is not supported", type);
  }
  return static_cast<DType>(type);
}

Tensor checked_view(DType dtype, Shape shape, Bytes bytes,
                    const std::shared_ptr<const Storage>& storage, const std::string& where) {
  const std::int64_t wanted = checked_bytes(shape, dtype_bytes(dtype), where);
  if (static_cast<std::uint64_t>(wanted) != bytes.size) {
    fail_input(where, "of {}{} wants {} bytes, not {}", dtype_name(dtype), shape.to_string(),
               wanted, bytes.size);
  }
  return Tensor::view(dtype, std::move(shape), storage, bytes.data);
}

class ModelReader {
 public:
  ModelReader(std::shared_ptr<const Storage> storage, const std::string& path, bool external)
      : storage_(std::move(storage)), path_(path), external_(external) {}

  WireModel read() {
    constexpr int kGraph = 7;
    std::string head;
    bool has_graph = false;
    FieldReader reader({storage_->data(), storage_->bytes()}, path_);
    reader.read(
        [&](int number, Bytes bytes) {
          if (number == kGraph) {
            has_graph = true;
            read_graph(bytes);
          } else if (number == 8 || number == 14) {  // opset_import, metadata_props
            append_field(head, number, bytes);
          }
        },
        [&](int number, std::uint64_t value) {
          if (number == 1) model_.head.set_ir_version(static_cast<std::int64_t>(value));
        });
    if (!has_graph) fail_input(path_, "is no ONNX model: it has no graph");
    model_.head.MergeFrom(parse<onnx::ModelProto>(
        {reinterpret_cast<const std::byte*>(head.data()), head.size()}, path_, "model"));
    return std::move(model_);
  }

 private:
  // Fields above 15, whose tags take more than a byte, hold nothing that is read.
  static void append_field(std::string& out, int number, Bytes bytes) {
    if (number > 15) return;
    out.push_back(static_cast<char>((number << 3) | 2));
    for (std::size_t rest = bytes.size;;) {
      const auto digit = static_cast<char>(rest & 127);
      rest >>= 7;
      out.push_back(rest != 0 ? static_cast<char>(digit | char(-128)) : digit);
      if (rest == 0) break;
    }
    out.append(reinterpret_cast<const char*>(bytes.data), bytes.size);
  }

  void read_graph(Bytes graph) {
    FieldReader reader(graph, path_);
    reader.read(
        [&](int number, Bytes bytes) {
          switch (number) {
            case 1:
              model_.nodes.push_back(parse<onnx::NodeProto>(bytes, path_, "node"));
              break;
            case 2:
              model_.graph_name.assign(reinterpret_cast<const char*>(bytes.data), bytes.size);
              break;
            case 5:
              read_initializer(bytes);
              break;
            case 11:
              model_.inputs.push_back(parse<onnx::ValueInfoProto>(bytes, path_, "input"));
              break;
            case 12:
              model_.outputs.push_back(parse<onnx::ValueInfoProto>(bytes, path_, "output"));
              break;
            case 15:
              fail_input(path_, "has sparse initializers, which are not supported");
            default:
              break;
          }
        },
        [](int, std::uint64_t) {});
  }

  // Large raw data is viewed; everything else of a tensor is small and parsed by protobuf.
  void read_initializer(Bytes bytes) {
    constexpr int kRawData = 9;
    std::string rest;
    std::optional<Bytes> raw;
    std::vector<std::int64_t> unpacked_dims;
    std::int64_t data_type = 0, location = 0;
    FieldReader reader(bytes, path_);
    reader.read(
        [&](int number, Bytes field) {
          if (number == kRawData) {
            raw = field;
          } else {
            append_field(rest, number, field);
          }
        },
        [&](int number, std::uint64_t value) {
          if (number == 1) unpacked_dims.push_back(static_cast<std::int64_t>(value));
          if (number == 2) data_type = static_cast<std::int64_t>(value);
          if (number == 14) location = static_cast<std::int64_t>(value);
        });
    auto proto = parse<onnx::TensorProto>(
        {reinterpret_cast<const std::byte*>(rest.data()), rest.size()}, path_, "initializer");
    for (std::int64_t dim : unpacked_dims) proto.add_dims(dim);
    proto.set_data_type(static_cast<std::int32_t>(data_type));
    const std::string where = "initializer '" + proto.name() + "'";
    if (location == onnx::TensorProto::EXTERNAL) {
      model_.initializers.emplace_back(proto.name(), external_tensor(proto, where));
    } else if (raw) {
      Shape shape(std::vector<std::int64_t>(proto.dims().begin(), proto.dims().end()));
      const DType dtype = checked_dtype(data_type, where);
      model_.initializers.emplace_back(
          proto.name(), checked_view(dtype, std::move(shape), *raw, storage_, where));
    } else {
      model_.initializers.emplace_back(proto.name(), to_tensor(proto, where));
    }
  }

  Tensor external_tensor(const onnx::TensorProto& proto, const std::string& where) {
    if (!external_) fail_input(where, "lies in another file, which is not read here");
    std::map<std::string, std::string> entries;
    for (const auto& entry : proto.external_data()) entries[entry.key()] = entry.value();
    const std::filesystem::path name = entries["location"];
    if (name.empty()) fail_input(where, "does not say in which file it lies");
    for (const auto& part : name) {
      if (part == ".." || name.is_absolute()) {
        fail_input(where, "lies outside the model's folder: {}", name.string());
      }
    }
    const std::string file = (std::filesystem::path(path_).parent_path() / name).string();
    auto& storage = files_[file];
    if (!storage) storage = map_file(file);
    const std::uint64_t offset = number(entries["offset"], 0, where);
    const std::uint64_t length =
        number(entries["length"],
               storage->bytes() - std::min<std::uint64_t>(offset, storage->bytes()), where);
    if (offset > storage->bytes() || length > storage->bytes() - offset) {
      fail_input(where, "wants bytes {} to {} of {}, which has {}", offset, offset + length, file,
                 storage->bytes());
    }
    Shape shape(std::vector<std::int64_t>(proto.dims().begin(), proto.dims().end()));
    return checked_view(checked_dtype(proto.data_type(), where), std::move(shape),
                        {storage->data() + offset, static_cast<std::size_t>(length)}, storage,
                        where);
  }

  static std::uint64_t number(const std::string& text, std::uint64_t fallback,
                              const std::string& where) {
    if (text.empty()) return fallback;
    if (text.size() > 18 || text.find_first_not_of("0123456789") != std::string::npos) {
      fail_input(where, "has '{}' where a number of bytes belongs", text);
    }
    return std::stoull(text);
  }

  std::shared_ptr<const Storage> storage_;
  const std::string& path_;
  bool external_;
  WireModel model_;
  std::map<std::string, std::shared_ptr<const Storage>> files_;
};

template <typename T, typename Field>
Tensor from_field(Shape shape, const Field& field, const std::string& where) {
  if (field.size() != shape.elements()) {
    fail_input(where, "of shape {} has {} values", shape.to_string(), field.size());
  }
  Tensor tensor = Tensor::zeros(dtype_of<T>(), std::move(shape));
  auto* out = reinterpret_cast<T*>(tensor.mutable_data());
  for (const auto value : field) *out++ = static_cast<T>(value);
  return tensor;
}

}  // namespace

Tensor to_tensor(const onnx::TensorProto& proto, const std::string& where) {
  Shape shape(std::vector<std::int64_t>(proto.dims().begin(), proto.dims().end()));
  const DType dtype = checked_dtype(proto.data_type(), where);
  const std::int64_t bytes = checked_bytes(shape, dtype_bytes(dtype), where);
  if (proto.has_raw_data()) {
    if (static_cast<std::int64_t>(proto.raw_data().size()) != bytes) {
      fail_input(where, "of {}{} wants {} bytes, not {}", dtype_name(dtype), shape.to_string(),
                 bytes, proto.raw_data().size());
    }
    return Tensor::copy_of(dtype, std::move(shape), proto.raw_data().data());
  }
  switch (dtype) {
    case DType::kFloat32:
      return from_field<float>(std::move(shape), proto.float_data(), where);
    case DType::kFloat64:
      return from_field<double>(std::move(shape), proto.double_data(), where);
    case DType::kInt64:
      return from_field<std::int64_t>(std::move(shape), proto.int64_data(), where);
    case DType::kInt32:
      return from_field<std::int32_t>(std::move(shape), proto.int32_data(), where);
    case DType::kUInt8:
      return from_field<std::uint8_t>(std::move(shape), proto.int32_data(), where);
    case DType::kBool:
      return from_field<bool>(std::move(shape), proto.int32_data(), where);
    default:
      fail_input(where, "has element type {}, which is not supported here", dtype_name(dtype));
  }
}

WireModel read_wire(const std::shared_ptr<const Storage>& storage, const std::string& path,
                    bool external) {
  return ModelReader(storage, path, external).read();
}

}  // namespace batchwise::onnx_io
