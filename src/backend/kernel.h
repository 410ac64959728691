// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/thread_pool.h"
#include "graph/graph.h"
#include "ops/op.h"

namespace batchwise {

// What random ops and optimizers need to know of the run they are in.
struct RunState {
  std::uint64_t seed = 0;
  std::int64_t step = 0;          // optimizer step, from 0
  std::int64_t first_sample = 0;  // place of the micro-batch's first sample in its batch
  // Accumulating ops continue from their accumulator; false (a lane's first micro-batch): they
  // start from zero and overwrite it.
  bool accumulate = false;
};

// The arguments of one step, resolved when a workspace is made: nothing is looked up in a run.
struct KernelCall {
  const void* const* inputs;  // null where an optional input is absent
  void* const* outputs;       // null where an output is unused
  void* scratch;              // Kernel::scratch_bytes() bytes, 64-byte aligned
  ThreadPool& pool;
  const RunState& state;
  template <typename T>
  const T* input(int i) const {
    return static_cast<const T*>(inputs[i]);
  }
  template <typename T>
  T* output(int i) const {
    return static_cast<T*>(outputs[i]);
  }
};

// A kernel prepared for one node: shapes, strides and choices are members, fixed at construction.
// Immutable, shared between threads. run() allocates nothing and throws only Error about data.
class Kernel {
 public:
  virtual ~Kernel() = default;
  virtual void run(const KernelCall& call) const = 0;
  virtual std::int64_t scratch_bytes() const { return 0; }
  // Bytes that the kernel itself holds (tables); counted as code_bytes.
  virtual std::int64_t table_bytes() const { return 0; }
};

// A node for which a kernel is wanted. Layouts are those of the graph's values. The choice of
// anything that changes an order of summation may look at the node without its batch, and at the
// instruction set; never at `threads`.
struct KernelRequest : NodeView {
  KernelRequest(const Graph& graph, const Node& node, int num_threads)
      : NodeView(graph, node), threads(num_threads) {}
  int threads;
  // Bit i: input i will come packed, as packing() asked. Known when prepare() is called.
  std::uint32_t packed_inputs = 0;
  bool is_packed(int i) const { return ((packed_inputs >> i) & 1u) != 0; }
};

enum class LayoutSupport : std::uint8_t {
  kRowMajor,      // all values row-major
  kAny,           // elementwise: every value of full rank in one common layout, whichever
  kChannelsLast,  // activations (inputs in `activation_inputs`, all outputs of rank >= 3) so
};

// A row of a backend's ordered kernel table.
struct KernelDef {
  std::string_view op;
  std::string_view name;  // "cpu dense", shown by explain
  // Why the kernel cannot take this node; nothing where it can. Does not look at the batch.
  std::optional<std::string> (*refuse)(const KernelRequest&) = nullptr;
  std::unique_ptr<Kernel> (*prepare)(const KernelRequest&) = nullptr;
  LayoutSupport layout = LayoutSupport::kRowMajor;
  std::uint32_t activation_inputs = ~0u;  // of kChannelsLast: bit i, input i follows the layout
  // The form in which the kernel wants input i, a constant or a state: attributes that the
  // backend's pack() understands, among them "floats", its size; or nothing for the value as it is.
  // The kernel then finds the packed form in KernelCall::inputs[i]. A computed input comes as it
  // is.
  std::optional<Attributes> (*packing)(const KernelRequest&, int input) = nullptr;
  // Does the kernel apply this epilogue? Null: none.
  bool (*takes_epilogue)(const KernelRequest&, const Epilogue&) = nullptr;
};

// The kernels of one backend, best first within an op.
struct Backend {
  std::string_view name;
  std::span<const KernelDef* const> kernels;
  // Writes the packed form of a dense row-major tensor. Null: no kernel packs.
  void (*pack)(const Attributes& packing, const TensorType& type, const void* source, float* packed,
               ThreadPool& pool) = nullptr;
};

}  // namespace batchwise
