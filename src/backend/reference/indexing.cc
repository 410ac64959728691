// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "backend/reference/dispatch.h"
#include "backend/reference/families.h"
#include "backend/reference/walk.h"
#include "ops/axes.h"

namespace batchwise::reference {
namespace {

const std::byte* bytes_in(const ReferenceCall& call, int i) { return call.input<std::byte>(i); }
std::byte* bytes_out(const ReferenceCall& call, int o) { return call.output<std::byte>(o); }

// Copies `rows` rows of `bytes` bytes, whose beginnings lie these distances apart.
void copy_rows(std::byte* to, std::int64_t to_bytes, const std::byte* from, std::int64_t from_bytes,
               std::int64_t rows, std::int64_t bytes) {
  if (bytes == 0) return;
  for (std::int64_t row = 0; row < rows; ++row) {
    std::memcpy(to + row * to_bytes, from + row * from_bytes, static_cast<std::size_t>(bytes));
  }
}

// The bytes from axis `axis` on.
std::int64_t inner_bytes(const Shape& shape, int axis, DType dtype) {
  return shape.elements(axis, shape.rank()) * static_cast<std::int64_t>(dtype_bytes(dtype));
}

void concat(const ReferenceCall& call) {
  const NodeView& view = call.view;
  const DType dtype = view.input_dtype(0);
  const int axis = view.axis("axis", 0, view.output(0).rank());
  const std::int64_t row_bytes = inner_bytes(view.output(0), axis, dtype);
  const std::int64_t rows = view.output(0).elements(0, axis);
  std::int64_t place = 0;
  for (int i = 0; i < view.num_inputs(); ++i) {
    const std::int64_t bytes = inner_bytes(view.input(i), axis, dtype);
    copy_rows(bytes_out(call, 0) + place, row_bytes, bytes_in(call, i), bytes, rows, bytes);
    place += bytes;
  }
}

void split(const ReferenceCall& call) {
  const NodeView& view = call.view;
  const DType dtype = view.input_dtype(0);
  const int axis = view.axis("axis", 0, view.input(0).rank());
  const std::int64_t row_bytes = inner_bytes(view.input(0), axis, dtype);
  const std::int64_t rows = view.input(0).elements(0, axis);
  const std::int64_t entry_bytes = inner_bytes(view.input(0), axis + 1, dtype);
  const std::vector<std::int64_t> sizes = split_sizes(view, axis);
  std::int64_t place = 0;
  for (int o = 0; o < view.num_outputs(); ++o) {
    const std::int64_t bytes = sizes[static_cast<std::size_t>(o)] * entry_bytes;
    if (call.has_output(o)) {
      copy_rows(bytes_out(call, o), bytes, bytes_in(call, 0) + place, row_bytes, rows, bytes);
    }
    place += bytes;
  }
}

// Where element 0 of the slice lies in the whole, and the strides with which one walks on.
struct SlicePlaces {
  std::int64_t first = 0;
  Strides strides{};
};

SlicePlaces places_of(const Shape& whole, const std::vector<SliceRange>& ranges) {
  SlicePlaces places;
  const Strides own = strides_of(whole);
  for (std::size_t axis = 0; axis < ranges.size(); ++axis) {
    places.first += ranges[axis].start * own[axis];
    // A step is used only between elements; that of a single one may be anything.
    places.strides[axis] = ranges[axis].count > 1 ? ranges[axis].step * own[axis] : 0;
  }
  return places;
}

void slice(const ReferenceCall& call) {
  const SlicePlaces places = places_of(call.view.input(0), slice_ranges(call.view));
  dispatch_bytes(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    const T* x = call.input<T>(0);
    T* y = call.output<T>(0);
    walk<1>(call.view.output(0), {places.strides},
            [&](std::int64_t i, const auto& at) { y[i] = x[places.first + at[0]]; });
  });
}

void slice_grad(const ReferenceCall& call) {
  const SlicePlaces places = places_of(call.view.output(0), slice_grad_ranges(call.view));
  dispatch_bytes(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    const T* dy = call.input<T>(0);
    T* dx = call.output<T>(0);
    std::fill(dx, dx + call.view.output(0).elements(), T{0});
    walk<1>(call.view.input(0), {places.strides},
            [&](std::int64_t i, const auto& at) { dx[places.first + at[0]] = dy[i]; });
  });
}

// Gather along an axis of `length` entries: outer x indices x inner.
struct GatherSizes {
  std::int64_t outer, length, indices, inner;
};

GatherSizes sizes_of(const NodeView& view, const Shape& data) {
  const int axis = view.axis("axis", 0, data.rank());
  return {data.elements(0, axis), data[axis], view.input(1).elements(),
          data.elements(axis + 1, data.rank())};
}

// f(outer, k, entry) for every index k, in order, checked and made non-negative.
template <typename F>
void each_index(const ReferenceCall& call, const GatherSizes& sizes, F f) {
  dispatch_index(call.view, call.view.input_dtype(1), [&](auto zero) {
    using Index = decltype(zero);
    const Index* indices = call.input<Index>(1);
    for (std::int64_t outer = 0; outer < sizes.outer; ++outer) {
      for (std::int64_t k = 0; k < sizes.indices; ++k) {
        const auto index = static_cast<std::int64_t>(indices[k]);
        if (index < -sizes.length || index >= sizes.length) {
          fail_input(call.view.where(), "index {} at place {} is out of range for {} entries",
                     index, k, sizes.length);
        }
        f(outer, k, index < 0 ? index + sizes.length : index);
      }
    }
  });
}

void gather(const ReferenceCall& call) {
  const GatherSizes sizes = sizes_of(call.view, call.view.input(0));
  const std::int64_t bytes =
      sizes.inner * static_cast<std::int64_t>(dtype_bytes(call.view.input_dtype(0)));
  each_index(call, sizes, [&](std::int64_t outer, std::int64_t k, std::int64_t entry) {
    copy_rows(bytes_out(call, 0) + (outer * sizes.indices + k) * bytes, bytes,
              bytes_in(call, 0) + (outer * sizes.length + entry) * bytes, bytes, 1, bytes);
  });
}

// Adds in the order of the indices, which is that of the samples.
void gather_grad(const ReferenceCall& call) {
  const Shape& shape = call.view.output(0);
  const GatherSizes sizes = sizes_of(call.view, shape);
  const bool continues = call.state.accumulate && call.has_input(2);
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    const T* dy = call.input<T>(0);
    T* sum = call.output<T>(0);
    for (std::int64_t i = 0; i < shape.elements(); ++i) {
      sum[i] = continues ? call.input<T>(2)[i] : T{0};
    }
    each_index(call, sizes, [&](std::int64_t outer, std::int64_t k, std::int64_t entry) {
      const T* from = dy + (outer * sizes.indices + k) * sizes.inner;
      T* to = sum + (outer * sizes.length + entry) * sizes.inner;
      for (std::int64_t i = 0; i < sizes.inner; ++i) to[i] += from[i];
    });
  });
}

constexpr ReferenceRow kRows[] = {
    {"Concat", concat},        {"Split", split},   {"Slice", slice},
    {"SliceGrad", slice_grad}, {"Gather", gather}, {"GatherGrad", gather_grad},
};

}  // namespace

std::span<const ReferenceRow> indexing_kernels() { return kRows; }

}  // namespace batchwise::reference
