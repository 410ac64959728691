// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/reduction.h"

#include "backend/cpu/rows.h"
#include "ops/axes.h"

namespace batchwise::cpu {
namespace {

// More kept or reduced axes than the kernels walk do not happen in models; the reference takes
// them.
std::optional<std::string> refuse_reduction(const KernelRequest& request) {
  if (request.input(0).rank() > AxisWalk::kMaxRank) return "it has more than 6 axes";
  if (request.input(0).elements() == 0) return "it is empty";
  return refuse_other_types(request, 0b10);
}

template <ReduceOp kOp>
std::unique_ptr<Kernel> prepare_reduce(const KernelRequest& request) {
  const ReducePlan plan = plan_reduction(request.input(0).dims(), reduced_axes(request), false);
  const std::int64_t count = request.input(0).elements();
  return make_kernel([=](const KernelCall& call) {
    reduce(kOp, plan, call.input<float>(0), call.output<float>(0), pool_for(call, count));
  });
}

std::unique_ptr<Kernel> prepare_reduce_max_grad(const KernelRequest& request) {
  const Shape& x = request.input(1);
  std::vector<bool> reduced(static_cast<std::size_t>(x.rank()), false);
  for (int axis : resolve_axes(request, request.attributes().get_ints("axes"), x.rank())) {
    reduced[static_cast<std::size_t>(axis)] = true;
  }
  const ReducePlan plan = plan_reduction(x.dims(), reduced, false);
  const std::int64_t count = x.elements();
  return make_kernel([=](const KernelCall& call) {
    reduce_max_grad(plan, call.input<float>(0), call.input<float>(1), call.input<float>(2),
                    call.output<float>(0), pool_for(call, count));
  });
}

std::optional<std::string> refuse_sum_to(const KernelRequest& request) {
  if (request.input(0).rank() > AxisWalk::kMaxRank) return "it has more than 6 axes";
  if (request.input(0).elements() == 0) return "it is empty";
  return refuse_other_types(request);
}

// Which axes of the input, in the order of memory, are summed: those that the shape lacks or has as
// 1.
std::unique_ptr<Kernel> prepare_sum_to(const KernelRequest& request) {
  const int rank = request.input(0).rank();
  const bool last = request.input_value(0).layout == Layout::kChannelsLast;
  const auto from = physical_dims(request.input(0), rank, last);
  const auto to = physical_dims(request.output(0), rank, last);
  std::vector<bool> reduced(from.size(), false);
  for (std::size_t axis = 0; axis < from.size(); ++axis) {
    reduced[axis] = to[axis] == 1 && from[axis] != 1;
  }
  // A leading axis of one sample is a chain of one link, so that a parameter's gradient goes on
  // from its accumulator at batch 1 too.
  const bool chains = to[0] == 1;
  if (chains) reduced[0] = true;
  const ReducePlan plan = plan_reduction(from, reduced, chains);
  const bool has_accumulator = request.has_input(1);
  const std::int64_t count = request.input(0).elements();
  return make_kernel([=](const KernelCall& call) {
    sum_to(plan, call.input<float>(0), has_accumulator && call.state.accumulate,
           call.output<float>(0), pool_for(call, count));
  });
}

}  // namespace

std::span<const KernelDef> reduction_rows() {
  static const KernelDef rows[] = {
      {.op = "ReduceSum",
       .name = "cpu reduction",
       .refuse = refuse_reduction,
       .prepare = prepare_reduce<ReduceOp::kSum>},
      {.op = "ReduceMean",
       .name = "cpu reduction",
       .refuse = refuse_reduction,
       .prepare = prepare_reduce<ReduceOp::kMean>},
      {.op = "ReduceMax",
       .name = "cpu reduction",
       .refuse = refuse_reduction,
       .prepare = prepare_reduce<ReduceOp::kMax>},
      {.op = "ReduceMaxGrad",
       .name = "cpu reduction gradient",
       .refuse = refuse_sum_to,
       .prepare = prepare_reduce_max_grad},
      {.op = "SumTo",
       .name = "cpu sum over samples",
       .refuse = refuse_sum_to,
       .prepare = prepare_sum_to},
  };
  return rows;
}

}  // namespace batchwise::cpu
