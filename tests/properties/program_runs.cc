// SPDX-License-Identifier: Apache-2.0
#include "program_runs.h"

#include <fmt/format.h>

#include <cstring>

#include "base/check.h"
#include "fixed_models.h"

namespace batchwise::properties {
namespace {

std::size_t value_bytes(const Graph& graph, ValueId id) {
  const TensorType& type = graph.type(id);
  return static_cast<std::size_t>(type.shape.elements()) * dtype_bytes(type.dtype);
}

template <typename T>
Bytes to_bytes(const std::vector<T>& values) {
  Bytes bytes(values.size() * sizeof(T));
  if (!bytes.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// The sample and output where two results part; empty: nowhere.
std::string first_difference(const std::vector<Bytes>& got, const std::vector<Bytes>& expected,
                             const std::vector<std::size_t>& row_bytes, std::int64_t first,
                             std::int64_t batch) {
  for (std::size_t o = 0; o < got.size(); ++o) {
    const std::size_t bytes = row_bytes[o];
    const std::byte* wanted = expected[o].data() + static_cast<std::size_t>(first) * bytes;
    if (std::memcmp(got[o].data(), wanted, got[o].size()) == 0) continue;
    for (std::int64_t row = 0; row < batch; ++row) {
      const std::size_t at = static_cast<std::size_t>(row) * bytes;
      if (std::memcmp(got[o].data() + at, wanted + at, bytes) != 0) {
        return fmt::format("output {}, row {} (sample {})", o, row, first + row);
      }
    }
  }
  return "";
}

}  // namespace

Samples fixed_samples(const Graph& graph, std::int64_t count, std::uint64_t stream) {
  Samples samples{count, {}};
  for (ValueId id : graph.inputs) {
    const TensorType& type = graph.type(id);
    const std::int64_t elements = type.shape.elements() * count;
    ++stream;
    if (type.dtype == DType::kFloat32) {
      samples.inputs.push_back(to_bytes(fixed_floats(elements, stream, 2)));
    } else {
      BW_CHECK(type.dtype == DType::kInt64);
      samples.inputs.push_back(to_bytes(fixed_labels(elements, stream, 4)));
    }
  }
  return samples;
}

ProgramSource programs_of(std::shared_ptr<const EngineModel> model) {
  return [model = std::move(model)](std::int64_t batch, int threads) {
    return model->program(batch, threads);
  };
}

std::vector<Bytes> run_program(const std::shared_ptr<const CompiledProgram>& program,
                               const Samples& samples, std::int64_t first, std::int64_t batch) {
  const Graph& graph = program->graph();
  std::vector<const void*> inputs;
  for (std::size_t i = 0; i < graph.inputs.size(); ++i) {
    const std::size_t row = value_bytes(graph, graph.inputs[i]) / static_cast<std::size_t>(batch);
    inputs.push_back(samples.inputs[i].data() + static_cast<std::size_t>(first) * row);
  }
  std::vector<Bytes> results;
  std::vector<void*> outputs;
  for (ValueId id : graph.outputs) results.emplace_back(value_bytes(graph, id), std::byte{0xA5});
  for (Bytes& result : results) outputs.push_back(result.data());
  Workspace workspace(program);
  workspace.run(inputs, outputs);
  return results;
}

std::vector<Bytes> run_one_by_one(const ProgramSource& programs, const Samples& samples) {
  const auto program = programs(1, 1);
  std::vector<Bytes> all(program->graph().outputs.size());
  for (std::int64_t s = 0; s < samples.count; ++s) {
    const std::vector<Bytes> one = run_program(program, samples, s, 1);
    for (std::size_t o = 0; o < one.size(); ++o) {
      all[o].insert(all[o].end(), one[o].begin(), one[o].end());
    }
  }
  return all;
}

std::string find_batch_difference(const ProgramSource& programs, const Samples& samples,
                                  const std::vector<Bytes>& expected,
                                  const std::vector<std::int64_t>& batches, int threads) {
  std::vector<std::size_t> row_bytes;
  for (const Bytes& output : expected) {
    row_bytes.push_back(output.size() / static_cast<std::size_t>(samples.count));
  }
  for (const std::int64_t batch : batches) {
    const auto program = programs(batch, threads);
    for (const std::int64_t first : {std::int64_t{0}, samples.count - batch}) {
      const std::vector<Bytes> got = run_program(program, samples, first, batch);
      const std::string where = first_difference(got, expected, row_bytes, first, batch);
      if (!where.empty()) {
        return fmt::format("batch {} from sample {} with {} threads on {}: {}", batch, first,
                           threads, cpu::isa_name(cpu::current_isa()), where);
      }
      if (batch == samples.count) break;
    }
  }
  return "";
}

std::string VectorSetting::name() const {
  return std::string(cpu::isa_name(isa)) + (narrow ? " with 128-bit vectors" : "");
}

std::vector<VectorSetting> available_vectors(bool with_sse4) {
  std::vector<VectorSetting> settings;
  for (const VectorSetting& setting :
       {VectorSetting{cpu::Isa::kAvx512}, VectorSetting{cpu::Isa::kAvx2},
        VectorSetting{cpu::Isa::kAvx2, true}, VectorSetting{cpu::Isa::kSse4}}) {
    if (setting.isa <= cpu::detect_isa() && (with_sse4 || setting.is_fused())) {
      settings.push_back(setting);
    }
  }
  return settings;
}

}  // namespace batchwise::properties
