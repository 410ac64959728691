// SPDX-License-Identifier: Apache-2.0
#include "serve/grpc/read_message.h"

#include <fmt/format.h>
#include <google/protobuf/message_lite.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <zlib.h>

#include <algorithm>
#include <string>
#include <vector>

// A friend that ByteBuffer names and gRPC leaves undefined: nothing else tells whether a message
// came compressed.
namespace grpc::internal {
class GrpcByteBufferPeer {
 public:
  static bool is_compressed(ByteBuffer bytes) {
    const grpc_byte_buffer* buffer = bytes.c_buffer();
    return buffer != nullptr && buffer->data.raw.compression != GRPC_COMPRESS_NONE;
  }
};
}  // namespace grpc::internal

namespace batchwise::serve {
namespace {

Refusal no_message(const google::protobuf::MessageLite& message) {
  return {Status::kInvalid, fmt::format("the message is no {}", message.GetTypeName()), 0};
}

// zlib's state, for its own and gzip's format.
class Inflater {
 public:
  Inflater() { is_good_ = inflateInit2(&stream_, 15 + 32) == Z_OK; }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  // Appends to `into`, up to `most_bytes` and one more. False: the bytes are none of zlib's.
  bool append(const grpc::Slice& slice, std::size_t most_bytes, std::string& into) {
    constexpr std::size_t kStep = 64 << 10;
    stream_.next_in = const_cast<std::uint8_t*>(slice.begin());
    stream_.avail_in = static_cast<uInt>(slice.size());
    while (is_good_ && !is_at_end_ && into.size() <= most_bytes) {
      const std::size_t before = into.size();
      const std::size_t room = std::min({kStep, most_bytes + 1 - before});
      into.resize(before + room);
      stream_.next_out = reinterpret_cast<Bytef*>(into.data() + before);
      stream_.avail_out = static_cast<uInt>(room);
      const int code = inflate(&stream_, Z_NO_FLUSH);
      into.resize(before + room - stream_.avail_out);
      is_at_end_ = code == Z_STREAM_END;
      is_good_ = is_at_end_ || code == Z_OK || code == Z_BUF_ERROR;
      if (stream_.avail_in == 0 && stream_.avail_out != 0) break;
    }
    return is_good_;
  }
  bool is_at_end() const { return is_at_end_; }

 private:
  z_stream stream_{};
  bool is_good_ = false, is_at_end_ = false;
};

std::optional<Refusal> read_compressed(const grpc::ByteBuffer& bytes, std::size_t most_bytes,
                                       google::protobuf::MessageLite& into) {
  std::vector<grpc::Slice> slices;
  if (!bytes.Dump(&slices).ok()) return no_message(into);
  Inflater inflater;
  std::string text;
  for (const grpc::Slice& slice : slices) {
    if (!inflater.append(slice, most_bytes, text)) {
      return Refusal{Status::kInvalid, "the message is compressed in no way that gRPC has", 0};
    }
    if (text.size() > most_bytes) {
      return Refusal{Status::kTooLarge,
                     fmt::format("the message has more than {} bytes", most_bytes), 0};
    }
  }
  if (!inflater.is_at_end()) return Refusal{Status::kInvalid, "the message is cut short", 0};
  if (!into.ParseFromString(text)) return no_message(into);
  return std::nullopt;
}

}  // namespace

std::optional<Refusal> read_message(const grpc::ByteBuffer& bytes, std::size_t most_bytes,
                                    google::protobuf::MessageLite& into) {
  if (grpc::internal::GrpcByteBufferPeer::is_compressed(bytes)) {
    return read_compressed(bytes, most_bytes, into);
  }
  grpc::Slice whole;
  if (bytes.TrySingleSlice(&whole).ok()) {
    if (!into.ParseFromArray(whole.begin(), static_cast<int>(whole.size())))
      return no_message(into);
    return std::nullopt;
  }
  grpc::ByteBuffer copy(bytes);  // of the references: the reader wants to own it
  grpc::ProtoBufferReader reader(&copy);
  if (!reader.status().ok() || !into.ParseFromZeroCopyStream(&reader)) return no_message(into);
  return std::nullopt;
}

}  // namespace batchwise::serve
