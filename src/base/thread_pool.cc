// SPDX-License-Identifier: Apache-2.0
#include "base/thread_pool.h"

#include <sched.h>

#include "base/check.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace batchwise {
namespace {

// A worker waits about 50 to 100 microseconds before it sleeps: longer than the gap between two
// steps of a program, shorter than what a caller that left for other work would want to pay for. A
// caller waits for the end of a step, so it has no other work, and who wakes it would draw it to
// its core.
constexpr int kWorkerSpins = 2000;
constexpr int kCallerSpins = 20000;

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#else
  std::this_thread::yield();
#endif
}

void wait_while_equal(const std::atomic<std::uint32_t>& word, std::uint32_t old, int spins) {
  for (int spin = 0; spin < spins; ++spin) {
    if (word.load(std::memory_order_acquire) != old) return;
    // Whom we wait for may have been put on our own core.
    if (spin % 64 == 63) {
      sched_yield();
    } else {
      pause();
    }
  }
  while (word.load(std::memory_order_acquire) == old) word.wait(old, std::memory_order_acquire);
}

}  // namespace

// Each on its own cache line, so that workers do not disturb each other while they spin.
struct alignas(64) ThreadPool::Worker {
  std::atomic<std::uint32_t> epoch{0};
  alignas(64) std::atomic<std::uint32_t> done{0};
  std::jthread thread;
};

ThreadPool::ThreadPool(int threads) : threads_(threads), placement_(threads) {
  BW_CHECK(threads >= 1, "threads {}", threads);
  for (int part = 1; part < threads; ++part) {
    auto& worker = *workers_.emplace_back(std::make_unique<Worker>());
    worker.thread = std::jthread([this, &worker, part] { work(worker, part); });
  }
}

ThreadPool::~ThreadPool() {
  stop_ = true;
  for (auto& worker : workers_) {
    worker->epoch.fetch_add(1, std::memory_order_release);
    worker->epoch.notify_one();
  }
}

void ThreadPool::work(Worker& worker, int part) {
  for (std::uint32_t epoch = 0;;) {
    wait_while_equal(worker.epoch, epoch, kWorkerSpins);
    ++epoch;
    if (stop_) return;
    placement_.settle(part);
    call_(body_, part);
    worker.done.store(epoch, std::memory_order_release);
    worker.done.notify_one();
  }
}

void ThreadPool::run_erased(Call call, void* body) {
  call_ = call;
  body_ = body;
  placement_.settle(0);
  for (auto& worker : workers_) {
    worker->epoch.fetch_add(1, std::memory_order_release);
    worker->epoch.notify_one();
  }
  call(body, 0);
  for (auto& worker : workers_) {
    const std::uint32_t epoch = worker->epoch.load(std::memory_order_relaxed);
    wait_while_equal(worker->done, epoch - 1, kCallerSpins);
  }
}

int usable_cores() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  const int cores = CPU_COUNT(&set);
  return cores > 0 ? cores : 1;
}

}  // namespace batchwise
