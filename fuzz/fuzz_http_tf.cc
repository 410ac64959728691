// SPDX-License-Identifier: Apache-2.0
#include "fuzz_http_bodies.h"
#include "serve/http/tf_predict.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace batchwise::serve;
  const PaddedBody body({reinterpret_cast<const char*>(data), size});
  for (const auto& model : {fuzzed_model(), fuzzed_single_model()}) {
    PlainRequest request;
    request.model = model;
    TfExchange exchange;
    const auto refusal = read_tf_request(body.span(), request, exchange);
    check_outcome(refusal, request);
    if (refusal) continue;
    Response response;
    write_tf_response(request, exchange, echo(request), response);
  }
  return 0;
}
