// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <inference_proto/inference_service.grpc.pb.h>

#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "serve/grpc/frontend.h"
#include "serve/grpc/test_server.h"

namespace batchwise::serve {

using Rpc = inference::GRPCInferenceService;

inline inference::ModelInferRequest echo_request(const std::vector<float>& values,
                                                 const std::string& id = {}) {
  inference::ModelInferRequest request;
  request.set_model_name("echo");
  request.set_id(id);
  auto* input = request.add_inputs();
  input->set_name("in0");
  input->set_datatype("FP32");
  input->add_shape(static_cast<std::int64_t>(values.size() / 4));
  input->add_shape(4);
  request.add_raw_input_contents(reinterpret_cast<const char*>(values.data()),
                                 values.size() * sizeof(float));
  return request;
}

inline std::vector<float> floats(const inference::ModelInferResponse& response) {
  if (response.raw_output_contents_size() == 0) return {};
  std::vector<float> values(response.raw_output_contents(0).size() / sizeof(float));
  std::memcpy(values.data(), response.raw_output_contents(0).data(), values.size() * sizeof(float));
  return values;
}

// A front end on a port of its own, and a client of grpc++.
class GrpcTest : public ::testing::Test {
 protected:
  void SetUp() override { options.address = "127.0.0.1:0"; }

  void start() {
    frontend = make_grpc_frontend(server, options);
    stub = Rpc::NewStub(connect());
  }
  std::shared_ptr<grpc::Channel> connect() const {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    arguments.SetInt("grpc.use_local_subchannel_pool", 1);
    return grpc::CreateCustomChannel(frontend->address(), grpc::InsecureChannelCredentials(),
                                     arguments);
  }
  grpc::Status infer(const inference::ModelInferRequest& request,
                     inference::ModelInferResponse& response) {
    grpc::ClientContext context;
    return stub->ModelInfer(&context, request, &response);
  }

  TestServer server;
  GrpcOptions options;
  std::unique_ptr<Frontend> frontend;
  std::unique_ptr<Rpc::Stub> stub;
};

}  // namespace batchwise::serve
