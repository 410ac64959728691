// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>

#include "serve/frontend.h"
#include "serve/frontend_options.h"

namespace batchwise::serve {

// Listens and answers from now on: the Open Inference Protocol, TensorFlow Serving's predict,
// Prometheus' metrics and the dashboard. Throws Error{kInvalidInput} for options that make no sense
// and Error{kEnvironment} for an address or a certificate that cannot be had.
std::unique_ptr<Frontend> make_http_frontend(Server& server, const HttpOptions& options);

}  // namespace batchwise::serve
