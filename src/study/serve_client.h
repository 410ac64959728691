// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "serve/batching_server.h"
#include "study/study_context.h"

// A client in the server's own process: no socket, no protocol, so that what is measured is the
// queue, the batches and the replies.
namespace batchwise {

// What became of the requests of one block of load.
struct LoadBlock {
  std::int64_t requests = 0, answered = 0, refused = 0, late = 0;
  double seconds = 0;  // from the first scheduled time to the last answer
  double mean_batch = 0;
  std::vector<double> latencies_us;  // of what was answered, from the scheduled times
};

struct LoadPlan {
  double rate_per_s = 0;
  std::int64_t requests = 0;
  double p99_us = 0;  // what is answered later is late
  std::uint64_t seed = 0;
};

// A server with one model, and requests of a row each for it. Owned by one thread.
class ServeClient {
 public:
  // Loads the model and waits until all sizes of batches are prepared. `samples` outlives it.
  // Throws Error where the model cannot be served.
  ServeClient(const StudiedModel& model, const LoadedSamples& samples, serve::ServerOptions options,
              std::function<void()> check_stop);
  ~ServeClient();

  // Sends requests as they come, by Poisson arrivals, whether earlier ones are answered or not.
  LoadBlock run_open(const LoadPlan& plan);
  // Requests a second while so many are always underway: each is sent again when it is answered.
  double run_closed(std::int64_t underway, double seconds);

 private:
  std::shared_ptr<const serve::ModelInfo> find_model() const;
  void wait_prepared() const;
  void fill(serve::InferenceRequest& request, std::int64_t sample) const;

  const LoadedSamples& samples_;
  std::function<void()> check_stop_;
  std::string name_;
  std::unique_ptr<serve::BatchingServer> server_;
  std::shared_ptr<const serve::ModelInfo> info_;
};

}  // namespace batchwise
