// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdlib>

#include "fuzz_http_bodies.h"
#include "serve/http/compression.h"
#include "serve/http/message_reader.h"
#include "serve/http/route.h"

// What a client sends on a connection, in pieces whose length is the first byte.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace batchwise::serve;
  using State = MessageReader::State;
  constexpr std::int64_t kMostBytes = 1 << 16;
  if (size < 1) return 0;
  const std::size_t step = data[0] == 0 ? size : data[0];
  std::span<const std::byte> rest(reinterpret_cast<const std::byte*>(data) + 1, size - 1);
  MessageReader reader(kMostBytes);
  std::vector<std::byte> pending, plain;
  while (!rest.empty()) {
    const auto piece = rest.first(std::min(step, rest.size()));
    rest = rest.subspan(piece.size());
    pending.insert(pending.end(), piece.begin(), piece.end());
    for (bool more = true; more;) {
      const std::size_t taken = reader.take(pending);
      if (taken > pending.size()) std::abort();
      pending.erase(pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(taken));
      if (reader.state() == State::kWrong) return 0;
      more = reader.state() == State::kDone;
      if (reader.state() == State::kBody) {
        const auto length = static_cast<std::size_t>(*reader.head().content_length);
        if (length > static_cast<std::size_t>(kMostBytes)) std::abort();
        more = pending.size() >= length;
        if (more) {
          static_cast<void>(unpack(std::span<const std::byte>(pending).first(length), Coding::kGzip,
                                   kMostBytes, plain));
          pending.erase(pending.begin(), pending.begin() + static_cast<std::ptrdiff_t>(length));
        }
      }
      if (!more) break;
      static_cast<void>(find_route(reader.head().target));
      if (reader.chunks().size() > static_cast<std::size_t>(kMostBytes)) std::abort();
      if (!reader.chunks().empty()) {
        static_cast<void>(unpack(reader.chunks(), Coding::kDeflate, kMostBytes, plain));
      }
      reader.restart();
    }
  }
  return 0;
}
