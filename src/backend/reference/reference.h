// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <span>
#include <string_view>

#include "backend/kernel.h"

namespace batchwise::reference {

// What a reference kernel is given: the node with its types, and the memory of its values.
// Constants of integer type are in `view` too; other constants only in `inputs`.
struct ReferenceCall {
  const NodeView& view;
  const void* const* inputs;  // null where an optional input is absent
  void* const* outputs;       // null where an output is unused
  const RunState& state;

  template <typename T>
  const T* input(int i) const {
    return static_cast<const T*>(inputs[i]);
  }
  template <typename T>
  T* output(int i) const {
    return static_cast<T*>(outputs[i]);
  }
  bool has_input(int i) const { return view.has_input(i); }
  bool has_output(int i) const { return outputs[i] != nullptr; }
};

// A row of the reference kernels: the plainest code that is right, for every dtype that the op's
// row admits. An output may lie in the memory of an input that the op's row names (in place, an
// accumulator, a state that is updated); other memory never overlaps.
struct ReferenceRow {
  std::string_view op;
  void (*run)(const ReferenceCall&);
  bool reads_shapes_only = false;  // the result depends on the inputs' types alone
  bool reads_run_state = false;    // random, or of one optimizer step: never folded
};

// The row of an op, or null.
const ReferenceRow* find_reference(std::string_view op);
std::span<const ReferenceRow* const> all_reference_rows();

// The kernels as a backend: "reference", row-major, no epilogues, no packing, one thread.
const Backend& reference_backend();

}  // namespace batchwise::reference
