// SPDX-License-Identifier: Apache-2.0
#include "backend/cpu/isa.h"

#include <hwy/highway.h>

namespace batchwise::cpu {
namespace {

Isa best_of(std::int64_t targets) {
  if ((targets & (HWY_AVX3 | HWY_AVX3_DL)) != 0) return Isa::kAvx512;
  if ((targets & HWY_AVX2) != 0) return Isa::kAvx2;
  return Isa::kSse4;
}

constexpr std::int64_t kAtMostSse4 = HWY_SSSE3 | HWY_SSE4;
constexpr std::int64_t kAtMostAvx2 = kAtMostSse4 | HWY_AVX2;

}  // namespace

Isa detect_isa() {
  // Asked once: afterwards Highway answers with the cap.
  static const std::int64_t supported = hwy::SupportedTargets();
  return best_of(supported);
}

Isa current_isa() {
  detect_isa();
  return best_of(hwy::SupportedTargets());
}

void cap_isa(Isa highest) {
  const Isa detected = detect_isa();
  if (highest >= detected) {
    hwy::SetSupportedTargetsForTest(0);
  } else {
    hwy::SetSupportedTargetsForTest(highest == Isa::kAvx2 ? kAtMostAvx2 : kAtMostSse4);
  }
}

std::string_view isa_name(Isa isa) {
  switch (isa) {
    case Isa::kSse4:
      return "sse4";
    case Isa::kAvx2:
      return "avx2";
    case Isa::kAvx512:
      return "avx512";
  }
  return "";
}

}  // namespace batchwise::cpu
