// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "backend/reference/dispatch.h"
#include "backend/reference/families.h"

namespace batchwise::reference {
namespace {

// PyTorch's SGD: velocity = momentum * velocity + g, and a step along g, the velocity or both.
void sgd_update(const ReferenceCall& call) {
  const Attributes& attributes = call.view.attributes();
  const bool nesterov = attributes.get_int("nesterov", 0) != 0;
  const std::int64_t count = call.view.input(0).elements();
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    const T momentum = static_cast<T>(attributes.get_float("momentum", 0.0));
    const T weight_decay = static_cast<T>(attributes.get_float("weight_decay", 0.0));
    const T rate = *call.input<T>(3), multiplier = *call.input<T>(4);
    const T* old_velocity = call.has_input(2) ? call.input<T>(2) : nullptr;
    T* new_velocity = call.view.num_outputs() > 1 ? call.output<T>(1) : nullptr;
    for (std::int64_t i = 0; i < count; ++i) {
      const T parameter = call.input<T>(0)[i];
      const T gradient = multiplier * call.input<T>(1)[i] + weight_decay * parameter;
      T step = gradient;
      if (old_velocity != nullptr) {
        const T velocity = momentum * old_velocity[i] + gradient;
        if (new_velocity != nullptr) new_velocity[i] = velocity;
        step = nesterov ? gradient + momentum * velocity : velocity;
      }
      call.output<T>(0)[i] = parameter - rate * step;
    }
  });
}

// PyTorch's Adam, both moments corrected for their start at zero.
void adam_update(const ReferenceCall& call) {
  const Attributes& attributes = call.view.attributes();
  const double beta1 = attributes.get_float("beta1", 0.9);
  const double beta2 = attributes.get_float("beta2", 0.999);
  const double time = static_cast<double>(call.state.step + 1);
  const double correction1 = 1.0 - std::pow(beta1, time);
  const double correction2 = std::sqrt(1.0 - std::pow(beta2, time));
  const std::int64_t count = call.view.input(0).elements();
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    const T weight_decay = static_cast<T>(attributes.get_float("weight_decay", 0.0));
    const T epsilon = static_cast<T>(attributes.get_float("epsilon", 1e-8));
    const T rate = static_cast<T>(static_cast<double>(*call.input<T>(4)) / correction1);
    const T multiplier = *call.input<T>(5);
    const T keep1 = static_cast<T>(beta1), take1 = static_cast<T>(1.0 - beta1);
    const T keep2 = static_cast<T>(beta2), take2 = static_cast<T>(1.0 - beta2);
    for (std::int64_t i = 0; i < count; ++i) {
      const T parameter = call.input<T>(0)[i];
      const T gradient = multiplier * call.input<T>(1)[i] + weight_decay * parameter;
      const T mean = keep1 * call.input<T>(2)[i] + take1 * gradient;
      const T square = keep2 * call.input<T>(3)[i] + take2 * gradient * gradient;
      const T scale = std::sqrt(square) / static_cast<T>(correction2) + epsilon;
      call.output<T>(0)[i] = parameter - rate * mean / scale;
      if (call.view.num_outputs() > 1 && call.has_output(1)) call.output<T>(1)[i] = mean;
      if (call.view.num_outputs() > 2 && call.has_output(2)) call.output<T>(2)[i] = square;
    }
  });
}

// Squares are summed in double, tensor by tensor in order.
void global_norm_multiplier(const ReferenceCall& call) {
  const double max_norm = call.view.attributes().get_float("max_norm", 0.0);
  dispatch_float(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    double sum = 0;
    for (int g = 0; g < call.view.num_inputs(); ++g) {
      for (std::int64_t i = 0; i < call.view.input(g).elements(); ++i) {
        const double gradient = static_cast<double>(call.input<T>(g)[i]);
        sum += gradient * gradient;
      }
    }
    const double norm = std::sqrt(sum);
    *call.output<T>(0) = static_cast<T>(std::min(1.0, max_norm / (norm + 1e-6)));
    if (call.view.num_outputs() > 1 && call.has_output(1))
      *call.output<T>(1) = static_cast<T>(norm);
  });
}

constexpr ReferenceRow kRows[] = {
    {.op = "SgdUpdate", .run = sgd_update, .reads_run_state = true},
    {.op = "AdamUpdate", .run = adam_update, .reads_run_state = true},
    {.op = "GlobalNormMultiplier", .run = global_norm_multiplier},
};

}  // namespace

std::span<const ReferenceRow> optimizer_kernels() { return kRows; }

}  // namespace batchwise::reference
