// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string_view>

namespace batchwise::cpu {

// The instruction sets that kernels are compiled for. kAvx2 and kAvx512 have fused multiply-add and
// give the same bits; kSse4 has not, and has bits of its own.
enum class Isa { kSse4, kAvx2, kAvx512 };

// The best that this machine runs, whatever the cap.
Isa detect_isa();

// What kernels use now: the best that the machine and the cap allow.
Isa current_isa();

// Lets kernels use `highest` at most, from the next call on; a later call may raise it again. Not
// to be called while kernels run in another thread.
void cap_isa(Isa highest);

std::string_view isa_name(Isa isa);  // "sse4", "avx2", "avx512"

}  // namespace batchwise::cpu
