// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <chrono>
#include <functional>
#include <memory>

namespace batchwise::serve {

using Clock = std::chrono::steady_clock;

// Something that another thread hands to an IoThread, without an allocation.
struct Wakeable {
  virtual ~Wakeable() = default;
  virtual void on_wake() = 0;
  Wakeable* next_woken = nullptr;
};

// A thread that runs what its sockets are ready for.
class IoThread {
 public:
  IoThread();
  ~IoThread();
  IoThread(const IoThread&) = delete;
  IoThread& operator=(const IoThread&) = delete;

  // Calls item.on_wake() on the thread; any thread may call it. Many that come while the thread is
  // at work cost one wake-up. `item` must be there until then, and not be handed over twice.
  void wake(Wakeable& item) noexcept;
  // Runs a function on the thread.
  void post(std::function<void()> function);
  bool is_current() const;
  // Called on the thread some times a second; set before anything is posted.
  void set_tick(std::function<void()> tick);
  // Ends the thread when what it does now is done, and waits for it. Not to be called on it.
  void join();

  struct Impl;
  Impl& impl() { return *impl_; }

 private:
  void drain();
  std::unique_ptr<Impl> impl_;
  std::atomic<Wakeable*> woken_{nullptr};
};

}  // namespace batchwise::serve
