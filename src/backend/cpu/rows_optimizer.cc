// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "backend/cpu/optimizer.h"
#include "backend/cpu/rows.h"

namespace batchwise::cpu {
namespace {

std::optional<std::string> refuse(const KernelRequest& request) {
  return refuse_other_types(request);
}

std::unique_ptr<Kernel> prepare_sgd(const KernelRequest& request) {
  const Attributes& attributes = request.attributes();
  Sgd prepared;
  prepared.momentum = static_cast<float>(attributes.get_float("momentum", 0));
  prepared.weight_decay = static_cast<float>(attributes.get_float("weight_decay", 0));
  prepared.nesterov = attributes.get_int("nesterov", 0) != 0;
  const std::int64_t count = request.input(0).elements();
  const bool has_velocity = request.has_input(2) && request.has_output(1);
  return make_kernel([=](const KernelCall& call) {
    Sgd now = prepared;
    now.rate = *call.input<float>(3);
    now.multiplier = *call.input<float>(4);
    sgd_update(now, count, call.input<float>(1), call.output<float>(0),
               has_velocity ? call.output<float>(1) : nullptr, pool_for(call, count));
  });
}

std::unique_ptr<Kernel> prepare_adam(const KernelRequest& request) {
  const Attributes& attributes = request.attributes();
  Adam prepared;
  prepared.beta1 = attributes.get_float("beta1", 0.9);
  prepared.beta2 = attributes.get_float("beta2", 0.999);
  prepared.epsilon = static_cast<float>(attributes.get_float("epsilon", 1e-8));
  prepared.weight_decay = static_cast<float>(attributes.get_float("weight_decay", 0));
  const std::int64_t count = request.input(0).elements();
  return make_kernel([=](const KernelCall& call) {
    Adam now = prepared;
    now.rate = *call.input<float>(4);
    now.multiplier = *call.input<float>(5);
    now.step = call.state.step + 1;
    adam_update(now, count, call.input<float>(1), call.output<float>(0), call.output<float>(1),
                call.output<float>(2), pool_for(call, count));
  });
}

std::optional<std::string> refuse_adam(const KernelRequest& request) {
  if (!request.has_output(1) || !request.has_output(2)) return "a moment is not kept";
  return refuse_other_types(request);
}

std::unique_ptr<Kernel> prepare_global_norm(const KernelRequest& request) {
  std::vector<std::int64_t> counts;
  for (int i = 0; i < request.num_inputs(); ++i) counts.push_back(request.input(i).elements());
  const double max_norm = request.attributes().get_float("max_norm", 0);
  const bool wants_norm = request.has_output(1);
  return make_kernel([=](const KernelCall& call) {
    double squares = 0;
    for (std::size_t i = 0; i < counts.size(); ++i) {
      squares += sum_of_squares(call.input<float>(static_cast<int>(i)), counts[i],
                                pool_for(call, counts[i]));
    }
    const double norm = std::sqrt(squares);
    *call.output<float>(0) = static_cast<float>(std::min(1.0, max_norm / (norm + 1e-6)));
    if (wants_norm) *call.output<float>(1) = static_cast<float>(norm);
  });
}

}  // namespace

std::span<const KernelDef> optimizer_rows() {
  static const KernelDef rows[] = {
      {.op = "SgdUpdate", .name = "cpu sgd", .refuse = refuse, .prepare = prepare_sgd},
      {.op = "AdamUpdate", .name = "cpu adam", .refuse = refuse_adam, .prepare = prepare_adam},
      {.op = "GlobalNormMultiplier",
       .name = "cpu gradient norm",
       .refuse = refuse,
       .prepare = prepare_global_norm},
  };
  return rows;
}

}  // namespace batchwise::cpu
