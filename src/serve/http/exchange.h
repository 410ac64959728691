// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <span>

#include "serve/http/message.h"
#include "serve/http/route.h"
#include "serve/http/tf_predict.h"
#include "serve/http/v2_infer.h"
#include "serve/request.h"

namespace batchwise::serve {

// A request of HTTP with its answer: what the transport fills in and writes, and what the Api reads
// and fills. It is itself the request that the server sees. Belongs to one thread but for reply().
class Exchange : public InferenceRequest {
 public:
  const RequestHead* head = nullptr;
  // With 64 readable bytes after it. Stays where it is until the answer is written.
  std::span<const std::byte> body;
  // A number for whom fairness is kept with, where there is no key.
  std::int32_t connection_client = 0;

  Response response;

  // Gives back what large requests took.
  void trim();

  void reply(Reply&& reply) final {
    answer_ = std::move(reply);
    replied();
  }

 protected:
  // The reply is there: have Api::finish() called on the thread of this exchange.
  virtual void replied() noexcept = 0;

 private:
  friend class Api;
  Route route_;
  V2Exchange v2_;
  TfExchange tf_;
  Reply answer_;
};

}  // namespace batchwise::serve
