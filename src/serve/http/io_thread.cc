// SPDX-License-Identifier: Apache-2.0
#include "serve/http/io_thread.h"

#include <boost/asio/post.hpp>
#include <utility>

#include "serve/http/asio_thread.h"

namespace batchwise::serve {
namespace {

constexpr auto kTick = std::chrono::milliseconds(250);

}  // namespace

IoThread::IoThread() : impl_(std::make_unique<Impl>()) {
  impl_->thread = std::thread([this] { impl_->context.run(); });
}

IoThread::~IoThread() { join(); }

void IoThread::join() {
  impl_->context.stop();
  if (!impl_->thread.joinable()) return;
  impl_->thread.join();
  // What is left keeps connections alive, which keep this alive.
  impl_->timer.cancel();
  impl_->context.restart();
  impl_->context.poll();
}

void IoThread::post(std::function<void()> function) {
  boost::asio::post(impl_->context, std::move(function));
}

bool IoThread::is_current() const { return std::this_thread::get_id() == impl_->thread.get_id(); }

void IoThread::set_tick(std::function<void()> tick) {
  post([this, tick = std::move(tick)]() mutable {
    impl_->tick = std::move(tick);
    impl_->start_timer();
  });
}

void IoThread::Impl::start_timer() {
  timer.expires_after(kTick);
  timer.async_wait([this](const boost::system::error_code& error) {
    if (error) return;
    tick();
    start_timer();
  });
}

void IoThread::wake(Wakeable& item) noexcept {
  Wakeable* head = woken_.load(std::memory_order_relaxed);
  do {
    item.next_woken = head;
  } while (!woken_.compare_exchange_weak(head, &item, std::memory_order_acq_rel,
                                         std::memory_order_relaxed));
  // Who found it empty wakes the thread for all that follow until it looks.
  if (head == nullptr) boost::asio::post(impl_->context, [this] { drain(); });
}

void IoThread::drain() {
  Wakeable* item = woken_.exchange(nullptr, std::memory_order_acq_rel);
  // The newest is first: turn them round.
  Wakeable* first = nullptr;
  while (item != nullptr) {
    Wakeable* next = item->next_woken;
    item->next_woken = first;
    first = item;
    item = next;
  }
  while (first != nullptr) {
    Wakeable* next = first->next_woken;
    first->on_wake();  // may end it
    first = next;
  }
}

}  // namespace batchwise::serve
