// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "batching/cost_model.h"
#include "batching/cut_batch.h"
#include "engine/program.h"
#include "fit/state_store.h"
#include "fit/training_graph.h"

namespace batchwise {

struct TrainingOptions {
  // What changes results.
  Loss loss = Loss::kCrossEntropy;
  SampleValue custom_loss, custom_metric;  // as in Objective
  bool integer_labels = true;
  OptimizerOptions optimizer;
  TrainingSelection selection;
  std::string output_name;  // "": the first
  std::int64_t batch_size = 32;
  std::int64_t ghost_batch = 0;  // 0: normalization over the whole batch
  std::uint64_t seed = 0;
  // What changes speed and memory only.
  std::int64_t micro_batch = 0;  // 0: chosen
  int threads = 1;
  BackendChoice backends = BackendChoice::kFast;
  bool measure_gradients = false;    // squared norms of the lanes' gradients in each StepResult
  std::int64_t last_batch_size = 0;  // of an epoch; 0: none is smaller
  bool evaluates = false;            // evaluate() will be called
};

// What of the options is part of the graph.
Objective objective_of(const TrainingOptions& options);

// Bytes that training takes, part by part.
struct TrainingMemory {
  std::int64_t weights_bytes = 0, packed_weights_bytes = 0, gradient_bytes = 0, optimizer_bytes = 0;
  std::int64_t arena_bytes = 0, scratch_bytes = 0;  // scratch is part of the arena
  std::int64_t constant_bytes = 0, table_bytes = 0;
  std::int64_t io_bytes = 0;           // losses and predictions of a micro-batch
  std::int64_t lower_bound_bytes = 0;  // as arena_bytes, were there no gaps
};

struct StepResult {
  std::int64_t samples = 0;
  double loss_sum = 0;              // of the samples' losses, added in their order
  std::int64_t correct = 0;         // of classifications
  double absolute_error_sum = 0;    // of the samples' mean absolute errors, else
  double metric_sum = 0;            // of a custom metric
  double gradient_norm = 0;         // before clipping; 0 without clipping
  std::vector<double> lane_norms2;  // with measure_gradients: |gradient|^2 of each lane, as a mean
  std::vector<std::int64_t> lane_samples;
  double norm2 = 0;  // of the whole batch

  // All as in the beginning; the vectors keep their memory.
  void clear();
};

// Samples as they lie in memory: features[i] has those of the model's input i, row-major; labels
// are int64 class ids or float32 targets.
struct TrainingSamples {
  std::span<const void* const> features;
  const void* labels = nullptr;
  std::int64_t count = 0;
};

// A model being trained: its states (weights, moments, accumulators) and the programs that change
// them. The weights after a step have the same bits for every micro-batch and number of threads.
// Not thread-safe.
class TrainingSession {
 public:
  // With `plan_only` nothing is allocated and step() may not be called; memory() is the same.
  TrainingSession(std::shared_ptr<const TrainableModel> model, const TrainingOptions& options,
                  bool plan_only = false);

  // A weight update comes in slices, so that a batch need not lie in memory whole: begin_batch(),
  // add_slice() for each of cut_batch(samples).slices in order, end_batch().
  TrainingCut cut_batch(std::int64_t samples) const;
  // The sum of the samples' gradients is divided by `nominal_samples`.
  void begin_batch(std::int64_t samples, std::int64_t nominal_samples);
  void add_slice(const TrainingSamples& slice);
  // The result stays until the next batch begins. Nothing is allocated by a batch of a size that
  // was met before.
  const StepResult& end_batch(double learning_rate);
  // All of it for a batch that lies in memory.
  const StepResult& step(const TrainingSamples& batch, std::int64_t nominal_samples,
                         double learning_rate);

  // Adds loss and metric of at most micro_batch() samples with the weights as they are, as predict
  // would compute them. Requires: options.evaluates.
  void evaluate(const TrainingSamples& samples, StepResult& result);

  // The estimated time of training on one sample of a whole batch, cut as it will be.
  double estimate_us_per_sample(const MachineSpeed& machine) const;

  std::int64_t micro_batch() const { return micro_batch_; }
  std::int64_t steps() const { return steps_; }
  const TrainingMemory& memory() const { return memory_; }
  const TrainableModel& model() const { return *model_; }
  // The bytes of a parameter or running moment, as they are now.
  std::span<const float> state(const std::string& name) const;
  // The same as a tensor that outlives the session.
  Tensor state_tensor(const std::string& name, const Shape& shape) const {
    return weights_.tensor(name, shape);
  }
  // "weights_sha256" of CLI.md: raw bytes of all that training changes, names sorted.
  std::string weights_sha256() const;
  // States for another program of the same model (validation): memory of each of its StateUses;
  // packed ones are brought up to date by refresh_packed().
  std::shared_ptr<ThreadPool> pool() const { return pool_; }
  const CompiledProgram& step_program() const { return *programs_.begin()->second.program; }
  const CompiledProgram& update_program() const { return *update_; }

 private:
  struct Prepared {
    std::shared_ptr<const CompiledProgram> program;
    std::unique_ptr<Workspace> workspace;
  };
  using Programs = std::map<std::int64_t, Prepared>;  // by samples
  void build();
  void set_cut(std::int64_t wanted_micro_batch);
  void prepare_sizes();
  void make_room(const TrainingCut& cut);
  void announce_states();
  void load_initial_values();
  void repack();
  Workspace& workspace(Programs& programs, std::int64_t samples);
  std::shared_ptr<const CompiledProgram> compile(std::int64_t samples, bool training);
  std::vector<void*> state_pointers(const CompiledProgram& program) const;
  void run_samples(Programs& programs, const TrainingSamples& samples, const RunState& state,
                   StepResult& result);
  void count_metrics(const TrainingSamples& samples, StepResult& result) const;
  void finish_lane();
  void measure_memory();

  std::shared_ptr<const TrainableModel> model_;
  TrainingOptions options_;
  bool plan_only_;
  std::int64_t micro_batch_ = 1;     // the largest slice of a full batch
  std::int64_t whole_granules_ = 1;  // of a slice: what batches of all sizes are cut by
  std::int64_t largest_slice_ = 1;   // of all announced sizes
  std::int64_t granule_ = 1;
  std::int64_t steps_ = 0;
  StepGraph step_graph_;  // of the first size; its accumulators are those of all sizes
  Programs programs_, evaluation_programs_;
  std::shared_ptr<const CompiledProgram> update_;
  std::unique_ptr<Workspace> update_workspace_;
  std::shared_ptr<ConstantStore> constants_ = std::make_shared<ConstantStore>();
  std::shared_ptr<ThreadPool> pool_;
  std::shared_ptr<MappedBuffer> arena_;
  // The batch that is being added up.
  TrainingCut cut_;
  std::size_t next_slice_ = 0;
  std::int64_t lane_ = 0, lane_samples_ = 0, nominal_samples_ = 1;
  StepResult result_;
  StateStore weights_, optimizer_, gradients_, packed_;
  std::vector<MappedBuffer> lane_sums_;  // level l holds the sum of 2^l lanes
  std::vector<StateUse> packed_uses_;
  MappedBuffer losses_, predictions_, metrics_;
  std::vector<const void*> features_;  // of a slice, in step()
  std::vector<const void*> inputs_;    // of a run: features, labels, scale of the loss
  std::int64_t output_floats_ = 0;     // of one sample's output
  TrainingMemory memory_;
};

}  // namespace batchwise
