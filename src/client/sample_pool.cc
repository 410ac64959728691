// SPDX-License-Identifier: Apache-2.0
#include "client/sample_pool.h"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "base/check.h"
#include "batching/simulation_random.h"
#include "client/v2_types.h"
#include "data/convert.h"

namespace batchwise {
namespace {

constexpr std::int64_t kMostRowBytes = std::int64_t{1} << 30;

std::int64_t elements_of(const std::vector<std::int64_t>& shape, const std::string& name) {
  std::int64_t elements = 1;
  for (const std::int64_t size : shape) {
    if (size < 1 || elements > kMostRowBytes / size) {
      fail_input(name, "its shape without the batch is {}", fmt::join(shape, "x"));
    }
    elements *= size;
  }
  return elements;
}

std::vector<std::byte> random_row_bytes(const PoolColumn& column, std::int64_t rows,
                                        SimulationRandom& random) {
  const std::int64_t elements =
      rows * column.row_bytes / static_cast<std::int64_t>(dtype_bytes(column.dtype));
  std::vector<std::byte> bytes(static_cast<std::size_t>(rows * column.row_bytes));
  const bool is_float = column.dtype == DType::kFloat32 || column.dtype == DType::kFloat64;
  for (std::int64_t i = 0; i < elements; ++i) {
    std::byte* const target =
        bytes.data() + i * static_cast<std::int64_t>(dtype_bytes(column.dtype));
    if (column.dtype == DType::kFloat64) {
      const double value = random.uniform();
      std::memcpy(target, &value, sizeof value);
    } else if (is_float) {
      const auto value = static_cast<float>(random.uniform());
      std::memcpy(target, &value, sizeof value);
    } else if (column.dtype == DType::kFloat16 || column.dtype == DType::kBFloat16) {
      // 0.5 to 1: any mantissa under the exponent of a half.
      const std::uint16_t value = column.dtype == DType::kFloat16
                                      ? static_cast<std::uint16_t>(0x3800U | (random.next() >> 54))
                                      : static_cast<std::uint16_t>(0x3f00U | (random.next() >> 57));
      std::memcpy(target, &value, sizeof value);
    } else {
      // Little-endian: the lowest byte is the number.
      *target = static_cast<std::byte>(random.integer(0, column.dtype == DType::kBool ? 1 : 9));
    }
  }
  return bytes;
}

// The feature that goes to an input: by name where one has it, else the one at its place.
std::size_t feature_for(const DataSource& data, const std::string& name, std::size_t place) {
  const auto& features = data.features();
  for (std::size_t f = 0; f < features.size(); ++f) {
    if (features[f].name == name) return f;
  }
  if (place >= features.size()) {
    fail_input(data.path(), "has {} features, none of them '{}'", features.size(), name);
  }
  return place;
}

std::vector<std::vector<std::byte>> read_rows(const DataSource& data, std::int64_t rows) {
  std::vector<std::vector<std::byte>> columns;
  std::vector<std::byte*> targets;
  for (const FeatureInfo& feature : data.features()) {
    columns.emplace_back(feature.sample_bytes() * static_cast<std::size_t>(rows));
    targets.push_back(columns.back().data());
  }
  std::vector<std::int64_t> indices(static_cast<std::size_t>(rows));
  std::iota(indices.begin(), indices.end(), std::int64_t{0});
  std::vector<std::byte> scratch(data.scratch_bytes());
  data.read(indices, targets, nullptr, scratch);
  return columns;
}

// Rows of a feature as a column wants them.
void fill_column(PoolColumn& column, const DataSource& data, std::size_t f,
                 const std::vector<std::byte>& read, std::int64_t rows) {
  const FeatureInfo& feature = data.features()[f];
  const std::int64_t elements =
      column.row_bytes / static_cast<std::int64_t>(dtype_bytes(column.dtype));
  if (feature.shape.elements() != elements) {
    fail_input(data.path(), "a sample has {} numbers, the server's '{}' {}",
               feature.shape.elements(), column.name, elements);
  }
  column.bytes.resize(static_cast<std::size_t>(rows * column.row_bytes));
  if (feature.dtype == column.dtype) {
    column.bytes = read;
    return;
  }
  convert_elements(feature.dtype, read.data(), column.dtype, column.bytes.data(), rows * elements,
                   column.name.c_str());
}

class PoolSource final : public DataSource {
 public:
  explicit PoolSource(const SamplePool& pool) : pool_(pool) {
    path_ = "the requests' samples";
    num_samples_ = pool.rows;
    for (const PoolColumn& column : pool.inputs) {
      features_.push_back({column.name, Shape(column.row_shape), column.dtype});
    }
  }
  void read(std::span<const std::int64_t> indices, std::span<std::byte* const> features, std::byte*,
            std::span<std::byte>) const override {
    for (std::size_t f = 0; f < features.size(); ++f) {
      if (features[f] == nullptr) continue;
      const PoolColumn& column = pool_.inputs[f];
      for (std::size_t i = 0; i < indices.size(); ++i) {
        std::memcpy(features[f] + static_cast<std::int64_t>(i) * column.row_bytes,
                    column.bytes.data() + indices[i] * column.row_bytes,
                    static_cast<std::size_t>(column.row_bytes));
      }
    }
  }
  std::size_t scratch_bytes() const override { return 0; }
  std::size_t resident_bytes() const override { return 0; }

