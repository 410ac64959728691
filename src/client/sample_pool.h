// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "client/infer_client.h"
#include "data/data_source.h"

namespace batchwise {

// Rows of one input or output, dense.
struct PoolColumn {
  std::string name;
  DType dtype = DType::kFloat32;
  std::vector<std::int64_t> row_shape;
  std::int64_t row_bytes = 0;
  std::vector<std::byte> bytes;
};

// What requests are made of: so many samples, and, where they are known, the outputs that belong to
// them.
struct SamplePool {
  std::int64_t rows = 0;
  std::vector<PoolColumn> inputs;
  std::vector<PoolColumn> expected;  // of some outputs; empty: nothing is compared
};

// An input or output without its first dimension, which counts samples. Throws Error{kInvalidInput}
// where another dimension is free, or the type is one that we do not send.
PoolColumn column_of(const RemoteTensor& tensor);

// Floats evenly from 0 to 1, integers from 0 to 9; the same for the same seed.
SamplePool make_random_pool(const RemoteModel& model, std::int64_t rows, std::uint64_t seed);

// The first `rows` samples of the data, or all where there are fewer. Features go to inputs by
// name, else by order; sizes must agree.
SamplePool read_pool(const RemoteModel& model, const DataSource& data, std::int64_t rows);

// The outputs that `predict` wrote for these samples, as the pool's `expected`: by name where the
// file has names, else the model's output `name` (empty: the first). Throws Error where there are
// fewer rows than the pool has, or other ones.
void read_expected(const RemoteModel& model, const DataSource& outputs, const std::string& name,
                   SamplePool& pool);

// The pool's inputs as data to predict with. The pool must outlive it.
std::unique_ptr<DataSource> pool_source(const SamplePool& pool);

}  // namespace batchwise
