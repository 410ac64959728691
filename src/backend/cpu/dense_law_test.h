// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "backend/cpu/dense.h"
#include "backend/cpu/isa.h"
#include "base/thread_pool.h"

// The law of summation as plain loops, and guarded buffers: what the tests of dense kernels share.
namespace batchwise::cpu {

// Floats between two runs of sentinels, aligned to 64 bytes plus `offset` floats.
class GuardedFloats {
 public:
  explicit GuardedFloats(std::int64_t count, std::int64_t offset = 0)
      : count_(count), storage_(static_cast<std::size_t>(count + 16 + 2 * kGuard), kSentinel) {
    const auto address = reinterpret_cast<std::uintptr_t>(storage_.data() + kGuard - 16);
    begin_ = kGuard + static_cast<std::int64_t>((64 - address % 64) % 64 / 4) - 16 + offset % 16;
  }
  float* data() { return storage_.data() + begin_; }
  const float* data() const { return storage_.data() + begin_; }
  float& operator[](std::int64_t i) { return data()[i]; }
  std::int64_t size() const { return count_; }
  bool guards_are_whole() const {
    const auto is_sentinel = [](float value) {
      return std::memcmp(&value, &kSentinel, sizeof value) == 0;
    };
    return std::all_of(storage_.data(), data(), is_sentinel) &&
           std::all_of(data() + count_, storage_.data() + storage_.size(), is_sentinel);
  }
  static constexpr float kSentinel = -12345.678f;

 private:
  static constexpr std::int64_t kGuard = 48;
  std::int64_t count_;
  std::vector<float> storage_;
  std::int64_t begin_ = 0;
};

inline void fill_random(GuardedFloats& floats, std::uint64_t seed) {
  std::uint64_t state = seed * 0x9E3779B97F4A7C15ull + 1;
  for (std::int64_t i = 0; i < floats.size(); ++i) {
    state = state * 6364136223846793005ull + 1442695040888963407ull;
    floats[i] = static_cast<float>(static_cast<double>(state >> 33) / 4294967296.0 * 4.0 - 1.0);
  }
}

// Plain sums: A as rows with a stride, B as [k][n], C as [m][n].
struct LawJob {
  std::int64_t m, n, k;
  const float* a;
  std::int64_t a_stride;
  const float* b;
};

inline float add_term(float sum, float a, float b, bool fused) {
  return fused ? std::fmaf(a, b, sum) : sum + a * b;
}

// What every dense kernel must give, bit for bit.
inline std::vector<float> sum_by_law(const LawJob& job, bool fused) {
  std::vector<float> c(static_cast<std::size_t>(job.m * job.n), 0.0f);
  std::vector<float> block(static_cast<std::size_t>(job.n));
  for (std::int64_t m = 0; m < job.m; ++m) {
    float* row = c.data() + m * job.n;
    for (std::int64_t begin = 0; begin < job.k; begin += 256) {
      std::fill(block.begin(), block.end(), 0.0f);
      for (std::int64_t k = begin; k < std::min<std::int64_t>(begin + 256, job.k); ++k) {
        const float a = job.a[m * job.a_stride + k];
        for (std::int64_t n = 0; n < job.n; ++n) {
          float& sum = block[static_cast<std::size_t>(n)];
          sum = add_term(sum, a, job.b[k * job.n + n], fused);
        }
      }
      for (std::int64_t n = 0; n < job.n; ++n) {
        const float sum = block[static_cast<std::size_t>(n)];
        row[n] = begin == 0 ? sum : row[n] + sum;
      }
    }
  }
  return c;
}

// dW += X^T dY as one chain over the samples; X [m][k], dY [m][n], dW [k][n].
inline void add_gradient_by_law(std::int64_t m, std::int64_t k, std::int64_t n, const float* x,
                                const float* dy, float* dw, bool fused) {
  for (std::int64_t s = 0; s < m; ++s) {
    for (std::int64_t i = 0; i < k; ++i) {
      for (std::int64_t j = 0; j < n; ++j) {
        float& sum = dw[i * n + j];
        sum = add_term(sum, x[s * k + i], dy[s * n + j], fused);
      }
    }
  }
}

inline bool has_fused_multiply_add() { return current_isa() != Isa::kSse4; }

// The instruction sets that this machine can run.
inline std::vector<Isa> usable_isas() {
  std::vector<Isa> isas;
  for (Isa isa : {Isa::kSse4, Isa::kAvx2, Isa::kAvx512}) {
    if (isa <= detect_isa()) isas.push_back(isa);
  }
  return isas;
}

// Made once: tests make thousands of calls.
inline ThreadPool& pool_with(int threads) {
  static std::map<int, std::unique_ptr<ThreadPool>> pools;
  auto& pool = pools[threads];
  if (pool == nullptr) pool = std::make_unique<ThreadPool>(threads);
  return *pool;
}

// Restores the machine's best instruction set when a test ends.
struct IsaCap {
  explicit IsaCap(Isa isa) { cap_isa(isa); }
  ~IsaCap() { cap_isa(Isa::kAvx512); }
};

}  // namespace batchwise::cpu
