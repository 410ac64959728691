// SPDX-License-Identifier: Apache-2.0
#include "serve/model_loader.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "base/check.h"
#include "base/heap.h"
#include "base/mapped_buffer.h"
#include "batching/batch_sizes.h"
#include "batching/cost_model.h"
#include "engine/evaluator.h"
#include "measure/machine.h"
#include "onnx_io/onnx_io.h"
#include "ops/op.h"
#include "profile/profile.h"
#include "serve/configured_model.h"

namespace batchwise::serve {
namespace {

constexpr std::int64_t kLargestAutoBatch = 256;
// Buffers of batches whose replies clients are slow to take.
constexpr std::int64_t kOutputBuffers = 16;
// An estimate may be off by so much.
constexpr double kEstimateLow = 0.4, kEstimateHigh = 2.5;

class FileInMemory : public Storage {
 public:
  explicit FileInMemory(std::int64_t bytes) : buffer_(bytes) {}
  const std::byte* data() const override { return buffer_.data(); }
  std::size_t bytes() const override { return static_cast<std::size_t>(buffer_.bytes()); }
  std::byte* mutable_data() { return buffer_.data(); }

 private:
  MappedBuffer buffer_;
};

struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) close(fd);
  }
};

std::shared_ptr<const Storage> read_file(const std::string& path) {
  const Descriptor file{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) fail_input(path, "cannot be opened: {}", std::strerror(errno));
  struct stat status {};
  if (fstat(file.fd, &status) != 0) fail_input(path, "cannot be read: {}", std::strerror(errno));
  if (!S_ISREG(status.st_mode)) fail_input(path, "is not a file");
  if (status.st_size == 0) fail_input(path, "is empty");
  auto storage = std::make_shared<FileInMemory>(status.st_size);
  for (std::int64_t at = 0; at < status.st_size;) {
    const ssize_t got = pread(file.fd, storage->mutable_data() + at,
                              static_cast<std::size_t>(status.st_size - at), at);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) fail_input(path, "ends after {} of {} bytes", at, status.st_size);
    at += got;
  }
  return storage;
}

Graph read_graph(const std::string& path) {
  const std::shared_ptr<const Storage> storage = read_file(path);
  try {
    return onnx_io::read_onnx(storage, path);
  } catch (const Error&) {
    // Weights in files of their own; whatever else is wrong is said again.
    return onnx_io::read_onnx(path);
  }
}

bool has_free_batch(const Graph& graph) {
  return std::all_of(graph.inputs.begin(), graph.inputs.end(),
                     [&](ValueId id) { return graph.value(id).batch.axis >= 0; });
}

std::vector<std::string> class_names(const Graph& graph) {
  const auto found = graph.metadata.find("batchwise.classes");
  if (found == graph.metadata.end()) return {};
  const auto json = nlohmann::json::parse(found->second, nullptr, false);
  std::vector<std::string> names;
  if (!json.is_array()) return names;
  for (const auto& name : json) {
    if (!name.is_string()) return {};
    names.push_back(name.get<std::string>());
  }
  return names;
}

// Of a graph that is bound to `batch` and carried.
TensorSpec spec_of(const Graph& bound, ValueId id, const std::string& name, std::int64_t batch,
                   const std::string& where) {
  const Value& value = bound.value(id);
  if (value.batch.axis != 0 || value.batch.block != 1) {
    fail_input(where, "{} has its batch at axis {}, not at 0", name, value.batch.axis);
  }
  TensorSpec spec;
  spec.name = name;
  spec.dtype = value.type.dtype;
  spec.shape = value.type.shape.dims();
  spec.shape[0] = -1;
  spec.row_bytes = value.type.shape.elements() / batch *
                   static_cast<std::int64_t>(dtype_bytes(value.type.dtype));
  return spec;
}

ModelInfo info_of(const EngineModel& engine, const ModelSource& source) {
  if (!engine.mixes_samples().empty()) {
    fail_input(source.path, "it cannot be served: {}", engine.mixes_samples());
  }
  constexpr std::int64_t kBatch = 2;
  Graph bound = bind_batch(engine.inference(), kBatch, engine_evaluator());
  carry_batch(bound);
  ModelInfo info;
  info.name = source.name;
  info.version = source.version;
  const Graph& read = engine.source();
  for (std::size_t i = 0; i < bound.inputs.size(); ++i) {
    info.inputs.push_back(
        spec_of(bound, bound.inputs[i], read.value(read.inputs[i]).name, kBatch, source.path));
  }
  for (std::size_t o = 0; o < bound.outputs.size(); ++o) {
    info.outputs.push_back(
        spec_of(bound, bound.outputs[o], read.value(read.outputs[o]).name, kBatch, source.path));
  }
  info.class_names = class_names(read);
  return info;
}

MachineSpeed machine_speed(int threads) {
  return estimate_machine(threads, instruction_set() == "avx512", describe_machine().l2_bytes);
}

