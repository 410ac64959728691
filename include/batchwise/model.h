// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "batchwise/explain.h"
#include "batchwise/export.h"
#include "batchwise/tensor_view.h"

namespace batchwise {

class Dataset;

struct PrepareOptions {
  std::int64_t micro_batch = 1;
  int threads = 1;
};

// A model prepared for one micro-batch. Immutable, cheap to copy, shared between threads; weights
// are packed once for all programs of a model.
class BATCHWISE_API Program {
 public:
  struct State;
  // All memory that one run at a time needs, planned. One for each thread that runs.
  class BATCHWISE_API Workspace {
   public:
    struct State;
    explicit Workspace(std::unique_ptr<State> state);
    Workspace(Workspace&&) noexcept;
    Workspace& operator=(Workspace&&) noexcept;
    ~Workspace();
    State& state() { return *state_; }

   private:
    std::unique_ptr<State> state_;
  };

  std::int64_t micro_batch() const;
  std::int64_t workspace_bytes() const;
  Workspace make_workspace() const;
  // Inputs and outputs in the order of the model's, dense, of the program's micro-batch. Allocates
  // nothing. Throws Error where a type or a size differs.
  void run(Workspace& workspace, std::span<const ConstTensorView> inputs,
           std::span<const TensorView> outputs) const;

  explicit Program(std::shared_ptr<const State> state) : state_(std::move(state)) {}

 private:
  std::shared_ptr<const State> state_;
};

struct Architecture {
  std::string name;                 // "mlp", "cnn", "resnet20"
  std::vector<std::int64_t> input;  // of one sample: {784} or {1, 28, 28}
  std::int64_t classes = 10;
  std::vector<std::int64_t> hidden = {512, 512};  // mlp
  std::uint64_t seed = 0;
};

struct ModelPort {
  std::string name;
  DType dtype = DType::kFloat32;
  std::vector<std::int64_t> sample_shape;
};

// A model as it was read. Immutable, cheap to copy, shared between threads.
class BATCHWISE_API Model {
 public:
  struct State;
  // Throws Error where the file is no ONNX model or has what is not supported.
  static Model load(const std::string& path);
  // A new model with initial weights.
  static Model make(const Architecture& architecture);
  static std::vector<std::string> architectures();
  // Writes an ONNX file, whole or not at all.
  void save(const std::string& path) const;

  std::vector<ModelPort> inputs() const;
  std::vector<ModelPort> outputs() const;
  std::int64_t num_parameters() const;
  // One line a node.
  std::string to_string() const;
  // What would happen at the sizes asked for, with data like the model's inputs or with `data`.
  // Runs nothing, but with `options.time`.
  Explanation explain(const ExplainOptions& options, const Dataset* data = nullptr) const;
  Program prepare(const PrepareOptions& options) const;

  const std::shared_ptr<const State>& state() const { return state_; }
  explicit Model(std::shared_ptr<const State> state) : state_(std::move(state)) {}

 private:
  std::shared_ptr<const State> state_;
};

}  // namespace batchwise
