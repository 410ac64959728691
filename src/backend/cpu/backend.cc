// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/backend.h"

#include <algorithm>
#include <vector>

#include "backend/cpu/rows.h"
#include "base/check.h"

namespace batchwise::cpu {
namespace {

std::vector<const KernelDef*> join_rows() {
  std::vector<const KernelDef*> all;
  for (const auto rows :
       {dense_rows(), convolution_rows(), pooling_rows(), elementwise_rows(), normalization_rows(),
        reduction_rows(), loss_rows(), movement_rows(), optimizer_rows()}) {
    for (const KernelDef& row : rows) all.push_back(&row);
  }
  return all;
}

}  // namespace

const Backend& cpu_backend() {
  static const std::vector<const KernelDef*> kernels = join_rows();
  static const Backend backend{"cpu", kernels, pack};
  return backend;
}

void pack(const Attributes& packing, const TensorType& type, const void* source, float* packed,
          ThreadPool& pool) {
  BW_CHECK(type.dtype == DType::kFloat32, "{}", dtype_name(type.dtype));
  const auto* values = static_cast<const float*>(source);
  const std::string form = packing.get_string("form", "");
  if (form == "dense") return pack_dense(packing, values, packed, pool);
  BW_CHECK(form == "convolution", "{}", form);
  pack_convolution(packing, values, packed, pool);
}

std::optional<std::string> refuse_other_types(const KernelRequest& request, std::uint32_t but) {
  for (int i = 0; i < request.num_inputs(); ++i) {
    const bool any_type = i < 32 && ((but >> i) & 1u) != 0;
    if (request.has_input(i) && !any_type && request.input_dtype(i) != DType::kFloat32) {
      return fmt::format("input {} is {}", i, dtype_name(request.input_dtype(i)));
    }
  }
  for (int o = 0; o < request.num_outputs(); ++o) {
    if (request.has_output(o) && request.output_value(o).type.dtype != DType::kFloat32) {
      return fmt::format("output {} is {}", o, dtype_name(request.output_value(o).type.dtype));
    }
  }
  return std::nullopt;
}

ThreadPool* pool_for(const KernelCall& call, std::int64_t elements) {
  constexpr std::int64_t kWorthSharing = 8192;
  return call.pool.threads() > 1 && elements >= kWorthSharing ? &call.pool : nullptr;
}

bool is_channels_last(const KernelRequest& request) {
  for (int i = 0; i < request.num_inputs(); ++i) {
    if (request.has_input(i) && request.input_value(i).layout == Layout::kChannelsLast) return true;
  }
  return request.has_output(0) && request.output_value(0).layout == Layout::kChannelsLast;
}

std::vector<std::int64_t> physical_dims(const Shape& shape, int rank, bool channels_last) {
  std::vector<std::int64_t> dims(static_cast<std::size_t>(rank - shape.rank()), 1);
  dims.insert(dims.end(), shape.dims().begin(), shape.dims().end());
  if (channels_last && rank >= 3) std::rotate(dims.begin() + 1, dims.begin() + 2, dims.end());
  return dims;
}

int physical_axis(int axis, int rank, bool channels_last) {
  if (!channels_last || axis == 0 || rank < 3) return axis;
  return axis == 1 ? rank - 1 : axis - 1;
}

Epilogue prepared_epilogue(const Node& node) {
  Epilogue epilogue;
  epilogue.alpha = node.epilogue.alpha;
  epilogue.beta = node.epilogue.beta;
  const std::string& name = node.epilogue.activation;
  if (name == "Relu") epilogue.activation = Activation::kRelu;
  if (name == "LeakyRelu") epilogue.activation = Activation::kLeakyRelu;
  if (name == "Clip") epilogue.activation = Activation::kClip;
  BW_CHECK(name.empty() || epilogue.activation != Activation::kNone, "{}", name);
  return epilogue;
}

bool takes_any_epilogue(const KernelRequest&, const batchwise::Epilogue& epilogue) {
  return epilogue.activation.empty() || epilogue.activation == "Relu" ||
         epilogue.activation == "LeakyRelu" || epilogue.activation == "Clip";
}

}  // namespace batchwise::cpu
