// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>

namespace grpc {
class Service;
}

namespace batchwise::serve {

struct CallShared;
class StreamCalls;

// inference.GRPCInferenceService. The streams outlive it.
std::unique_ptr<grpc::Service> make_inference_service(std::shared_ptr<CallShared> shared,
                                                      StreamCalls& streams);

}  // namespace batchwise::serve
