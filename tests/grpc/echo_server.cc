// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <iostream>

#include "serve/grpc/frontend.h"
#include "serve/grpc/test_server.h"

// Prints its address, serves `echo` and `types` (an input and an output of each datatype), and ends
// with its standard input.
int main() {
  using namespace batchwise;
  serve::TestServer server;
  server.answer_from_thread();
  server.add(
      serve::echo_model("types",
                        {DType::kBool, DType::kUInt8, DType::kUInt16, DType::kUInt32,
                         DType::kUInt64, DType::kInt8, DType::kInt16, DType::kInt32, DType::kInt64,
                         DType::kFloat16, DType::kFloat32, DType::kFloat64, DType::kBFloat16},
                        3));
  serve::GrpcOptions options;
  options.address = "127.0.0.1:0";
  const auto frontend = serve::make_grpc_frontend(server, options);
  std::printf("%s\n", frontend->address().c_str());
  std::fflush(stdout);
  for (std::string line; std::getline(std::cin, line);) continue;
  frontend->finish();
}
