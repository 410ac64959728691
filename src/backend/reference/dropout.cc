// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "backend/reference/copy.h"
#include "backend/reference/dispatch.h"
#include "backend/reference/families.h"
#include "tensor/counter_random.h"

namespace batchwise::reference {
namespace {

void dropout(const ReferenceCall& call) {
  copy_through(call);
  if (call.view.num_outputs() > 1 && call.has_output(1)) {
    std::fill_n(call.output<bool>(1), call.view.input(0).elements(), true);
  }
}

void dropout_training(const ReferenceCall& call) {
  const NodeView& view = call.view;
  const double ratio = view.attributes().get_float("ratio", 0.5);
  const std::int64_t block = view.attributes().get_int("block", 1);
  const DropoutMask mask(ratio, call.state.seed, call.state.step,
                         view.attributes().get_int("stream"));
  const Shape& shape = view.input(0);
  const std::int64_t samples = shape.rank() == 0 ? 1 : shape[0] / block;
  const std::int64_t per_sample = samples == 0 ? 0 : shape.elements() / samples;
  dispatch_float(view, view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    const T scale = static_cast<T>(1 / (1 - ratio));
    const T* x = call.input<T>(0);
    T* y = call.output<T>(0);
    for (std::int64_t s = 0; s < samples; ++s) {
      for (std::int64_t e = 0; e < per_sample; ++e, ++x, ++y) {
        *y = mask.keeps(call.state.first_sample + s, e) ? *x * scale : T{0};
      }
    }
  });
}

constexpr ReferenceRow kRows[] = {
    {"Dropout", dropout},
    {.op = "DropoutTraining", .run = dropout_training, .reads_run_state = true},
};

}  // namespace

std::span<const ReferenceRow> dropout_kernels() { return kRows; }

}  // namespace batchwise::reference
