// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <thread>

#include "serve/http/io_thread.h"

namespace batchwise::serve {

// For the two sources that know both Asio and the thread.
struct IoThread::Impl {
  boost::asio::io_context context{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{
      context.get_executor()};
  boost::asio::steady_timer timer{context};
  std::function<void()> tick;
  std::thread thread;

  void start_timer();
};

}  // namespace batchwise::serve
