// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

#include "base/core_placement.h"

namespace batchwise {

// A fork-join pool for kernels: run(f) calls f(0) on the caller and f(1) ... f(threads-1) on the
// workers, and returns when all are done. Workers spin a little and then sleep, so that steps that
// follow each other cost well under a microsecond to hand out. run() allocates nothing.
//
// One caller at a time: a pool belongs to one workspace. f must not throw and must not call run()
// of the same pool.
class ThreadPool {
 public:
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return threads_; }

  template <typename F>
  void run(F&& f) {
    using Body = std::remove_reference_t<F>;
    run_erased([](void* body, int part) { (*static_cast<Body*>(body))(part); },
               const_cast<std::remove_const_t<Body>*>(&f));
  }

 private:
  struct Worker;
  using Call = void (*)(void* body, int part);
  void run_erased(Call call, void* body);
  void work(Worker& worker, int part);

  const int threads_;
  // Written by the caller before a worker's `epoch` is advanced, read by workers after they saw it.
  Call call_ = nullptr;
  void* body_ = nullptr;
  bool stop_ = false;
  CorePlacement placement_;
  std::vector<std::unique_ptr<Worker>> workers_;
};

// The half-open range of `count` things that part `part` of `parts` does, in multiples of `unit`.
struct PartRange {
  std::int64_t begin, end;
};
constexpr PartRange part_range(std::int64_t count, int part, int parts, std::int64_t unit = 1) {
  const std::int64_t units = (count + unit - 1) / unit;
  const std::int64_t begin = units * part / parts * unit;
  const std::int64_t end = units * (part + 1) / parts * unit;
  return {begin < count ? begin : count, end < count ? end : count};
}

// The cores that this process may run on.
int usable_cores();

}  // namespace batchwise
