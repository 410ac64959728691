// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/vector_width.h"

#include <atomic>

namespace batchwise::cpu {
namespace {
std::atomic<bool> narrow_vectors{false};
}  // namespace

void use_narrow_vectors(bool narrow) { narrow_vectors.store(narrow, std::memory_order_relaxed); }
bool uses_narrow_vectors() { return narrow_vectors.load(std::memory_order_relaxed); }

}  // namespace batchwise::cpu
