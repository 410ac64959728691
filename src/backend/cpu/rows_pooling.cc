// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/pool.h"
#include "backend/cpu/rows.h"
#include "ops/window.h"

namespace batchwise::cpu {
namespace {

std::optional<std::string> refuse_pool(const KernelRequest& request) {
  if (request.num_outputs() > 1 && request.has_output(1)) return "indices are wanted";
  if (request.input(0).elements() == 0 || request.output(0).elements() == 0) return "it is empty";
  return refuse_other_types(request);
}

// Global pooling is of 1-d and 2-d values alike; more axes count as one long one.
std::optional<std::string> refuse_global(const KernelRequest& request) {
  if (request.input(0).elements() == 0) return "it is empty";
  return refuse_other_types(request);
}

// Of a pooling node or its gradient; `values`: the input that has N and C of the pooled values.
PoolShape windowed_shape(const KernelRequest& request) {
  const WindowGeometry geometry = pool_geometry(request);
  const bool flat = geometry.axes() == 1;
  const auto at = [&](const std::vector<std::int64_t>& sizes, bool height, std::int64_t one) {
    if (flat && height) return one;
    return sizes[height || flat ? 0 : 1];
  };
  PoolShape shape;
  shape.batch = request.input(0)[0];
  shape.channels = request.input(0)[1];
  shape.in_height = at(geometry.in, true, 1);
  shape.in_width = at(geometry.in, false, 1);
  shape.out_height = at(geometry.out, true, 1);
  shape.out_width = at(geometry.out, false, 1);
  shape.kernel_h = at(geometry.kernel, true, 1);
  shape.kernel_w = at(geometry.kernel, false, 1);
  shape.stride_h = at(geometry.stride, true, 1);
  shape.stride_w = at(geometry.stride, false, 1);
  shape.dilation_h = at(geometry.dilation, true, 1);
  shape.dilation_w = at(geometry.dilation, false, 1);
  shape.pad_top = at(geometry.pad_begin, true, 0);
  shape.pad_left = at(geometry.pad_begin, false, 0);
  shape.pad_bottom = at(geometry.pad_end, true, 0);
  shape.pad_right = at(geometry.pad_end, false, 0);
  shape.count_include_pad = request.attributes().get_int("count_include_pad", 0) != 0;
  return shape;
}

PoolShape global_shape(const Shape& values) {
  return global_pool_shape(values[0], values[1], 1, values.elements(2, values.rank()));
}

std::unique_ptr<Kernel> prepare_max(const KernelRequest& request) {
  const PoolShape shape = windowed_shape(request);
  return make_kernel([=](const KernelCall& call) {
    max_pool(shape, call.input<float>(0), call.output<float>(0), call.pool);
  });
}

std::unique_ptr<Kernel> prepare_max_gradient(const KernelRequest& request) {
  const PoolShape shape = windowed_shape(request);
  return make_kernel([=](const KernelCall& call) {
    max_pool_gradient(shape, call.input<float>(0), call.input<float>(1), call.input<float>(2),
                      call.output<float>(0), call.pool);
  });
}

template <bool kGlobal>
std::unique_ptr<Kernel> prepare_average(const KernelRequest& request) {
  const PoolShape shape = kGlobal ? global_shape(request.input(0)) : windowed_shape(request);
  return make_kernel([=](const KernelCall& call) {
    average_pool(shape, call.input<float>(0), call.output<float>(0), call.pool);
  });
}

template <bool kGlobal>
std::unique_ptr<Kernel> prepare_average_gradient(const KernelRequest& request) {
  const PoolShape shape = kGlobal ? global_shape(request.output(0)) : windowed_shape(request);
  return make_kernel([=](const KernelCall& call) {
    average_pool_gradient(shape, call.input<float>(0), call.output<float>(0), call.pool);
  });
}

constexpr KernelDef pool_row(std::string_view op, std::string_view name,
                             std::optional<std::string> (*refuse)(const KernelRequest&),
                             std::unique_ptr<Kernel> (*prepare)(const KernelRequest&)) {
  return {.op = op,
          .name = name,
          .refuse = refuse,
          .prepare = prepare,
          .layout = LayoutSupport::kChannelsLast};
}

}  // namespace

std::span<const KernelDef> pooling_rows() {
  static const KernelDef rows[] = {
      pool_row("MaxPool", "cpu pooling", refuse_pool, prepare_max),
      pool_row("MaxPoolGrad", "cpu pooling gradient", refuse_pool, prepare_max_gradient),
      pool_row("AveragePool", "cpu pooling", refuse_pool, prepare_average<false>),
      pool_row("AveragePoolGrad", "cpu pooling gradient", refuse_pool,
               prepare_average_gradient<false>),
      pool_row("GlobalAveragePool", "cpu pooling", refuse_global, prepare_average<true>),
      pool_row("GlobalAveragePoolGrad", "cpu pooling gradient", refuse_global,
               prepare_average_gradient<true>),
  };
  return rows;
}

}  // namespace batchwise::cpu
