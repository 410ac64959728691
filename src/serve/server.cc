// SPDX-License-Identifier: Apache-2.0
#include "serve/server.h"

namespace batchwise::serve {

std::string_view model_state_name(ModelState state) {
  switch (state) {
    case ModelState::kLoading:
      return "LOADING";
    case ModelState::kReady:
      return "READY";
    case ModelState::kUnloading:
      return "UNLOADING";
    case ModelState::kUnavailable:
      return "UNAVAILABLE";
  }
  return "UNAVAILABLE";
}

}  // namespace batchwise::serve
