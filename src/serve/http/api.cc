// SPDX-License-Identifier: Apache-2.0
#include "serve/http/api.h"

#include <fmt/format.h>

#include <utility>

#include "serve/http/dashboard_page.h"
#include "serve/http/descriptions.h"
#include "serve/http/json_text.h"
#include "serve/http/metrics.h"
#include "serve/http/openapi.h"
#include "serve/http/small_bodies.h"
#include "serve/http/snapshot_json.h"
#include "serve/log.h"

namespace batchwise::serve {
namespace {

void answer_text(Response& response, std::string body, std::string_view type = kJsonType) {
  response.body = std::move(body);
  response.content_type = type;
}

void answer_status(Response& response, int status, std::string_view message) {
  answer_refusal(response, {Status::kInvalid, std::string(message), 0});
  response.status = status;
}

// Takes the same time wherever the texts differ.
bool equal_in_constant_time(const std::string& a, const std::string& b) {
  if (a.size() != b.size()) return false;
  unsigned difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    difference |=
        static_cast<unsigned char>(a[i]) ^ static_cast<unsigned>(static_cast<unsigned char>(b[i]));
  }
  return difference == 0;
}

std::string log_settings_json() {
  return fmt::format(
      R"({{"log_file":"","log_info":{},"log_warning":{},"log_error":{},"log_verbose_level":{},)"
      R"("log_format":"default"}})",
      is_logged(LogLevel::kInfo), is_logged(LogLevel::kWarning), is_logged(LogLevel::kError),
      is_logged(LogLevel::kDebug) ? 1 : 0);
}

// The level that shows what is asked for: one that shows less shows none of what is above it.
LogLevel level_of(const LogSettings& settings) {
  if (settings.verbose_level.value_or(is_logged(LogLevel::kDebug) ? 1 : 0) > 0) {
    return LogLevel::kDebug;
  }
  if (settings.info.value_or(is_logged(LogLevel::kInfo))) return LogLevel::kInfo;
  if (settings.warning.value_or(is_logged(LogLevel::kWarning))) return LogLevel::kWarning;
  return settings.error.value_or(is_logged(LogLevel::kError)) ? LogLevel::kError : LogLevel::kOff;
}

}  // namespace

void Exchange::trim() {
  constexpr std::size_t kKeptBytes = 64 << 10;
  for (std::vector<std::byte>* values : {&v2_.values, &tf_.values}) {
    if (values->capacity() > kKeptBytes) std::vector<std::byte>().swap(*values);
  }
}

Api::Api(Server& server, std::vector<std::string> api_keys, bool dashboard)
    : server_(server), api_keys_(std::move(api_keys)), dashboard_(dashboard) {}

bool Api::has_key(const std::string& key) const {
  bool found = false;
  for (const std::string& each : api_keys_) found |= equal_in_constant_time(each, key);
  return found;
}

bool Api::admits(Exchange& exchange) const {
  const RequestHead& head = *exchange.head;
  exchange.response.clear();
  exchange.route_ = find_route(head.target);
  const Endpoint endpoint = exchange.route_.endpoint;
  // The dashboard's page has nothing of the server in it; it asks for the key itself.
  const bool open = endpoint == Endpoint::kLive || endpoint == Endpoint::kReady ||
                    endpoint == Endpoint::kDashboard;
  if (!api_keys_.empty() && !open && !has_key(head.key)) {
    answer_status(exchange.response, 401,
                  "a key is needed, as Authorization: Bearer KEY or X-API-Key: KEY");
    exchange.response.fields = "WWW-Authenticate: Bearer\r\n";
    return false;
  }
  if (!exchange.route_.fault.empty()) {
    answer_status(exchange.response, 400, exchange.route_.fault);
    return false;
  }
  if (endpoint == Endpoint::kNone || (endpoint == Endpoint::kDashboard && !dashboard_)) {
    answer_status(exchange.response, 404,
                  fmt::format("there is nothing at {}", head.target.substr(0, 200)));
    return false;
  }
  if (allows(endpoint, head.method)) return true;
  const std::string_view methods = allowed_methods(endpoint);
  answer_status(exchange.response, 405,
                fmt::format("{} takes {}", head.target.substr(0, 200), methods));
  exchange.response.fields = fmt::format("Allow: {}\r\n", methods);
  return false;
}

