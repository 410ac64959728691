// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <CLI/App.hpp>

#include "batchwise/fit.h"

namespace batchwise {

// The flags that say how to train, of fit and of study.
void add_fit_flags(CLI::App& app, FitSettings& settings);

}  // namespace batchwise
