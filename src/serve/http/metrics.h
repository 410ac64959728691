// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "serve/server.h"

namespace batchwise::serve {

inline constexpr std::string_view kMetricsType = "text/plain; version=0.0.4; charset=utf-8";

// GET /metrics: the snapshot as Prometheus reads it, under Triton's names and our own.
std::string metrics_text(const ServerSnapshot& snapshot);

}  // namespace batchwise::serve
