// SPDX-License-Identifier: Apache-2.0
#include "ops/axes.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/check.h"

namespace batchwise {

std::vector<int> resolve_axes(const NodeView& view, const std::vector<std::int64_t>& axes,
                              int rank) {
  std::vector<int> resolved;
  for (std::int64_t axis : axes) {
    if (axis < -rank || axis >= rank) {
      fail_input(view.where(), "axis {} is out of range for rank {}", axis, rank);
    }
    const int positive = static_cast<int>(axis < 0 ? axis + rank : axis);
    if (std::find(resolved.begin(), resolved.end(), positive) != resolved.end()) {
      fail_input(view.where(), "axis {} is named twice", axis);
    }
    resolved.push_back(positive);
  }
  return resolved;
}

std::vector<bool> reduced_axes(const NodeView& view) {
  const int rank = view.input(0).rank();
  const std::vector<std::int64_t> axes =
      view.has_input(1) ? view.constant_int64s(1) : std::vector<std::int64_t>{};
  const bool reduces_all =
      axes.empty() && view.attributes().get_int("noop_with_empty_axes", 0) == 0;
  std::vector<bool> reduced(static_cast<std::size_t>(rank), reduces_all);
  for (int axis : resolve_axes(view, axes, rank)) reduced[static_cast<std::size_t>(axis)] = true;
  return reduced;
}

Shape reduced_shape(const Shape& shape, const std::vector<bool>& reduced, bool keepdims) {
  std::vector<std::int64_t> dims;
  for (int axis = 0; axis < shape.rank(); ++axis) {
    const bool is_reduced = reduced[static_cast<std::size_t>(axis)];
    if (!is_reduced || keepdims) dims.push_back(is_reduced ? 1 : shape[axis]);
  }
  return Shape(std::move(dims));
}

namespace {

// ONNX's rules: negative places count from the end, all are then held within the axis.
SliceRange resolve_range(std::int64_t dim, std::int64_t start, std::int64_t end,
                         std::int64_t step) {
  step = std::max(step, -std::numeric_limits<std::int64_t>::max());
  if (start < 0) start += dim;
  if (end < 0) end += dim;
  const std::int64_t low = step > 0 ? 0 : -1;
  const std::int64_t high = step > 0 ? dim : dim - 1;
  start = std::clamp<std::int64_t>(start, 0, std::max<std::int64_t>(high, 0));
  end = std::clamp<std::int64_t>(end, low, std::max(high, low));
  SliceRange range{start, step, 0};
  if (step > 0 && start < end) range.count = (end - start - 1) / step + 1;
  if (step < 0 && start > end && dim > 0) range.count = (start - end - 1) / -step + 1;
  return range;
}

std::vector<std::int64_t> optional_int64s(const NodeView& view, int i, std::size_t count,
                                          const std::string& what) {
  std::vector<std::int64_t> values = view.constant_int64s(i);
  if (values.size() != count) {
    fail_input(view.where(), "{} starts, but {} {}", count, values.size(), what);
  }
  return values;
}

}  // namespace

std::vector<SliceRange> slice_ranges(const NodeView& view) {
  const Shape& shape = view.input(0);
  const std::vector<std::int64_t> starts = view.constant_int64s(1);
  const std::vector<std::int64_t> ends = optional_int64s(view, 2, starts.size(), "ends");
  std::vector<std::int64_t> axes(starts.size()), steps(starts.size(), 1);
  std::iota(axes.begin(), axes.end(), 0);
  if (view.has_input(3)) axes = optional_int64s(view, 3, starts.size(), "axes");
  if (view.has_input(4)) steps = optional_int64s(view, 4, starts.size(), "steps");
  std::vector<SliceRange> ranges;
  for (std::int64_t dim : shape.dims()) ranges.push_back({0, 1, dim});
  const std::vector<int> resolved = resolve_axes(view, axes, shape.rank());
  for (std::size_t i = 0; i < resolved.size(); ++i) {
    if (steps[i] == 0) fail_input(view.where(), "the step along axis {} is 0", resolved[i]);
    ranges[static_cast<std::size_t>(resolved[i])] =
        resolve_range(shape[resolved[i]], starts[i], ends[i], steps[i]);
  }
  return ranges;
}

std::vector<SliceRange> slice_grad_ranges(const NodeView& view) {
  const Shape& dy = view.input(0);
  const std::vector<std::int64_t> axes = view.attributes().get_ints("axes");
  const std::vector<std::int64_t> starts = view.attributes().get_ints("starts");
  const std::vector<std::int64_t> steps = view.attributes().get_ints("steps");
  const std::size_t rank = view.attributes().get_ints("shape").size();
  if (static_cast<std::size_t>(dy.rank()) != rank || starts.size() != axes.size() ||
      steps.size() != axes.size()) {
    fail_input(view.where(), "dy {}, {} starts, {} steps and {} axes do not fit rank {}",
               dy.to_string(), starts.size(), steps.size(), axes.size(), rank);
  }
  std::vector<SliceRange> ranges;
  for (std::int64_t count : dy.dims()) ranges.push_back({0, 1, count});
  const std::vector<int> resolved = resolve_axes(view, axes, dy.rank());
  for (std::size_t i = 0; i < resolved.size(); ++i) {
    ranges[static_cast<std::size_t>(resolved[i])] = {starts[i], steps[i], dy[resolved[i]]};
  }
  return ranges;
}

std::vector<std::int64_t> split_sizes(const NodeView& view, int axis) {
  const std::int64_t dim = view.input(0)[axis];
  if (!view.has_input(1)) {
    const std::int64_t parts = view.attributes().get_int("num_outputs", view.num_outputs());
    if (parts < 1 || parts != view.num_outputs()) {
      fail_input(view.where(), "num_outputs is {}, but it has {} outputs", parts,
                 view.num_outputs());
    }
    const std::int64_t chunk = (dim + parts - 1) / parts;
    std::vector<std::int64_t> sizes;
    for (std::int64_t i = 0; i < parts; ++i) {
      sizes.push_back(std::clamp<std::int64_t>(dim - i * chunk, 0, chunk));
    }
    return sizes;
  }
  std::vector<std::int64_t> sizes = view.constant_int64s(1);
  std::int64_t sum = 0;
  bool fits = static_cast<int>(sizes.size()) == view.num_outputs();
  for (std::int64_t size : sizes) {
    fits = fits && size >= 0 && size <= dim - sum;
    if (fits) sum += size;
  }
  if (!fits || sum != dim) {
    fail_input(view.where(), "does not split {} entries into {} outputs of sizes [{}]", dim,
               view.num_outputs(), fmt::join(sizes, ", "));
  }
  return sizes;
}

}  // namespace batchwise
