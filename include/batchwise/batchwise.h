// SPDX-License-Identifier: Apache-2.0
#pragma once
// All of the public API.
#include "batchwise/compare.h"   // IWYU pragma: export
#include "batchwise/dataset.h"   // IWYU pragma: export
#include "batchwise/error.h"     // IWYU pragma: export
#include "batchwise/explain.h"   // IWYU pragma: export
#include "batchwise/fit.h"       // IWYU pragma: export
#include "batchwise/load.h"      // IWYU pragma: export
#include "batchwise/model.h"     // IWYU pragma: export
#include "batchwise/predict.h"   // IWYU pragma: export
#include "batchwise/process.h"   // IWYU pragma: export
#include "batchwise/serve.h"     // IWYU pragma: export
#include "batchwise/simulate.h"  // IWYU pragma: export
#include "batchwise/study.h"     // IWYU pragma: export
#include "batchwise/trainer.h"   // IWYU pragma: export
