// SPDX-License-Identifier: Apache-2.0
#include "serve/batch_runner.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "measure/sampling.h"

namespace batchwise::serve {
namespace {

constexpr std::int64_t kCacheLine = 64;
std::int64_t to_cache_line(std::int64_t bytes) {
  return (bytes + kCacheLine - 1) / kCacheLine * kCacheLine;
}

std::span<const std::byte> input_of(const InferenceRequest& request, std::size_t input) {
  // In the model's order, as a rule.
  if (request.inputs[input].input == input) return request.inputs[input].bytes;
  const auto found = std::find_if(request.inputs.begin(), request.inputs.end(),
                                  [&](const RequestTensor& t) { return t.input == input; });
  BW_CHECK(found != request.inputs.end());
  return found->bytes;
}

std::size_t to_size(std::int64_t bytes) { return static_cast<std::size_t>(bytes); }

}  // namespace

std::int64_t output_offset(const ModelInfo& model, std::size_t o, std::int64_t rows) {
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < o; ++i) offset += to_cache_line(model.outputs[i].row_bytes * rows);
  return offset;
}

void BatchRunner::forget_gone() {
  for (Programs& programs : programs_) {
    if (programs.version.expired()) programs.workspaces.clear();
  }
}

Workspace& BatchRunner::workspace(const std::shared_ptr<ModelVersion>& version,
                                  const ModelVersion::Prepared& prepared) {
  const auto slot = static_cast<std::size_t>(version->slot());
  if (slot >= programs_.size()) programs_.resize(slot + 1);
  if (programs_[slot].version.lock() != version) programs_[slot] = {version, {}};
  auto& entry = programs_[slot].workspaces[prepared.rows];
  if (entry) return *entry;
  const std::int64_t bytes = prepared.program->memory().arena_bytes;
  if (bytes > arena_->bytes()) {
    // All workspaces lie in the arena.
    for (Programs& programs : programs_) programs.workspaces.clear();
    arena_.reset();
    arena_ = std::make_shared<MappedBuffer>(std::max(bytes, version->bytes().arena));
  }
  auto& fresh = programs_[slot].workspaces[prepared.rows];
  fresh = std::make_unique<Workspace>(prepared.program, arena_, pool_);
  return *fresh;
}

void BatchRunner::bind_inputs(const ModelVersion& version, std::int64_t run_rows) {
  std::int64_t bytes = 0;
  for (const TensorSpec& input : version.inputs) bytes += to_cache_line(input.row_bytes * run_rows);
  if (bytes > inputs_.bytes()) {
    inputs_ = MappedBuffer();
    inputs_ = MappedBuffer(std::max(bytes, version.bytes().inputs));
  }
  input_pointers_.clear();
  const std::byte* at = inputs_.data();
  for (const TensorSpec& input : version.inputs) {
    input_pointers_.push_back(at);
    at += to_cache_line(input.row_bytes * run_rows);
  }
}

void BatchRunner::bind_outputs(const ModelVersion& version, std::byte* outputs,
                               std::int64_t run_rows) {
  output_pointers_.clear();
  for (const TensorSpec& output : version.outputs) {
    output_pointers_.push_back(outputs);
    outputs += to_cache_line(output.row_bytes * run_rows);
  }
}

void BatchRunner::gather(const ModelVersion& version, std::span<const WorkPiece> pieces,
                         std::int64_t run_rows) {
  std::byte* buffer = inputs_.data();
  for (std::size_t i = 0; i < version.inputs.size(); ++i) {
    const std::int64_t row_bytes = version.inputs[i].row_bytes;
    std::byte* at = buffer;
    for (const WorkPiece& piece : pieces) {
      const std::int64_t bytes = piece.rows * row_bytes;
      std::memcpy(at, input_of(*piece.request, i).data() + piece.first_row * row_bytes,
                  to_size(bytes));
      at += bytes;
    }
    // What pads a batch is nobody's data.
    std::byte* const end = buffer + run_rows * row_bytes;
    std::memset(at, 0, to_size(end - at));
    buffer += to_cache_line(run_rows * row_bytes);
  }
}

void BatchRunner::join(const ModelVersion& version, std::span<const WorkPiece> pieces,
                       const BatchResult& result) {
  std::int64_t row = 0;
  for (const WorkPiece& piece : pieces) {
    for (std::size_t o = 0; piece.joined != nullptr && o < version.outputs.size(); ++o) {
      const std::int64_t row_bytes = version.outputs[o].row_bytes;
      std::memcpy(
          piece.joined + output_offset(version, o, piece.request->rows) +
              piece.first_row * row_bytes,
          result.outputs.get() + output_offset(version, o, result.run_rows) + row * row_bytes,
          to_size(piece.rows * row_bytes));
    }
    row += piece.rows;
  }
}

BatchResult BatchRunner::run(const std::shared_ptr<ModelVersion>& version,
                             std::span<const WorkPiece> pieces, std::int64_t run_rows) {
  const Stopwatch watch;
  const ModelVersion::Prepared prepared = version->prepared(run_rows);
  BatchResult result;
  result.run_rows = prepared.rows;
  Workspace& program = workspace(version, prepared);
  result.outputs = version->output_pool()->acquire(
      output_offset(*version, version->outputs.size(), prepared.rows));
  if (!result.outputs) return result;
  bind_inputs(*version, prepared.rows);
  bind_outputs(*version, result.outputs.get(), prepared.rows);
  gather(*version, pieces, prepared.rows);
  result.gather_us = watch.us();
  program.run(input_pointers_, output_pointers_);
  result.run_us = watch.us() - result.gather_us;
  join(*version, pieces, result);
  result.join_us = watch.us() - result.gather_us - result.run_us;
  return result;
}

BatchRunner::Measured BatchRunner::measure(const std::shared_ptr<ModelVersion>& version,
                                           std::int64_t rows) {
  const ModelVersion::Prepared prepared = version->prepared(rows);
  Workspace& program = workspace(version, prepared);
  const auto outputs = version->output_pool()->acquire(
      output_offset(*version, version->outputs.size(), prepared.rows));
  if (!outputs) return {prepared.rows, 0};
  bind_inputs(*version, prepared.rows);
  bind_outputs(*version, outputs.get(), prepared.rows);
  gather(*version, {}, prepared.rows);
  program.run(input_pointers_, output_pointers_);
  const Stopwatch watch;
  program.run(input_pointers_, output_pointers_);
  return {prepared.rows, watch.us()};
}

}  // namespace batchwise::serve
