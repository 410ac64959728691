// SPDX-License-Identifier: Apache-2.0
// What the server itself costs: processor time a request beside the model's, with nothing but a
// thread that sends requests and takes replies. One thread runs the model, so that its time on the
// wall is its processor time; what the client's thread takes, and waking it, is counted.
//   in_process MODEL.onnx [REQUESTS]
#include <fmt/format.h>
#include <time.h>

#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <vector>

#include "measure/sampling.h"
#include "serve/batching_server.h"

namespace batchwise::serve {
namespace {

double process_cpu_us() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) * 1e6 + static_cast<double>(now.tv_nsec) / 1e3;
}

// Replies that have come, for the one thread that sends.
class Mailbox {
 public:
  void put(std::size_t number) {
    {
      const std::lock_guard lock(mutex_);
      came_.push_back(number);
    }
    changed_.notify_one();
  }
  void take(std::vector<std::size_t>& numbers) {
    numbers.clear();
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return !came_.empty(); });
    numbers.swap(came_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::size_t> came_;
};

class BenchRequest : public InferenceRequest {
 public:
  BenchRequest(Mailbox& mailbox, std::size_t number) : mailbox_(mailbox), number_(number) {}
  void reply(Reply&& reply) override {
    if (reply.refusal.status != Status::kOk) {
      fmt::print(stderr, "refused: {}\n", reply.refusal.message);
      std::abort();
    }
    mailbox_.put(number_);
  }

 private:
  Mailbox& mailbox_;
  const std::size_t number_;
};

double model_us(const Server& server) {
  double us = 0;
  const ModelStatistics statistics = server.statistics("m", "").at(0);
  for (const auto& [rows, batch] : statistics.batches) {
    us += batch.compute_infer.us;
  }
  return us;
}

void run(BatchingServer& server, std::size_t concurrency, int count, bool prints) {
  Refusal why;
  const auto model = server.find_model("m", "", why);
  const std::vector<std::byte> row(static_cast<std::size_t>(model->inputs[0].row_bytes));
  Mailbox mailbox;
  std::vector<std::shared_ptr<BenchRequest>> requests;
  for (std::size_t i = 0; i < concurrency; ++i) {
    auto& request = requests.emplace_back(std::make_shared<BenchRequest>(mailbox, i));
    request->model = model;
    request->rows = 1;
    request->inputs.push_back({0, row});
  }
  const auto before = server.statistics("m", "").at(0);
  const double model_before_us = model_us(server), cpu_before_us = process_cpu_us();
  const Stopwatch watch;
  for (const auto& request : requests) server.infer(request);
  std::vector<std::size_t> came;
  int sent = static_cast<int>(concurrency);
  for (int answered = 0; answered < count;) {
    mailbox.take(came);
    answered += static_cast<int>(came.size());
    for (const std::size_t number : came) {
      if (sent >= count) break;
      server.infer(requests[number]);
      ++sent;
    }
  }
  const double seconds = watch.seconds();
  const double cpu_us = process_cpu_us() - cpu_before_us;
  const double own_us = model_us(server) - model_before_us;
  const auto after = server.statistics("m", "").at(0);
  const auto batches = static_cast<double>(after.execution_count - before.execution_count);
  if (!prints) return;
  fmt::print("{:>11} {:>10.0f} {:>10.2f} {:>12.2f} {:>12.2f} {:>12.2f}\n", concurrency,
             count / seconds, count / batches, cpu_us / count, own_us / count,
             (cpu_us - own_us) / count);
}

int measure(const char* path, int count) {
  ServerOptions options;
  options.threads = 1;
  options.p99_us = 10e6;  // nothing is to be late
  BatchingServer server(options);
  server.add_model("m", path);
  server.wait_ready();
  fmt::print("{:>11} {:>10} {:>10} {:>12} {:>12} {:>12}\n", "concurrent", "requests/s",
             "rows/batch", "cpu us", "model us", "server us");
  // What is measured when idle, and what runs for the first time, is not what is asked for.
  run(server, 1, count, false);
  for (const std::size_t concurrency : {1, 8, 32, 128}) run(server, concurrency, count, true);
  server.drain();
  return 0;
}

}  // namespace
}  // namespace batchwise::serve

int main(int argc, char** argv) {
  if (argc < 2) {
    fmt::print(stderr, "usage: in_process MODEL.onnx [REQUESTS]\n");
    return 2;
  }
  return batchwise::serve::measure(argv[1], argc > 2 ? std::atoi(argv[2]) : 100'000);
}
