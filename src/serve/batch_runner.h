// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "base/mapped_buffer.h"
#include "base/thread_pool.h"
#include "serve/model_version.h"
#include "serve/request.h"

namespace batchwise::serve {

// Rows of a request that go through the model together with others.
struct WorkPiece {
  std::shared_ptr<InferenceRequest> request;
  std::int64_t first_row = 0;  // in the request
  std::int64_t rows = 0;
  std::byte* joined =
      nullptr;  // where a split request's results are put together; null: it is none
};

// What a batch gave, and how long its parts took.
struct BatchResult {
  std::shared_ptr<std::byte> outputs;  // output o of run_rows rows at offset o
  std::int64_t run_rows = 0;
  double gather_us = 0, run_us = 0, join_us = 0;
};

// Where output o begins in a buffer that holds all outputs of so many rows, for o up to the number
// of outputs, which gives the bytes of all.
std::int64_t output_offset(const ModelInfo& model, std::size_t o, std::int64_t rows);

// One instance: the threads and the memory that a batch runs in, shared by all models. One thread
// at a time.
class BatchRunner {
 public:
  explicit BatchRunner(int threads) : pool_(std::make_shared<ThreadPool>(threads)) {}

  // Copies the pieces' rows into a batch, runs it at the smallest prepared size from `run_rows` on,
  // and puts the results of split requests where they belong. Outputs are null where replies hold
  // all the memory that there is for them. Throws what the program throws.
  BatchResult run(const std::shared_ptr<ModelVersion>& version, std::span<const WorkPiece> pieces,
                  std::int64_t run_rows);
  // Runs zeros, twice; the time of the second run, microseconds, and the rows that ran.
  struct Measured {
    std::int64_t rows = 0;
    double us = 0;
  };
  Measured measure(const std::shared_ptr<ModelVersion>& version, std::int64_t rows);
  // Lets go of what belongs to versions that are gone.
  void forget_gone();

 private:
  struct Programs {
    std::weak_ptr<ModelVersion> version;
    std::map<std::int64_t, std::unique_ptr<Workspace>> workspaces;  // by rows
  };
  Workspace& workspace(const std::shared_ptr<ModelVersion>& version,
                       const ModelVersion::Prepared& prepared);
  void bind_inputs(const ModelVersion& version, std::int64_t run_rows);
  void bind_outputs(const ModelVersion& version, std::byte* outputs, std::int64_t run_rows);
  void gather(const ModelVersion& version, std::span<const WorkPiece> pieces,
              std::int64_t run_rows);
  static void join(const ModelVersion& version, std::span<const WorkPiece> pieces,
                   const BatchResult& result);

  std::shared_ptr<ThreadPool> pool_;
  std::shared_ptr<MappedBuffer> arena_ = std::make_shared<MappedBuffer>();
  MappedBuffer inputs_;
  std::vector<Programs> programs_;  // by slot
  std::vector<const void*> input_pointers_;
  std::vector<void*> output_pointers_;
};

}  // namespace batchwise::serve
