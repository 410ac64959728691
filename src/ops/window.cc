// SPDX-License-Identifier: Apache-2.0
#include "ops/window.h"

#include <algorithm>

#include "base/check.h"

namespace batchwise {
namespace {

// Large enough for any real model, small enough that products of two padded extents fit in 63 bits.
constexpr std::int64_t kMaxExtent = std::int64_t{1} << 28;

std::int64_t product(const std::vector<std::int64_t>& values) {
  std::int64_t result = 1;
  for (std::int64_t value : values) result *= value;
  return result;
}

// The attribute, one entry an axis, or `fallback` for each; within [smallest, kMaxExtent].
std::vector<std::int64_t> per_axis(const NodeView& view, const std::string& name, std::size_t count,
                                   std::int64_t fallback, std::int64_t smallest) {
  std::vector<std::int64_t> values = view.attributes().get_ints(name);
  if (values.empty()) values.assign(count, fallback);
  const bool in_range = std::all_of(values.begin(), values.end(), [&](std::int64_t value) {
    return value >= smallest && value <= kMaxExtent;
  });
  if (values.size() != count || !in_range) {
    fail_input(view.where(), "{} must be {} values of at least {}, not [{}]", name, count, smallest,
               fmt::join(values, ", "));
  }
  return values;
}

// auto_pad=SAME_*: ceil(in / stride) outputs; an odd padding goes to the end (UPPER) or beginning.
void pad_to_same(WindowGeometry& geometry, std::size_t axis, bool upper) {
  const std::int64_t in = geometry.in[axis], stride = geometry.stride[axis];
  const std::int64_t extent = (geometry.kernel[axis] - 1) * geometry.dilation[axis] + 1;
  const std::int64_t out = (in + stride - 1) / stride;
  const std::int64_t pad = std::max<std::int64_t>((out - 1) * stride + extent - in, 0);
  geometry.pad_begin[axis] = upper ? pad / 2 : pad - pad / 2;
  geometry.pad_end[axis] = pad - geometry.pad_begin[axis];
}

void set_pads(const NodeView& view, WindowGeometry& geometry) {
  const std::size_t axes = geometry.in.size();
  const std::string mode = view.attributes().get_string("auto_pad", "NOTSET");
  const std::vector<std::int64_t> pads = per_axis(view, "pads", 2 * axes, 0, 0);
  geometry.pad_begin.assign(axes, 0);
  geometry.pad_end.assign(axes, 0);
  for (std::size_t axis = 0; axis < axes; ++axis) {
    if (mode == "NOTSET" || mode.empty()) {
      geometry.pad_begin[axis] = pads[axis];
      geometry.pad_end[axis] = pads[axes + axis];
    } else if (mode == "SAME_UPPER" || mode == "SAME_LOWER") {
      pad_to_same(geometry, axis, mode == "SAME_UPPER");
    } else if (mode != "VALID") {
      fail_input(view.where(), "auto_pad is '{}', not NOTSET, VALID, SAME_UPPER or SAME_LOWER",
                 mode);
    }
  }
}

std::int64_t output_size(const NodeView& view, const WindowGeometry& geometry, std::size_t axis,
                         bool ceil_mode) {
  const std::int64_t stride = geometry.stride[axis];
  const std::int64_t extent = (geometry.kernel[axis] - 1) * geometry.dilation[axis] + 1;
  const std::int64_t padded = geometry.in[axis] + geometry.pad_begin[axis] + geometry.pad_end[axis];
  if (extent > padded) {
    fail_input(view.where(), "a window of {} does not fit in {} padded to {} along spatial axis {}",
               extent, geometry.in[axis], padded, axis);
  }
  std::int64_t out = (padded - extent + (ceil_mode ? stride - 1 : 0)) / stride + 1;
  // A window that would begin in the padding at the end is left out.
  if (ceil_mode && (out - 1) * stride >= geometry.in[axis] + geometry.pad_begin[axis]) --out;
  return out;
}

void complete(const NodeView& view, WindowGeometry& geometry, std::vector<std::int64_t> in,
              bool ceil_mode) {
  const std::size_t axes = in.size();
  if (axes < 1 || axes > 2) {
    fail_input(view.where(), "only 1-d and 2-d are supported, not {}-d", axes);
  }
  geometry.in = std::move(in);
  for (std::int64_t extent : geometry.in) {
    if (extent < 1 || extent > kMaxExtent) {
      fail_input(view.where(), "cannot slide a window over {} positions", extent);
    }
  }
  geometry.kernel = per_axis(view, "kernel_shape", axes, 0, 1);
  geometry.stride = per_axis(view, "strides", axes, 1, 1);
  geometry.dilation = per_axis(view, "dilations", axes, 1, 1);
  set_pads(view, geometry);
  geometry.out.resize(axes);
  for (std::size_t axis = 0; axis < axes; ++axis) {
    geometry.out[axis] = output_size(view, geometry, axis, ceil_mode);
  }
}

std::vector<std::int64_t> spatial(const NodeView& view, int i) {
  const Shape& shape = view.input(i);
  if (shape.rank() < 3) {
    fail_input(view.where(), "input {} has shape {}, but N x C x positions is needed", i,
               shape.to_string());
  }
  return {shape.dims().begin() + 2, shape.dims().end()};
}

// Checks channels of x and w, which are given as (N, I, ...) and (O, I / groups, ...).
void set_channels(const NodeView& view, ConvGeometry& geometry, std::int64_t in_channels,
                  std::int64_t out_channels, std::int64_t weight_in) {
  geometry.groups = view.attributes().get_int("group", 1);
  const std::int64_t groups = geometry.groups;
  const bool divides = groups >= 1 && in_channels % groups == 0 && out_channels % groups == 0;
  if (!divides || in_channels / groups != weight_in) {
    fail_input(view.where(),
               "{} input channels, {} output channels and {} groups do not fit weights with {} "
               "input channels a group",
               in_channels, out_channels, groups, weight_in);
  }
  geometry.in_channels = in_channels;
  geometry.out_channels = out_channels;
}

// A forward node may leave kernel_shape to the weights.
void set_window(const NodeView& view, ConvGeometry& geometry, std::vector<std::int64_t> in,
                int weights) {
  if (weights < 0 || view.attributes().has("kernel_shape")) {
    complete(view, geometry, std::move(in), false);
  } else {
    Node node = view.node();
    node.attributes.set("kernel_shape", spatial(view, weights));
    complete(NodeView(view.graph(), node), geometry, std::move(in), false);
  }
  if (weights >= 0 && geometry.kernel != spatial(view, weights)) {
    fail_input(view.where(), "kernel_shape [{}] does not fit weights of shape {}",
               fmt::join(geometry.kernel, ", "), view.input(weights).to_string());
  }
}

ConvGeometry forward_geometry(const NodeView& view) {
  ConvGeometry geometry;
  set_window(view, geometry, spatial(view, 0), 1);
  geometry.batch = view.input(0)[0];
  set_channels(view, geometry, view.input(0)[1], view.input(1)[0], view.input(1)[1]);
  return geometry;
}

ConvGeometry grad_input_geometry(const NodeView& view) {
  ConvGeometry geometry;
  set_window(view, geometry, view.attributes().get_ints("input_spatial"), 1);
  geometry.batch = view.input(0)[0];
  const Shape& weights = view.input(1);
  const std::int64_t groups = view.attributes().get_int("group", 1);
  set_channels(view, geometry, weights[1] * groups, weights[0], weights[1]);
  return geometry;
}

ConvGeometry grad_weight_geometry(const NodeView& view) {
  ConvGeometry geometry;
  set_window(view, geometry, spatial(view, 0), -1);
  geometry.batch = view.input(0)[0];
  const std::int64_t in_channels = view.input(0)[1];
  const std::int64_t groups = std::max<std::int64_t>(view.attributes().get_int("group", 1), 1);
  set_channels(view, geometry, in_channels, view.input(1)[1], in_channels / groups);
  return geometry;
}

}  // namespace

std::int64_t WindowGeometry::in_positions() const { return product(in); }
std::int64_t WindowGeometry::out_positions() const { return product(out); }
std::int64_t WindowGeometry::taps() const { return product(kernel); }

ConvGeometry conv_geometry(const NodeView& view) {
  if (view.node().op == "ConvGradInput") return grad_input_geometry(view);
  if (view.node().op == "ConvGradWeight") return grad_weight_geometry(view);
  return forward_geometry(view);
}

WindowGeometry pool_geometry(const NodeView& view) {
  WindowGeometry geometry;
  const bool from_attribute = view.attributes().has("input_spatial");
  const int x = view.node().op == "MaxPoolGrad" ? 1 : 0;
  complete(view, geometry,
           from_attribute ? view.attributes().get_ints("input_spatial") : spatial(view, x),
           view.attributes().get_int("ceil_mode", 0) != 0);
  for (std::size_t axis = 0; axis < geometry.in.size(); ++axis) {
    const std::int64_t extent = (geometry.kernel[axis] - 1) * geometry.dilation[axis] + 1;
    if (std::max(geometry.pad_begin[axis], geometry.pad_end[axis]) >= extent) {
      fail_input(view.where(),
                 "pads {} and {} along spatial axis {} must be less than its window {}",
                 geometry.pad_begin[axis], geometry.pad_end[axis], axis, extent);
    }
  }
  return geometry;
}

Shape with_spatial(std::int64_t batch, std::int64_t channels,
                   const std::vector<std::int64_t>& spatial_extents) {
  std::vector<std::int64_t> dims{batch, channels};
  dims.insert(dims.end(), spatial_extents.begin(), spatial_extents.end());
  return Shape(std::move(dims));
}

Attributes explicit_window(const WindowGeometry& geometry) {
  std::vector<std::int64_t> pads = geometry.pad_begin;
  pads.insert(pads.end(), geometry.pad_end.begin(), geometry.pad_end.end());
  return {{"kernel_shape", geometry.kernel},
          {"strides", geometry.stride},
          {"dilations", geometry.dilation},
          {"pads", pads}};
}

Attributes explicit_conv(const ConvGeometry& geometry) {
  Attributes attributes = explicit_window(geometry);
  attributes.set("group", geometry.groups);
  return attributes;
}

}  // namespace batchwise
