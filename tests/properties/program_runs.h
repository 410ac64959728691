// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/cpu/isa.h"
#include "backend/cpu/vector_width.h"
#include "engine/model.h"

// Running programs over the same samples in many ways, and comparing every bit.
namespace batchwise::properties {

using Bytes = std::vector<std::byte>;

// The samples of each input of a graph, one after the other.
struct Samples {
  std::int64_t count = 0;
  std::vector<Bytes> inputs;
};

// Numbers in [-2, 2); integers in [0, 4). A function of the stream and the graph's input types.
Samples fixed_samples(const Graph& graph, std::int64_t count, std::uint64_t stream);

// Where programs come from: a model, or something that a test planted.
using ProgramSource =
    std::function<std::shared_ptr<const CompiledProgram>(std::int64_t batch, int threads)>;
ProgramSource programs_of(std::shared_ptr<const EngineModel> model);

// The outputs of a program, each of all its samples, for samples [first, first + batch).
std::vector<Bytes> run_program(const std::shared_ptr<const CompiledProgram>& program,
                               const Samples& samples, std::int64_t first, std::int64_t batch);

// Every sample run alone; outputs of all of them.
std::vector<Bytes> run_one_by_one(const ProgramSource& programs, const Samples& samples);

// Runs the batch sizes over the samples, from the first on and again from as late as possible, and
// compares all rows with `expected`. Returns what differs first; empty: nothing.
std::string find_batch_difference(const ProgramSource& programs, const Samples& samples,
                                  const std::vector<Bytes>& expected,
                                  const std::vector<std::int64_t>& batches, int threads);

// The vectors that kernels use: those of an instruction set, or narrower ones with its arithmetic.
struct VectorSetting {
  cpu::Isa isa;
  bool narrow = false;  // 128 bits with the fused multiply-add of AVX2

  bool is_fused() const { return isa != cpu::Isa::kSse4; }
  std::string name() const;
};

// The settings that this machine runs, widest vectors first.
std::vector<VectorSetting> available_vectors(bool with_sse4);

// Makes kernels use a setting while it lives.
class VectorCap {
 public:
  explicit VectorCap(const VectorSetting& setting) {
    cpu::cap_isa(setting.isa);
    cpu::use_narrow_vectors(setting.narrow);
  }
  ~VectorCap() {
    cpu::use_narrow_vectors(false);
    cpu::cap_isa(cpu::Isa::kAvx512);
  }
  VectorCap(const VectorCap&) = delete;
  VectorCap& operator=(const VectorCap&) = delete;
};

}  // namespace batchwise::properties
