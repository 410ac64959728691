// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "serve/model_version.h"
#include "serve/server_options.h"

namespace batchwise::serve {

// Where a version of a model is found.
struct ModelSource {
  std::string name, version;
  std::string path;    // of the ONNX file
  std::string config;  // of config.pbtxt beside it; may be empty
};

// Reads a model as a server takes it: into memory, so that a file that is written over does not
// change a model that runs. Weights in files of their own are mapped. Throws Error.
std::shared_ptr<const EngineModel> read_engine_model(const std::string& path);

// A model that is read, what clients will see of it, and what it will take; nothing has run.
struct LoadPlan {
  std::shared_ptr<const EngineModel> engine;
  ModelInfo info;
  VersionBytes bytes;
  CostCurve curve;
};
// Chooses the largest batch: by --max-batch, else by the profile, else by estimated cost; halved
// until its bytes fit. Throws Error{kInvalidInput} where the model cannot be served and Error{kNo},
// with both sizes, where not even one row fits. `missing_bytes(bytes)` says how much of them there
// is no room for; 0: they fit.
LoadPlan plan_load(const ModelSource& source, const ServerOptions& options, int threads,
                   const std::function<std::int64_t(const VersionBytes&)>& missing_bytes);

}  // namespace batchwise::serve