bool Api::start(const std::shared_ptr<Exchange>& exchange) {
  const bool changes = exchange->head->method == Method::kPost;
  if (changes && stopping.load(std::memory_order_relaxed)) {
    answer_refusal(exchange->response, {Status::kUnavailable, "the server is being stopped", 0});
    return true;
  }
  switch (exchange->route_.endpoint) {
    case Endpoint::kInfer:
    case Endpoint::kTfPredict:
      return infer(exchange);
    case Endpoint::kRepositoryLoad:
    case Endpoint::kRepositoryUnload:
      return change_repository(exchange);
    default:
      answer(*exchange);
      return true;
  }
}

ServerSnapshot Api::snapshot() const {
  ServerSnapshot snapshot = server_.snapshot();
  snapshot.connections += connections.load(std::memory_order_relaxed);
  return snapshot;
}

void Api::answer(Exchange& exchange) const {
  Response& response = exchange.response;
  switch (exchange.route_.endpoint) {
    case Endpoint::kDashboard:
      return answer_text(response, std::string(kDashboardPage), "text/html; charset=utf-8");
    case Endpoint::kSnapshot:
      return answer_text(response,
                         snapshot_json(snapshot(), server_.ready(), server_.index(false)));
    case Endpoint::kMetrics:
      return answer_text(response, metrics_text(snapshot()), kMetricsType);
    case Endpoint::kOpenApi:
      return answer_text(response, std::string(openapi_document()));
    case Endpoint::kLive:
      return answer_text(response, R"({"live":true})");
    case Endpoint::kReady: {
      const bool ready = server_.ready();
      response.status = ready ? 200 : 503;
      return answer_text(response, ready ? R"({"ready":true})" : R"({"ready":false})");
    }
    case Endpoint::kServerMetadata:
      return answer_text(response, server_metadata_json());
    case Endpoint::kLogging:
      return answer_logging(exchange);
    case Endpoint::kTraceSetting:
      if (exchange.head->method == Method::kPost) {
        return answer_status(response, 400, "traces are switched on when the server starts");
      }
      return answer_text(response,
                         R"({"trace_level":["OFF"],"trace_rate":"0","trace_count":"-1",)"
                         R"("log_frequency":"0","trace_file":"","trace_mode":"opentelemetry"})");
    case Endpoint::kSharedMemory:
      return answer_status(response, 400,
                           "there is no shared memory here, tensors come in the request");
    case Endpoint::kTfOther:
      return answer_status(response, 400, "classify and regress are not done here, but predict");
    case Endpoint::kTfStatus:
      return answer_tf_status(exchange);
    case Endpoint::kRepositoryIndex: {
      bool ready_only = false;
      const auto refusal = read_index_request(exchange.body, ready_only);
      if (refusal) return answer_refusal(response, *refusal);
      return answer_text(response, index_json(server_.index(ready_only)));
    }
    default:
      return answer_model(exchange);
  }
}

