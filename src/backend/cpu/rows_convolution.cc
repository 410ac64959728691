// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/conv.h"
#include "backend/cpu/conv_gradient.h"
#include "backend/cpu/rows.h"
#include "base/check.h"
#include "ops/window.h"

namespace batchwise::cpu {
namespace {

// A 1-d convolution has height 1.
ConvShape conv_shape(const ConvGeometry& geometry) {
  const bool flat = geometry.axes() == 1;
  const auto at = [&](const std::vector<std::int64_t>& sizes, bool height, std::int64_t one) {
    if (flat && height) return one;
    return sizes[height || flat ? 0 : 1];
  };
  ConvShape shape;
  shape.batch = geometry.batch;
  shape.in_channels = geometry.in_channels;
  shape.out_channels = geometry.out_channels;
  shape.groups = geometry.groups;
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
  return shape;
}

std::optional<std::string> refuse_conv(const KernelRequest& request) {
  if (auto refusal = refuse_other_types(request)) return refusal;
  if (request.output(0).elements() == 0 || request.input(0).elements() == 0) return "it is empty";
  return std::nullopt;
}

// What a packing needs to know of the layer: everything but the batch and the positions.
Attributes packing_attributes(const ConvShape& shape, const char* direction, std::size_t floats) {
  return {{"form", std::string("convolution")},
          {"direction", std::string(direction)},
          {"floats", static_cast<std::int64_t>(floats)},
          {"layer", std::vector<std::int64_t>{shape.in_channels, shape.out_channels, shape.kernel_h,
                                              shape.kernel_w, shape.stride_h, shape.stride_w,
                                              shape.dilation_h, shape.dilation_w, shape.groups}}};
}

// Looked at where it lies: weights are packed after each training step, which allocates nothing.
ConvShape packed_shape(const Attributes& packing) {
  const auto& layer = std::get<std::vector<std::int64_t>>(packing.values().at("layer"));
  ConvShape shape;
  shape.in_channels = layer[0];
  shape.out_channels = layer[1];
  shape.kernel_h = layer[2];
  shape.kernel_w = layer[3];
  shape.stride_h = layer[4];
  shape.stride_w = layer[5];
  shape.dilation_h = layer[6];
  shape.dilation_w = layer[7];
  shape.groups = layer[8];
  return shape;
}

std::optional<Attributes> forward_packing(const KernelRequest& request, int input) {
  if (input != 1) return std::nullopt;
  const ConvShape shape = conv_shape(conv_geometry(request));
  return packing_attributes(shape, "forward", packed_conv_floats(shape));
}

std::optional<Attributes> backward_packing(const KernelRequest& request, int input) {
  if (input != 1) return std::nullopt;
  const ConvShape shape = conv_shape(conv_geometry(request));
  return packing_attributes(shape, "input gradient", packed_conv_input_gradient_floats(shape));
}

std::int64_t whole_lines(std::size_t bytes) {
  return (static_cast<std::int64_t>(bytes) + 63) / 64 * 64;
}

// Forward or input gradient: both are passes over channels-last tensors.
std::unique_ptr<Kernel> prepare_pass(const KernelRequest& request, const ConvShape& shape,
                                     bool forward) {
  auto pass = forward ? prepare_conv_forward(shape) : prepare_conv_input_gradient(shape);
  const std::int64_t own = whole_lines(conv_scratch_bytes(pass, request.threads));
  const bool is_packed = request.is_packed(1);
  const std::size_t packed_floats =
      forward ? packed_conv_floats(shape) : packed_conv_input_gradient_floats(shape);
  const std::int64_t pack_bytes = is_packed ? 0 : static_cast<std::int64_t>(packed_floats) * 4;
  const std::int64_t table_bytes = pass.table_bytes();
  const Epilogue epilogue = prepared_epilogue(request.node());
  const bool has_bias = forward && request.has_input(2);
  const int residual = request.node().epilogue.residual_input;
  const auto run = [=, pass = std::move(pass)](const KernelCall& call) {
    const float* weights = call.input<float>(1);
    if (!is_packed) {
      auto* packed = reinterpret_cast<float*>(static_cast<std::byte*>(call.scratch) + own);
      forward ? pack_conv_forward(shape, weights, packed, &call.pool)
              : pack_conv_input_gradient(shape, weights, packed, &call.pool);
      weights = packed;
    }
    Epilogue now = epilogue;
    if (has_bias) now.bias = call.input<float>(2);
    if (residual >= 0) {
      now.residual = call.input<float>(residual);
      now.residual_stride = shape.out_channels;
    }
    run_conv(pass, call.input<float>(0), weights, call.output<float>(0), now, call.pool,
             call.scratch);
  };
  return make_kernel(run, own + pack_bytes, table_bytes);
}

std::unique_ptr<Kernel> prepare_forward(const KernelRequest& request) {
  return prepare_pass(request, conv_shape(conv_geometry(request)), true);
}

std::unique_ptr<Kernel> prepare_input_gradient(const KernelRequest& request) {
  return prepare_pass(request, conv_shape(conv_geometry(request)), false);
}

std::unique_ptr<Kernel> prepare_weight_gradient(const KernelRequest& request) {
  const ConvShape shape = conv_shape(conv_geometry(request));
  const ConvWeightGradient gradient = prepare_conv_weight_gradient(shape);
  const std::int64_t own =
      whole_lines(conv_weight_gradient_scratch_bytes(gradient, request.threads));
  const auto floats = static_cast<std::int64_t>(conv_weight_gradient_floats(shape));
  const bool has_accumulator = request.has_input(2);
  const auto run = [=](const KernelCall& call) {
    // The sum goes on in the kernel's own layout; the state keeps ONNX's.
    auto* dw = reinterpret_cast<float*>(static_cast<std::byte*>(call.scratch) + own);
    auto* weights = call.output<float>(0);
    const bool accumulate = has_accumulator && call.state.accumulate;
    if (accumulate) pack_conv_weight_gradient(shape, weights, dw, call.pool);
    run_conv_weight_gradient(gradient, call.input<float>(0), call.input<float>(1), dw, accumulate,
                             call.pool, call.scratch);
    unpack_conv_weight_gradient(shape, dw, weights, call.pool);
  };
  return make_kernel(run, own + floats * 4);
}

}  // namespace

void pack_convolution(const Attributes& packing, const float* source, float* packed,
                      ThreadPool& pool) {
  const ConvShape shape = packed_shape(packing);
  if (packing.get_string("direction", "") == "forward") {
    pack_conv_forward(shape, source, packed, &pool);
  } else {
    pack_conv_input_gradient(shape, source, packed, &pool);
  }
}

std::span<const KernelDef> convolution_rows() {
  static const KernelDef rows[] = {
      {.op = "Conv",
       .name = "cpu convolution",
       .refuse = refuse_conv,
       .prepare = prepare_forward,
       .layout = LayoutSupport::kChannelsLast,
       .activation_inputs = 0b1001,  // the residual is input 3
       .packing = forward_packing,
       .takes_epilogue = takes_any_epilogue},
      {.op = "ConvGradInput",
       .name = "cpu convolution input gradient",
       .refuse = refuse_conv,
       .prepare = prepare_input_gradient,
       .layout = LayoutSupport::kChannelsLast,
       .activation_inputs = 0b1,
       .packing = backward_packing},
      {.op = "ConvGradWeight",
       .name = "cpu convolution weight gradient",
       .refuse = refuse_conv,
       .prepare = prepare_weight_gradient,
       .layout = LayoutSupport::kChannelsLast,
       .activation_inputs = 0b11},
  };
  return rows;
}

}  // namespace batchwise::cpu
