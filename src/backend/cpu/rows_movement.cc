// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "backend/cpu/movement.h"
#include "backend/cpu/rows.h"
#include "base/check.h"
#include "ops/axes.h"

namespace batchwise::cpu {
namespace {

std::optional<std::string> refuse_deep(const KernelRequest& request) {
  if (request.output(0).rank() > StridedCopy::kMaxRank ||
      request.input(0).rank() > StridedCopy::kMaxRank) {
    return "it has more than 8 axes";
  }
  if (dtype_bytes(request.input_dtype(0)) == 0) return "its elements have no size";
  return std::nullopt;
}

int element_bytes(const KernelRequest& request) {
  return static_cast<int>(dtype_bytes(request.input_dtype(0)));
}

std::unique_ptr<Kernel> make_copy(const StridedCopy& plan, int bytes) {
  return make_kernel([=](const KernelCall& call) {
    strided_copy(plan, bytes, call.inputs[0], call.outputs[0], pool_for(call, plan.count));
  });
}

std::unique_ptr<Kernel> prepare_transpose(const KernelRequest& request) {
  const Shape& shape = request.input(0);
  std::vector<int> permutation;
  for (std::int64_t axis : request.attributes().get_ints("perm")) {
    permutation.push_back(static_cast<int>(axis));
  }
  for (int axis = shape.rank(); permutation.empty() && axis-- > 0;) {
    for (int i = axis; i >= 0; --i) permutation.push_back(i);
  }
  return make_copy(plan_transpose(shape.dims(), permutation), element_bytes(request));
}

// Between row-major and channels-last: axis 1 goes to the end, or back.
std::unique_ptr<Kernel> prepare_reorder(const KernelRequest& request) {
  const int rank = request.input(0).rank();
  const bool to_last = request.attributes().get_string("to", "") == "channels_last";
  std::vector<int> permutation{0};
  if (to_last) {
    for (int axis = 2; axis < rank; ++axis) permutation.push_back(axis);
    permutation.push_back(1);
  } else {
    permutation.push_back(rank - 1);
    for (int axis = 1; axis < rank - 1; ++axis) permutation.push_back(axis);
  }
  const auto dims = physical_dims(request.input(0), rank, !to_last);
  return make_copy(plan_transpose(dims, permutation), element_bytes(request));
}

std::unique_ptr<Kernel> prepare_expand(const KernelRequest& request) {
  const Shape& to = request.output(0);
  const Shape from(physical_dims(request.input(0), to.rank(), false));
  std::vector<std::int64_t> strides = from.strides();
  for (int axis = 0; axis < to.rank(); ++axis) {
    if (from[axis] == 1) strides[static_cast<std::size_t>(axis)] = 0;
  }
  return make_copy(plan_strided_copy(to.dims(), strides, to.strides()), element_bytes(request));
}

struct SliceVectors {
  std::vector<std::int64_t> starts, steps, counts;
};
SliceVectors slice_vectors(const std::vector<SliceRange>& ranges) {
  SliceVectors vectors;
  for (const SliceRange& range : ranges) {
    vectors.starts.push_back(range.start);
    vectors.steps.push_back(range.step);
    vectors.counts.push_back(range.count);
  }
  return vectors;
}

std::unique_ptr<Kernel> prepare_slice(const KernelRequest& request) {
  const SliceVectors vectors = slice_vectors(slice_ranges(request));
  return make_copy(
      plan_slice(request.input(0).dims(), vectors.starts, vectors.steps, vectors.counts),
      element_bytes(request));
}

std::unique_ptr<Kernel> prepare_slice_grad(const KernelRequest& request) {
  const SliceVectors vectors = slice_vectors(slice_grad_ranges(request));
  const StridedCopy plan =
      plan_unslice(request.output(0).dims(), vectors.starts, vectors.steps, vectors.counts);
  const int bytes = element_bytes(request);
  const auto whole = static_cast<std::size_t>(request.output(0).elements() * bytes);
  return make_kernel([=](const KernelCall& call) {
    std::memset(call.outputs[0], 0, whole);
    strided_copy(plan, bytes, call.inputs[0], call.outputs[0], pool_for(call, plan.count));
  });
}

// --- concat and split: blocks of an axis, in the order of memory ---

struct Block {
  std::int64_t bytes, offset_bytes;
};

// The whole as rows of `row_bytes`, of which each part takes a block.
struct Blocks {
  std::int64_t rows = 1, row_bytes = 0;
  std::vector<Block> parts;
};

Blocks cut_blocks(const KernelRequest& request, const Shape& whole,
                  const std::vector<std::int64_t>& sizes) {
  const int rank = whole.rank();
  const bool last = is_channels_last(request);
  const int axis = physical_axis(request.axis("axis", 0, rank), rank, last);
  const Shape dims(physical_dims(whole, rank, last));
  const std::int64_t unit = dims.elements(axis + 1, rank) * element_bytes(request);
  Blocks blocks{dims.elements(0, axis), dims[axis] * unit, {}};
  std::int64_t offset = 0;
  for (std::int64_t size : sizes) {
    blocks.parts.push_back({size * unit, offset});
    offset += size * unit;
  }
  return blocks;
}

std::unique_ptr<Kernel> prepare_concat(const KernelRequest& request) {
  const int axis = request.axis("axis", 0, request.output(0).rank());
  std::vector<std::int64_t> sizes;
  for (int i = 0; i < request.num_inputs(); ++i) sizes.push_back(request.input(i)[axis]);
  const Blocks blocks = cut_blocks(request, request.output(0), sizes);
  return make_kernel([=](const KernelCall& call) {
    for (std::size_t i = 0; i < blocks.parts.size(); ++i) {
      const Block& part = blocks.parts[i];
      if (part.bytes == 0) continue;
      copy_blocks(blocks.rows, part.bytes, call.inputs[i], part.bytes,
                  static_cast<std::byte*>(call.outputs[0]) + part.offset_bytes, blocks.row_bytes,
                  pool_for(call, blocks.rows * part.bytes / 4));
    }
  });
}

std::unique_ptr<Kernel> prepare_split(const KernelRequest& request) {
  const int axis = request.axis("axis", 0, request.input(0).rank());
  const Blocks blocks = cut_blocks(request, request.input(0), split_sizes(request, axis));
  const auto outputs = static_cast<std::size_t>(request.num_outputs());
  return make_kernel([=](const KernelCall& call) {
    for (std::size_t o = 0; o < outputs; ++o) {
      const Block& part = blocks.parts[o];
      if (call.outputs[o] == nullptr || part.bytes == 0) continue;
      copy_blocks(blocks.rows, part.bytes,
                  static_cast<const std::byte*>(call.inputs[0]) + part.offset_bytes,
                  blocks.row_bytes, call.outputs[o], part.bytes,
                  pool_for(call, blocks.rows * part.bytes / 4));
    }
  });
}

// --- gather ---

std::optional<std::string> refuse_gather(const KernelRequest& request) {
  const DType dtype = request.input_dtype(1);
  if (dtype != DType::kInt64 && dtype != DType::kInt32)
    return "its indices are neither int64 nor int32";
  return std::nullopt;
}

Gather gather_sizes(const KernelRequest& request, const Shape& data) {
  const int axis = request.axis("axis", 0, data.rank());
  return {data.elements(0, axis), data[axis], request.input(1).elements()};
}

void check_index(std::int64_t bad, const Gather& sizes, const std::string& where) {
  if (bad >= 0) fail_input(where, "index {} is out of range for {} entries", bad, sizes.entries);
}

std::unique_ptr<Kernel> prepare_gather(const KernelRequest& request) {
  const Shape& data = request.input(0);
  const int axis = request.axis("axis", 0, data.rank());
  const Gather sizes = gather_sizes(request, data);
  const std::int64_t bytes = data.elements(axis + 1, data.rank()) * element_bytes(request);
  const bool wide = request.input_dtype(1) == DType::kInt64;
  const std::string where = request.where();
  return make_kernel([=](const KernelCall& call) {
    ThreadPool* pool = pool_for(call, sizes.num_indices * bytes / 4);
    check_index(wide ? gather(sizes, bytes, call.input<std::int64_t>(1), call.inputs[0],
                              call.outputs[0], pool)
                     : gather(sizes, bytes, call.input<std::int32_t>(1), call.inputs[0],
                              call.outputs[0], pool),
                sizes, where);
  });
}

std::optional<std::string> refuse_gather_grad(const KernelRequest& request) {
  if (request.input_dtype(0) != DType::kFloat32) return "it is not float32";
  return refuse_gather(request);
}

std::unique_ptr<Kernel> prepare_gather_grad(const KernelRequest& request) {
  const Shape& data = request.output(0);
  const int axis = request.axis("axis", 0, data.rank());
  const Gather sizes = gather_sizes(request, data);
  const std::int64_t inner = data.elements(axis + 1, data.rank());
  const bool wide = request.input_dtype(1) == DType::kInt64;
  const bool has_accumulator = request.has_input(2);
  const std::string where = request.where();
  return make_kernel([=](const KernelCall& call) {
    ThreadPool* pool = pool_for(call, sizes.num_indices * inner);
    const bool continues = has_accumulator && call.state.accumulate;
    check_index(wide ? gather_grad(sizes, inner, call.input<std::int64_t>(1), call.input<float>(0),
                                   continues, call.output<float>(0), pool)
                     : gather_grad(sizes, inner, call.input<std::int32_t>(1), call.input<float>(0),
                                   continues, call.output<float>(0), pool),
                sizes, where);
  });
}

std::optional<std::string> refuse_cast(const KernelRequest& request) {
  if (!can_cast(request.input_dtype(0), request.output_value(0).type.dtype)) {
    return "it is between types that have no kernel";
  }
  return std::nullopt;
}

std::unique_ptr<Kernel> prepare_cast(const KernelRequest& request) {
  const DType from = request.input_dtype(0), to = request.output_value(0).type.dtype;
  const std::int64_t count = request.output(0).elements();
  return make_kernel([=](const KernelCall& call) {
    cast(from, call.inputs[0], to, call.outputs[0], count, pool_for(call, count));
  });
}

constexpr KernelDef copy_row(std::string_view op,
                             std::unique_ptr<Kernel> (*prepare)(const KernelRequest&),
                             LayoutSupport layout = LayoutSupport::kRowMajor) {
  return {
      .op = op, .name = "cpu copy", .refuse = refuse_deep, .prepare = prepare, .layout = layout};
}

}  // namespace

std::span<const KernelDef> movement_rows() {
  static const KernelDef rows[] = {
      copy_row("Transpose", prepare_transpose),
      copy_row("Reorder", prepare_reorder),
      copy_row("Expand", prepare_expand),
      copy_row("Slice", prepare_slice),
      copy_row("SliceGrad", prepare_slice_grad),
      copy_row("Concat", prepare_concat, LayoutSupport::kAny),
      copy_row("Split", prepare_split, LayoutSupport::kAny),
      {.op = "Gather", .name = "cpu gather", .refuse = refuse_gather, .prepare = prepare_gather},
      {.op = "GatherGrad",
       .name = "cpu gather gradient",
       .refuse = refuse_gather_grad,
       .prepare = prepare_gather_grad},
      {.op = "Cast",
       .name = "cpu cast",
       .refuse = refuse_cast,
       .prepare = prepare_cast,
       .layout = LayoutSupport::kAny},
  };
  return rows;
}

}  // namespace batchwise::cpu
