// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/movement.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "backend/cpu/parallel_range.h"
#include "base/check.h"

namespace batchwise::cpu {
namespace {

const std::byte* at(const void* base, std::int64_t bytes) {
  return static_cast<const std::byte*>(base) + bytes;
}
std::byte* at(void* base, std::int64_t bytes) { return static_cast<std::byte*>(base) + bytes; }

// Blocks of a few bytes are copied as words: memcpy's call would cost more than the copy.
template <class Word>
void copy_words(PartRange rows, const std::byte* from, std::int64_t from_stride, std::byte* to,
                std::int64_t to_stride) {
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    std::memcpy(to + row * to_stride, from + row * from_stride, sizeof(Word));
  }
}

template <class Index>
std::int64_t first_bad_index(const Gather& gather, const Index* indices) {
  for (std::int64_t i = 0; i < gather.num_indices; ++i) {
    if (indices[i] < -gather.entries || indices[i] >= gather.entries) return i;
  }
  return -1;
}

template <class Index>
std::int64_t gather_of(const Gather& gather, std::int64_t entry_bytes, const Index* indices,
                       const void* from, void* to, ThreadPool* pool) {
  const std::int64_t bad = first_bad_index(gather, indices);
  if (bad >= 0 || entry_bytes == 0) return bad;
  for_each_range(pool, gather.outer * gather.num_indices, entry_bytes / 4 + 1, 1,
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t row = begin; row < end; ++row) {
                     const std::int64_t outer = row / gather.num_indices;
                     std::int64_t entry = indices[row % gather.num_indices];
                     if (entry < 0) entry += gather.entries;
                     std::memcpy(at(to, row * entry_bytes),
                                 at(from, (outer * gather.entries + entry) * entry_bytes),
                                 static_cast<std::size_t>(entry_bytes));
                   }
                 });
  return -1;
}

template <class Index>
std::int64_t gather_grad_of(const Gather& gather, std::int64_t inner, const Index* indices,
                            const float* dy, bool continues, float* dx, ThreadPool* pool) {
  const std::int64_t bad = first_bad_index(gather, indices);
  if (bad >= 0) return bad;
  // A part takes some columns of all rows, so that each sum keeps its order.
  for_each_range(pool, inner, gather.outer * gather.num_indices, 16,
                 [&](std::int64_t begin, std::int64_t end) {
                   for (std::int64_t outer = 0; outer < gather.outer; ++outer) {
                     float* base = dx + outer * gather.entries * inner;
                     if (!continues) {
                       for (std::int64_t e = 0; e < gather.entries; ++e) {
                         std::fill(base + e * inner + begin, base + e * inner + end, 0.0f);
                       }
                     }
                     for (std::int64_t i = 0; i < gather.num_indices; ++i) {
                       std::int64_t entry = indices[i];
                       if (entry < 0) entry += gather.entries;
                       float* row = base + entry * inner;
                       const float* slope = dy + (outer * gather.num_indices + i) * inner;
                       for (std::int64_t c = begin; c < end; ++c) row[c] += slope[c];
                     }
                   }
                 });
  return -1;
}

template <class To, class From>
To convert(From x) {
  if constexpr (std::is_same_v<To, bool>) {
    return x != From{0};
  } else if constexpr (std::is_floating_point_v<From> && !std::is_floating_point_v<To>) {
    // 2^63 and the like are exact as floats, the greatest integer itself may not be.
    constexpr From kEnd =
        static_cast<From>(To{1} << (std::numeric_limits<To>::digits - 1)) * From{2};
    if (!(x > static_cast<From>(std::numeric_limits<To>::min()))) {
      return std::isnan(x) ? To{0} : std::numeric_limits<To>::min();
    }
    return x >= kEnd ? std::numeric_limits<To>::max() : static_cast<To>(x);
  } else {
    return static_cast<To>(x);
  }
}

template <class Call>
bool with_type(DType dtype, const Call& call) {
  switch (dtype) {
    case DType::kFloat32:
      call(float{});
      return true;
    case DType::kFloat64:
      call(double{});
      return true;
    case DType::kInt64:
      call(std::int64_t{});
      return true;
    case DType::kInt32:
      call(std::int32_t{});
      return true;
    case DType::kUInt8:
      call(std::uint8_t{});
      return true;
    case DType::kBool:
      call(bool{});
      return true;
    default:
      return false;
  }
}

}  // namespace

void copy_blocks(std::int64_t rows, std::int64_t block_bytes, const void* from,
                 std::int64_t from_stride_bytes, void* to, std::int64_t to_stride_bytes,
                 ThreadPool* pool) {
  if (block_bytes == 0) return;
  for_each_range(pool, rows, block_bytes / 4 + 1, 1, [&](std::int64_t begin, std::int64_t end) {
    const PartRange range{begin, end};
    const std::byte* source = at(from, 0);
    std::byte* target = at(to, 0);
    if (block_bytes == 4) {
      return copy_words<std::uint32_t>(range, source, from_stride_bytes, target, to_stride_bytes);
    }
    if (block_bytes == 8) {
      return copy_words<std::uint64_t>(range, source, from_stride_bytes, target, to_stride_bytes);
    }
    for (std::int64_t row = begin; row < end; ++row) {
      std::memcpy(target + row * to_stride_bytes, source + row * from_stride_bytes,
                  static_cast<std::size_t>(block_bytes));
    }
  });
}

std::int64_t gather(const Gather& gather, std::int64_t entry_bytes, const std::int64_t* indices,
                    const void* from, void* to, ThreadPool* pool) {
  return gather_of(gather, entry_bytes, indices, from, to, pool);
}
std::int64_t gather(const Gather& gather, std::int64_t entry_bytes, const std::int32_t* indices,
                    const void* from, void* to, ThreadPool* pool) {
  return gather_of(gather, entry_bytes, indices, from, to, pool);
}
std::int64_t gather_grad(const Gather& gather, std::int64_t inner, const std::int64_t* indices,
                         const float* dy, bool continues, float* dx, ThreadPool* pool) {
  return gather_grad_of(gather, inner, indices, dy, continues, dx, pool);
}
std::int64_t gather_grad(const Gather& gather, std::int64_t inner, const std::int32_t* indices,
                         const float* dy, bool continues, float* dx, ThreadPool* pool) {
  return gather_grad_of(gather, inner, indices, dy, continues, dx, pool);
}

bool can_cast(DType from, DType to) {
  const auto nothing = [](auto) {};
  return with_type(from, nothing) && with_type(to, nothing);
}

void cast(DType from_type, const void* from, DType to_type, void* to, std::int64_t count,
          ThreadPool* pool) {
  BW_CHECK(can_cast(from_type, to_type));
  with_type(from_type, [&](auto source) {
    with_type(to_type, [&](auto target) {
      using From = decltype(source);
      using To = decltype(target);
      const From* x = static_cast<const From*>(from);
      To* y = static_cast<To*>(to);
      for_each_range(pool, count, 1, kRangeUnit, [&](std::int64_t begin, std::int64_t end) {
        for (std::int64_t i = begin; i < end; ++i) y[i] = convert<To>(x[i]);
      });
    });
  });
}

}  // namespace batchwise::cpu