CostCurve estimate_curve(const EngineModel& engine, int threads, std::int64_t most) {
  const MachineSpeed machine = machine_speed(threads);
  std::vector<CostPoint> points;
  const auto add = [&](std::int64_t size) {
    const double us = std::max(estimate_run_us(*engine.plan(size, threads), machine), 0.1);
    points.push_back({size, {us * kEstimateLow, us, us * kEstimateHigh, false}, 0});
  };
  for (std::int64_t size = 1; size < most; size *= 2) add(size);
  add(most);
  return CostCurve(std::move(points));
}

// A profile's curve up to `most`, which it reaches.
CostCurve cut_curve(const CostCurve& curve, std::int64_t most) {
  std::vector<CostPoint> points;
  for (const CostPoint& point : curve.points()) {
    if (point.rows < most) points.push_back(point);
  }
  points.push_back(
      {most, {curve.low_us(most), curve.us(most), curve.safe_us(most)}, curve.bytes(most)});
  return CostCurve(std::move(points));
}

VersionBytes bytes_of(const EngineModel& engine, ModelInfo& info, int threads, std::int64_t most) {
  info.max_batch_rows = most;
  const auto program = engine.plan(most, threads);
  const ProgramMemory& memory = program->memory();
  const auto sizes = static_cast<std::int64_t>(prepared_sizes(most).size());
  VersionBytes bytes;
  bytes.weights = memory.dense_constant_bytes + memory.packed_constant_bytes + engine.graph_bytes();
  for (const Value& value : engine.source().values) {
    if (value.constant && !value.constant->is_splat()) bytes.weights += value.constant->bytes();
  }
  bytes.programs = sizes * memory.table_bytes;
  // A smaller batch may be laid out in a little more than a larger one: gaps differ.
  bytes.arena = memory.arena_bytes + memory.arena_bytes / 16;
  std::int64_t row_bytes = 0;
  for (const TensorSpec& input : info.inputs) {
    bytes.inputs += (input.row_bytes * most + 63) / 64 * 64;
  }
  for (const TensorSpec& output : info.outputs) row_bytes += output.row_bytes;
  const std::int64_t padding = 64 * static_cast<std::int64_t>(info.outputs.size());
  bytes.outputs =
      kOutputBuffers * (row_bytes * most + padding) + row_bytes * info.max_request_rows + padding;
  return bytes;
}

std::int64_t wanted_batch(const EngineModel& engine, const ServerOptions& options, int threads,
                          const CostCurve* profile) {
  if (profile != nullptr) {
    return options.max_batch > 0 ? std::min(options.max_batch, profile->max_rows())
                                 : profile->max_rows();
  }
  if (options.max_batch > 0) return options.max_batch;
  const MachineSpeed machine = machine_speed(threads);
  return std::max<std::int64_t>(
      1,
      choose_micro_batch(
          [&](std::int64_t size) { return estimate_run_us(*engine.plan(size, threads), machine); },
          {0, kLargestAutoBatch}, [](std::int64_t) { return true; }));
}

}  // namespace

std::shared_ptr<const EngineModel> read_engine_model(const std::string& path) {
  Graph graph = read_graph(path);
  if (!has_free_batch(graph)) {
    const std::string why = free_batch(graph, engine_evaluator());
    if (!why.empty()) fail_input(path, "its batch is fixed: {}", why);
  }
  return std::make_shared<const EngineModel>(std::move(graph), ModelOptions{});
}

LoadPlan plan_load(const ModelSource& source, const ServerOptions& options, int threads,
                   const std::function<std::int64_t(const VersionBytes&)>& missing_bytes) {
  std::shared_ptr<const EngineModel> engine = read_engine_model(source.path);
  ModelInfo info = info_of(*engine, source);
  const ModelLimits limits = apply_model_config(source.config, info);
  std::shared_ptr<const CostCurve> profile = options.curve;
  if (!profile && !options.profile.empty()) {
    profile = std::make_shared<const CostCurve>(read_profile(options.profile));
  }
  std::int64_t most = wanted_batch(*engine, options, threads, profile.get());
  if (limits.max_batch_rows > 0) most = std::min(most, limits.max_batch_rows);
  info.max_request_rows = std::max(options.max_request_rows, most);
  VersionBytes bytes = bytes_of(*engine, info, threads, most);
  while (missing_bytes(bytes) > 0) {
    if (most == 1) {
      const std::int64_t needs = bytes.own() + bytes.arena + bytes.inputs;
      throw Error(ErrorCode::kNo,
                  fmt::format("[{}] one row a batch needs {}, {} more than there is", source.name,
                              format_size(needs), format_size(missing_bytes(bytes))),
                  "raise --memory-limit, or unload another model");
    }
    most = std::max<std::int64_t>(1, most / 2);
    bytes = bytes_of(*engine, info, threads, most);
  }
  CostCurve curve = profile ? cut_curve(*profile, most) : estimate_curve(*engine, threads, most);
  engine->forget_plans();
  return_free_heap();
  return {std::move(engine), std::move(info), bytes, std::move(curve)};
}

}  // namespace batchwise::serve
