// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>

#include "peers/workload.h"

namespace batchwise::bench {

// The dense layers of an MLP as direct calls of oneDNN: weights packed once, bias and ReLU fused.
// Each layer uses oneDNN's own two threads, or two single-threaded calls for half of the columns
// each: all forms are tried at the start, and the fastest is kept.
class BareOneDnn {
 public:
  BareOneDnn(LoadedModel& model, std::int64_t batch);
  ~BareOneDnn();
  void call();
  std::string form() const;
  // The largest difference to Batchwise's outputs, relative to the largest output.
  double error();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string onednn_version();

}  // namespace batchwise::bench
