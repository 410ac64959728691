// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>
#include <vector>

#include "engine/backends.h"
#include "engine/constant_store.h"
#include "plan/plan.h"

namespace batchwise {

// Where the bytes of a value are found in a run.
enum class PlaceKind : std::uint8_t { kNone, kPlanned, kConstant, kInput, kOutput, kState };
struct Place {
  PlaceKind kind = PlaceKind::kNone;
  std::int64_t at = 0;  // kPlanned: offset; kInput, kOutput, kState: index; kConstant: index
};

struct Step {
  NodeId node = kNoNode;
  std::unique_ptr<Kernel> kernel;
  KernelChoice choice;
  int first_place = 0;  // its inputs, then its outputs, in Program::places
  int num_inputs = 0, num_outputs = 0;
  std::int64_t scratch_offset = 0;
};

// A constant as a program uses it.
struct ConstantUse {
  std::string key;
  ValueId value = kNoValue;
  std::int64_t bytes = 0;
  std::optional<Attributes> packing;  // nothing: dense
  const Backend* backend = nullptr;
  const std::byte* data = nullptr;  // null in a program that was only planned
};

// A state as a program uses it: as it is, or packed. The owner of the states binds each by key and,
// for a packed one, keeps it up to date.
struct StateUse {
  std::string key;    // the state's name, or "pack.<name>.<packing>"
  std::string state;  // the state's name
  TensorType type;
  std::int64_t bytes = 0;
  std::optional<Attributes> packing;
  const Backend* backend = nullptr;
};

struct ProgramMemory {
  std::int64_t arena_bytes = 0;            // what a workspace takes
  std::int64_t lower_bound_bytes = 0;      // the largest sum of live bytes in it
  std::int64_t scratch_at_peak_bytes = 0;  // of the arena, kernels' scratch at the peak instant
  std::int64_t dense_constant_bytes = 0;
  std::int64_t packed_constant_bytes = 0;
  std::int64_t table_bytes = 0;  // held by kernels, and the graph
  std::int64_t load_bytes = 0;   // the most that loading takes beyond what stays
};

struct ProgramOptions {
  int threads = 1;
  BackendChoice backends = BackendChoice::kFast;
  bool plan_only = false;    // sizes everything, makes no constant: cannot be run
  bool share_memory = true;  // false: one place for each value (tests compare)
};

// A graph prepared for one micro-batch: kernels with their arguments, constants and a memory plan.
// Immutable and shared between threads; run with a Workspace.
class CompiledProgram {
 public:
  // `graph` is bound to its batch and done with passes. `constants` must outlive the program.
  CompiledProgram(Graph graph, const ProgramOptions& options,
                  std::shared_ptr<ConstantStore> constants);

  const Graph& graph() const { return graph_; }
  const std::vector<Step>& steps() const { return steps_; }
  const std::vector<ConstantUse>& constants() const { return constants_; }
  const std::vector<StateUse>& states() const { return states_; }
  const ProgramMemory& memory() const { return memory_; }
  const Plan& plan() const { return plan_; }
  const std::vector<Place>& places() const { return places_; }
  int threads() const { return options_.threads; }
  bool plan_only() const { return options_.plan_only; }
  // Index into states() of a key, or -1.
  int find_state(const std::string& key) const;

 private:
  friend class Workspace;
  friend class ProgramCompiler;
  struct Copy {  // an output that is another output, an input, a constant or a state
    Place from;
    int output;
    std::int64_t bytes;
  };

  ProgramOptions options_;
  Graph graph_;
  std::shared_ptr<ConstantStore> store_;
  std::vector<Step> steps_;
  std::vector<Place> places_;
  std::vector<ConstantUse> constants_;
  std::vector<StateUse> states_;
  std::vector<Copy> copies_;
  Plan plan_;
  ProgramMemory memory_;
};

// What the program's graph and tables take on the heap, about: what plans count of them.
std::int64_t heap_bytes(const CompiledProgram& program);

// The memory of one run of a program at a time, and the threads that run it. The arena may be
// shared by workspaces that never run at once.
class Workspace {
 public:
  // states[i] is the memory of program->states()[i].
  Workspace(std::shared_ptr<const CompiledProgram> program, std::shared_ptr<MappedBuffer> arena,
            std::shared_ptr<ThreadPool> pool, std::span<void* const> states = {});
  explicit Workspace(std::shared_ptr<const CompiledProgram> program);

  // Runs the program. Requires: as many inputs and outputs as the graph has, each of its size.
  // Allocates nothing.
  void run(std::span<const void* const> inputs, std::span<void* const> outputs,
           const RunState& state = {});
  // Later runs write the microseconds of each step here; empty: they do not.
  void time_steps(std::span<double> step_us) { step_us_ = step_us; }
  const CompiledProgram& program() const { return *program_; }

 private:
  struct Patch {
    int place;
    int argument;
  };
  void* resolve(const Place& place, std::span<void* const> states) const;
  void run_step(const Step& step, const RunState& state);
  void run_timed(const RunState& state);

  std::shared_ptr<const CompiledProgram> program_;
  std::shared_ptr<MappedBuffer> arena_;
  std::shared_ptr<ThreadPool> pool_;
  std::vector<void*> pointers_;  // one a place, ready for the kernels
  std::vector<Patch> input_patches_, output_patches_;
  std::vector<const void*> copy_sources_;
  std::span<double> step_us_;
};

}  // namespace batchwise
