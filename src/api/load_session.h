// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "batchwise/load.h"
#include "client/infer_client.h"
#include "client/load_run.h"
#include "client/request_set.h"
#include "client/sample_pool.h"

namespace batchwise {

// A server that was found to take the requests that the settings ask for. One thread's.
class LoadSession {
 public:
  // Connects, asks for the model, makes the requests and tries one. Throws Error.
  explicit LoadSession(const LoadSettings& settings);
  ~LoadSession();

  // Connections that were closed are made again.
  LoadCounts run(const LoadShape& shape);
  // Waits until a request is answered: what an earlier run left behind is over then.
  void settle() { requests_->try_one(*client_, where_); }
  // Rows a batch of what ran since the last call, by the server's statistics; 0 where there are
  // none.
  double mean_batch();

 private:
  void make_pool(const LoadSettings& settings);

  std::string where_, model_, version_;
  RemoteModel remote_;
  SamplePool pool_;
  std::unique_ptr<InferClient> client_;
  std::unique_ptr<RequestSet> requests_;
  RemoteStatistics before_;
};

// The outputs of a model of ours for the pool's samples, as the pool's `expected`. Throws Error
// where the server's model has other outputs.
void predict_expected(const std::string& model_path, const std::string& output_name,
                      const RemoteModel& remote, SamplePool& pool);

}  // namespace batchwise
