// SPDX-License-Identifier: Apache-2.0
#include "backend/reference/copy.h"
#include "backend/reference/dispatch.h"
#include "backend/reference/families.h"
#include "backend/reference/walk.h"

namespace batchwise::reference {
namespace {

// y[i] = the element of x at element i's place under these strides.
void read_strided(const ReferenceCall& call, const Strides& strides) {
  dispatch_bytes(call.view, call.view.input_dtype(0), [&](auto zero) {
    using T = decltype(zero);
    const T* x = call.input<T>(0);
    T* y = call.output<T>(0);
    walk<1>(call.view.output(0), {strides},
            [&](std::int64_t i, const auto& at) { y[i] = x[at[0]]; });
  });
}

void transpose(const ReferenceCall& call) {
  const int rank = call.view.input(0).rank();
  const Strides from = strides_of(call.view.input(0));
  const std::vector<std::int64_t> perm = call.view.attributes().get_ints("perm");
  Strides strides{};
  for (int axis = 0; axis < rank; ++axis) {
    const auto a = static_cast<std::size_t>(axis);
    const std::int64_t source = perm.empty() ? rank - 1 - axis : perm[a];
    strides[a] = from[static_cast<std::size_t>(source < 0 ? source + rank : source)];
  }
  read_strided(call, strides);
}

void expand(const ReferenceCall& call) {
  read_strided(call, broadcast_strides(call.view.input(0), call.view.output(0)));
}

constexpr ReferenceRow kRows[] = {
    {"Reshape", copy_through},   {"Flatten", copy_through}, {"Squeeze", copy_through},
    {"Unsqueeze", copy_through}, {"Transpose", transpose},  {"Expand", expand},
};

}  // namespace

std::span<const ReferenceRow> reshape_kernels() { return kRows; }

}  // namespace batchwise::reference