void Api::answer_model(Exchange& exchange) const {
  Response& response = exchange.response;
  const Route& route = exchange.route_;
  if (route.endpoint == Endpoint::kModelStatistics && route.model.empty()) {
    return answer_text(response, statistics_json(server_.statistics({}, {})));
  }
  Refusal why;
  const auto model = server_.find_model(route.model, route.version, why);
  if (route.endpoint == Endpoint::kModelReady) {
    // A model that is not there is not ready; load balancers look at the status alone.
    response.status = model ? 200 : http_status(why.status);
    std::string body = R"({"name":)";
    append_json_string(body, route.model);
    return answer_text(response, body + (model ? R"(,"ready":true})" : R"(,"ready":false})"));
  }
  if (!model) return answer_refusal(response, why);
  switch (route.endpoint) {
    case Endpoint::kModelMetadata:
      return answer_text(response, model_metadata_json(*model));
    case Endpoint::kTfMetadata:
      return answer_text(response, tf_metadata_json(*model));
    case Endpoint::kModelStatistics:
      return answer_text(response, statistics_json(server_.statistics(route.model, route.version)));
    case Endpoint::kModelConfig:
      return answer_text(response, server_.config_json(route.model, route.version));
    default:
      return answer_status(response, 404, "there is nothing here");
  }
}

void Api::answer_tf_status(Exchange& exchange) const {
  const Route& route = exchange.route_;
  std::string json = tf_status_json(server_.index(false), route.model, route.version);
  if (!json.empty()) return answer_text(exchange.response, std::move(json));
  answer_status(exchange.response, 404,
                fmt::format("there is no model {} {}", route.model, route.version));
}

void Api::answer_logging(Exchange& exchange) const {
  if (exchange.head->method == Method::kPost) {
    LogSettings settings;
    const auto refusal = read_log_settings(exchange.body, settings);
    if (refusal) return answer_refusal(exchange.response, *refusal);
    set_log_level(level_of(settings));
  }
  answer_text(exchange.response, log_settings_json());
}

bool Api::infer(const std::shared_ptr<Exchange>& exchange) {
  const Route& route = exchange->route_;
  const RequestHead& head = *exchange->head;
  Refusal why;
  exchange->model = server_.find_model(route.model, route.version, why);
  if (!exchange->model) {
    answer_refusal(exchange->response, why);
    return true;
  }
  const bool is_v2 = route.endpoint == Endpoint::kInfer;
  const auto refusal =
      is_v2 ? read_v2_request(exchange->body, head.inference_length, *exchange, exchange->v2_)
            : read_tf_request(exchange->body, *exchange, exchange->tf_);
  if (refusal) {
    answer_refusal(exchange->response, *refusal);
    exchange->model.reset();
    return true;
  }
  // Without keys of ours, those of the client are no names for anybody.
  exchange->client = api_keys_.empty() ? exchange->connection_client : server_.client_of(head.key);
  exchange->trace_parent = head.trace_parent;
  exchange->cancelled.store(false, std::memory_order_relaxed);
  server_.infer(exchange);
  return false;
}

bool Api::change_repository(const std::shared_ptr<Exchange>& exchange) {
  const Route& route = exchange->route_;
  const bool load = route.endpoint == Endpoint::kRepositoryLoad;
  std::string config;
  const auto refusal = load ? read_load_request(exchange->body, config) : std::nullopt;
  if (refusal) {
    answer_refusal(exchange->response, *refusal);
    return true;
  }
  const auto done = [exchange](std::optional<Refusal> failed) {
    Reply reply;
    reply.refusal = failed ? std::move(*failed) : Refusal{Status::kOk, "", 0};
    exchange->reply(std::move(reply));
  };
  if (load) {
    server_.load(route.model, config, done);
  } else {
    server_.unload(route.model, done);
  }
  return false;
}

void Api::finish(Exchange& exchange) const {
  Response& response = exchange.response;
  Reply& reply = exchange.answer_;
  if (reply.refusal.status != Status::kOk) {
    answer_refusal(response, reply.refusal);
  } else if (exchange.route_.endpoint == Endpoint::kInfer) {
    write_v2_response(exchange, exchange.v2_, std::move(reply), response);
  } else if (exchange.route_.endpoint == Endpoint::kTfPredict) {
    write_tf_response(exchange, exchange.tf_, reply, response);
  } else {
    response.body = "{}";
  }
  reply.outputs.clear();
  reply.memory.reset();
  // A version that was replaced lives no longer than its last request.
  exchange.model.reset();
}

}  // namespace batchwise::serve
