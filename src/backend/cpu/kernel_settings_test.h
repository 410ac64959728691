// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "backend/cpu/isa.h"
#include "backend/cpu/vector_width.h"
#include "base/thread_pool.h"

// The ways to run a kernel that must not show in its results: what its tests share.
namespace batchwise::cpu {

// Calls body(name, has_fma, pool) with each instruction set that the machine has, narrow vectors,
// and one and three threads.
template <class Body>
void for_each_kernel_setting(const Body& body) {
  ThreadPool alone(1), three(3);
  for (const Isa isa : {Isa::kSse4, Isa::kAvx2, Isa::kAvx512}) {
    if (isa > detect_isa()) continue;
    cap_isa(isa);
    for (const bool narrow : {false, true}) {
      if (narrow && isa != Isa::kAvx2) continue;
      use_narrow_vectors(narrow);
      for (ThreadPool* pool : {&alone, &three}) {
        const std::string name = std::string(isa_name(isa)) + (narrow ? " narrow" : "") + " " +
                                 std::to_string(pool->threads()) + " threads";
        body(name, isa != Isa::kSse4, pool);
      }
    }
  }
  use_narrow_vectors(false);
  cap_isa(Isa::kAvx512);
}

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

// Checks that run(pool) gives the same bits under all settings (SSE4 among themselves).
template <class Run>
void expect_same_bits_everywhere(const Run& run) {
  std::vector<float> fused, plain;
  for_each_kernel_setting([&](const std::string& name, bool has_fma, ThreadPool* pool) {
    std::vector<float>& expected = has_fma ? fused : plain;
    const std::vector<float> result = run(pool);
    if (expected.empty()) expected = result;
    EXPECT_TRUE(same_bits(result, expected)) << name;
  });
}

// Numbers in [low, high) from a fixed sequence.
inline std::vector<float> random_floats(std::int64_t count, std::uint64_t seed, float low = -1.0f,
                                        float high = 1.0f) {
  std::vector<float> values(static_cast<std::size_t>(count));
  std::uint64_t state = seed * 0x9E3779B97F4A7C15ull + 1;
  for (float& value : values) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    const double unit = static_cast<double>(state >> 33) / 2147483648.0;
    value = static_cast<float>(low + (high - low) * unit);
  }
  return values;
}

// An output with sentinels around it, which a kernel must leave whole.
class GuardedOutput {
 public:
  explicit GuardedOutput(std::int64_t count)
      : count_(count), storage_(static_cast<std::size_t>(count + 2 * kGuard), kSentinel) {}
  float* data() { return storage_.data() + kGuard; }
  std::vector<float> take() {
    for (std::int64_t i = 0; i < kGuard; ++i) {
      EXPECT_EQ(storage_[static_cast<std::size_t>(i)], kSentinel);
      EXPECT_EQ(storage_[static_cast<std::size_t>(kGuard + count_ + i)], kSentinel);
    }
    return {data(), data() + count_};
  }

 private:
  static constexpr std::int64_t kGuard = 33;
  static constexpr float kSentinel = -12345.678f;
  std::int64_t count_;
  std::vector<float> storage_;
};

}  // namespace batchwise::cpu
