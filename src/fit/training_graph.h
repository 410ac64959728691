// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <string>
#include <vector>

#include "autodiff/gradients.h"
#include "metrics/loss.h"

namespace batchwise {

enum class Optimizer : std::uint8_t { kSgd, kAdam };
Optimizer parse_optimizer(const std::string& name);

struct OptimizerOptions {
  Optimizer kind = Optimizer::kSgd;
  double momentum = 0.9;                              // sgd
  bool nesterov = false;                              // sgd
  double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;  // adam
  double weight_decay = 0;                            // L2, not on biases and normalizations
  double clip_norm = 0;                               // 0: no clipping
};

// A weight that `fit` changes.
struct Parameter {
  std::string name;
  Shape shape;
  bool decays = true;  // weight decay applies: not to biases and normalizations
};

// One number a sample, [N], from the model's output and the labels, as part of the graph.
using SampleValue = std::function<ValueId(GraphBuilder&, ValueId output, ValueId labels)>;

// What is minimized and what is counted beside it.
struct Objective {
  Loss loss = Loss::kCrossEntropy;
  SampleValue custom_loss;     // in place of `loss`
  SampleValue custom_metric;   // a third output of the step graph
  bool integer_labels = true;  // of a custom loss: int64 [N], else like the output
  std::string output_name;     // "": the first
};

struct TrainingSelection {
  std::vector<std::string> train;   // globs; empty: all
  std::vector<std::string> freeze;  // globs
};

// A model made ready for training, free of a batch size: its parameters and running moments are
// states, normalizations and dropout are in their training form.
struct TrainableModel {
  Graph graph;                          // template: bind_batch it
  Graph evaluation;                     // the same states, everything as in predict
  std::vector<Parameter> parameters;    // in the order of the graph
  std::vector<std::string> statistics;  // running moments that training advances
  bool normalizes_batch = false;        // has batch normalization over the batch
  std::int64_t graph_bytes = 0;         // on the heap, of `graph`
};

// Finds what is trained, by the op rows' parameter slots and the globs. `ghost_batch` is the number
// of samples that batch normalization normalizes over; 0: the batch.
// Throws Error where a glob matches nothing or nothing is left to train.
TrainableModel make_trainable(const Graph& model, const TrainingSelection& selection,
                              std::int64_t ghost_batch);

// The pass of one micro-batch: inputs are the model's, then "labels", then "loss_scale" (scalar);
// outputs are the loss of each sample [N], the model's output, and a custom metric [N] if any.
struct StepGraph {
  Graph graph;
  std::vector<Accumulator> accumulators;  // parameter: index into TrainableModel::parameters
  bool single_sample = false;             // only a micro-batch of 1 keeps the bits
};
StepGraph make_step_graph(const TrainableModel& model, std::int64_t micro_batch,
                          const Objective& objective);

// The same outputs and inputs ("loss_scale" aside) without gradients, as in predict: validation.
Graph make_evaluation_graph(const TrainableModel& model, std::int64_t micro_batch,
                            const Objective& objective);

// One update of all weights from the accumulators: inputs are "learning_rate" (scalar); states the
// parameters, accumulators and "optimizer.*". Output: the gradient's norm where it is clipped.
Graph make_update_graph(const TrainableModel& model, const StepGraph& step,
                        const OptimizerOptions& options);

}  // namespace batchwise
