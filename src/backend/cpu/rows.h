// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "backend/cpu/epilogue.h"
#include "backend/kernel.h"

// How raw kernels become rows of the backend's table: each family has a rows_<family>.cc.
namespace batchwise::cpu {

std::span<const KernelDef> dense_rows();
std::span<const KernelDef> convolution_rows();
std::span<const KernelDef> pooling_rows();
std::span<const KernelDef> elementwise_rows();
std::span<const KernelDef> normalization_rows();
std::span<const KernelDef> reduction_rows();
std::span<const KernelDef> loss_rows();
std::span<const KernelDef> movement_rows();
std::span<const KernelDef> optimizer_rows();

// Packs what dense_rows() or convolution_rows() asked for; attribute "form" says which.
void pack(const Attributes& packing, const TensorType& type, const void* source, float* packed,
          ThreadPool& pool);
void pack_dense(const Attributes& packing, const float* source, float* packed, ThreadPool& pool);
void pack_convolution(const Attributes& packing, const float* source, float* packed,
                      ThreadPool& pool);

// A kernel whose work is a function object with everything prepared in it.
template <typename F>
class FunctionKernel : public Kernel {
 public:
  FunctionKernel(F run, std::int64_t scratch_bytes, std::int64_t table_bytes)
      : run_(std::move(run)), scratch_bytes_(scratch_bytes), table_bytes_(table_bytes) {}
  void run(const KernelCall& call) const override { run_(call); }
  std::int64_t scratch_bytes() const override { return scratch_bytes_; }
  std::int64_t table_bytes() const override { return table_bytes_; }

 private:
  F run_;
  std::int64_t scratch_bytes_, table_bytes_;
};

template <typename F>
std::unique_ptr<Kernel> make_kernel(F run, std::int64_t scratch_bytes = 0,
                                    std::int64_t table_bytes = 0) {
  return std::make_unique<FunctionKernel<F>>(std::move(run), scratch_bytes, table_bytes);
}

// Refuses a node with an input or output that is not float32 (`but`: bit i, input i may be other).
std::optional<std::string> refuse_other_types(const KernelRequest& request, std::uint32_t but = 0);

// The pool for work of `elements`; null, which is the caller alone, where sharing would cost more.
ThreadPool* pool_for(const KernelCall& call, std::int64_t elements);

// The layout of the node's values: channels-last where output 0 or an input lies so.
bool is_channels_last(const KernelRequest& request);
// `shape` with leading ones up to `rank` axes, its axes in the order in which they lie in memory.
std::vector<std::int64_t> physical_dims(const Shape& shape, int rank, bool channels_last);
// The place in memory of axis `axis` of a value of `rank` axes.
int physical_axis(int axis, int rank, bool channels_last);

// What node.epilogue asks for; its residual and bias pointers are for the run to fill.
Epilogue prepared_epilogue(const Node& node);
bool takes_any_epilogue(const KernelRequest& request, const batchwise::Epilogue& epilogue);

}  // namespace batchwise::cpu