 private:
  const SamplePool& pool_;
};

}  // namespace

PoolColumn column_of(const RemoteTensor& tensor) {
  if (tensor.dtype == DType::kUndefined) {
    fail_input(tensor.name, "its type is one that load does not send");
  }
  if (tensor.shape.empty()) fail_input(tensor.name, "it has no batch dimension");
  PoolColumn column;
  column.name = tensor.name;
  column.dtype = tensor.dtype;
  column.row_shape.assign(tensor.shape.begin() + 1, tensor.shape.end());
  column.row_bytes = elements_of(column.row_shape, tensor.name) *
                     static_cast<std::int64_t>(dtype_bytes(tensor.dtype));
  return column;
}

SamplePool make_random_pool(const RemoteModel& model, std::int64_t rows, std::uint64_t seed) {
  SamplePool pool;
  pool.rows = rows;
  SimulationRandom random(seed);
  for (const RemoteTensor& input : model.inputs) {
    PoolColumn& column = pool.inputs.emplace_back(column_of(input));
    column.bytes = random_row_bytes(column, rows, random);
  }
  return pool;
}

SamplePool read_pool(const RemoteModel& model, const DataSource& data, std::int64_t rows) {
  SamplePool pool;
  pool.rows = std::min(rows, data.num_samples());
  const auto read = read_rows(data, pool.rows);
  for (std::size_t i = 0; i < model.inputs.size(); ++i) {
    PoolColumn& column = pool.inputs.emplace_back(column_of(model.inputs[i]));
    const std::size_t f = feature_for(data, column.name, i);
    fill_column(column, data, f, read[f], pool.rows);
  }
  return pool;
}

void read_expected(const RemoteModel& model, const DataSource& outputs, const std::string& name,
                   SamplePool& pool) {
  if (outputs.num_samples() < pool.rows) {
    fail_input(outputs.path(), "has {} rows, and there are {} samples", outputs.num_samples(),
               pool.rows);
  }
  const auto read = read_rows(outputs, pool.rows);
  const bool has_names = outputs.features().size() > 1;
  for (const RemoteTensor& output : model.outputs) {
    if (!name.empty() && output.name != name) continue;
    PoolColumn& column = pool.expected.emplace_back(column_of(output));
    const std::size_t f =
        has_names ? feature_for(outputs, output.name, outputs.features().size()) : 0;
    if (outputs.features()[f].dtype != column.dtype) {
      fail_input(outputs.path(), "has {}, the server's output '{}' is {}",
                 dtype_name(outputs.features()[f].dtype), column.name, dtype_name(column.dtype));
    }
    fill_column(column, outputs, f, read[f], pool.rows);
    if (!has_names) return;
  }
  if (pool.expected.empty()) {
    fail_input("--output", "the server's model {} has no output '{}'", model.name, name);
  }
}

std::unique_ptr<DataSource> pool_source(const SamplePool& pool) {
  return std::make_unique<PoolSource>(pool);
}

}  // namespace batchwise
