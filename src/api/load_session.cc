// SPDX-License-Identifier: Apache-2.0
#include "api/load_session.h"

#include <algorithm>

#include "api/grpc_module.h"
#include "api/state.h"
#include "base/check.h"
#include "client/http_client.h"
#include "client/server_url.h"
#include "data/data_spec.h"
#include "predict/run_predict.h"

namespace batchwise {
namespace {

constexpr std::int64_t kMostSamples = 1024;
constexpr std::int64_t kPoolBytes = std::int64_t{64} << 20;
constexpr std::int64_t kOpenLoopConnections = 512, kFirstConnections = 32;

bool is_closed_loop(const LoadSettings& s) {
  return s.rate_per_s == 0 && !s.find_rate && !s.arrivals.ends_with(".csv") &&
         s.scenario != "server" && s.scenario != "offline";
}

ClientOptions client_options(const LoadSettings& s, ClientProtocol& protocol) {
  ClientOptions options;
  protocol = parse_server_url(s.url, options);
  if (s.grpc && protocol == ClientProtocol::kHttp) {
    if (s.url.find("://") != std::string::npos) {
      fail_input("--grpc", "the URL '{}' says HTTP", s.url);
    }
    protocol = ClientProtocol::kGrpc;
    const bool names_port = s.url.find_last_of(':') != std::string::npos && !s.url.ends_with(']');
    if (!names_port) options.port = 8001;
  }
  if (s.encoding != "binary" && s.encoding != "json") {
    fail_input("--encoding", "{} is unknown; there are binary and json", s.encoding);
  }
  options.binary_tensors = s.encoding == "binary";
  options.api_key = s.api_key;
  options.ca_file = s.ca_file;
  options.verify = !s.insecure;
  if (s.connections < 0 || s.connections > 60'000) {
    fail_input("--connections", "{} is not from 1 to 60000", s.connections);
  }
  std::int64_t most = s.connections;
  if (most == 0) {
    most =
        protocol == ClientProtocol::kGrpc
            ? 1
            : (is_closed_loop(s) ? std::max<std::int64_t>(s.concurrency, 1) : kOpenLoopConnections);
  }
  const bool opens_all = is_closed_loop(s) || protocol == ClientProtocol::kGrpc;
  options.max_connections = static_cast<int>(most);
  options.connections = static_cast<int>(opens_all ? most : std::min(most, kFirstConnections));
  return options;
}

std::unique_ptr<InferClient> open_client(ClientProtocol protocol, const ClientOptions& options) {
  return protocol == ClientProtocol::kHttp ? make_http_client(options) : open_grpc_client(options);
}

void check_settings(const LoadSettings& s) {
  if (s.model.empty()) fail_input("--model", "is missing");
  if (!s.expected_outputs.empty() && s.data.empty()) {
    fail_input("--check", "needs the data that {} was predicted for", s.expected_outputs);
  }
  if (!s.expected_outputs.empty() && !s.expected_model.empty()) {
    fail_input("--check", "and --check-model say both what to expect");
  }
}

}  // namespace

LoadSession::LoadSession(const LoadSettings& settings)
    : model_(settings.model), version_(settings.version) {
  ClientProtocol protocol{};
  const ClientOptions options = client_options(settings, protocol);
  check_settings(settings);
  where_ = server_name(options);
  client_ = open_client(protocol, options);
  client_->connect();
  remote_ = client_->model(model_, version_);
  if (remote_.inputs.empty()) fail_input(where_, "its model {} names no inputs", model_);
  make_pool(settings);
  RequestSetOptions set;
  set.model = model_;
  set.version = version_;
  set.rows_low = settings.rows_low;
  set.rows_high = settings.rows_high;
  set.timeout_us = settings.timeout_us;
  set.seed = settings.seed;
  requests_ = std::make_unique<RequestSet>(*client_, pool_, set);
  settle();
  mean_batch();
}

// The client may still be writing what it was given.
LoadSession::~LoadSession() { client_->forget(); }

void LoadSession::make_pool(const LoadSettings& settings) {
  std::int64_t row_bytes = 1;
  for (const RemoteTensor& input : remote_.inputs) row_bytes += column_of(input).row_bytes;
  const std::int64_t rows =
      std::max(settings.rows_high, std::min(kMostSamples, kPoolBytes / row_bytes));
  if (settings.data.empty()) {
    pool_ = make_random_pool(remote_, rows, settings.seed);
  } else {
    DataSpec spec = with_default_split(parse_data_spec(settings.data), "test");
    spec.label = settings.label;
    pool_ = read_pool(remote_, *open_data(spec), rows);
  }
  if (!settings.expected_outputs.empty()) {
    read_expected(remote_, *open_outputs(settings.expected_outputs), settings.output_name, pool_);
  } else if (!settings.expected_model.empty()) {
    predict_expected(settings.expected_model, settings.output_name, remote_, pool_);
  }
}

LoadCounts LoadSession::run(const LoadShape& shape) {
  client_->connect();
  return run_load(*client_, *requests_, shape);
}

double LoadSession::mean_batch() {
  const std::optional<RemoteStatistics> now = client_->statistics(model_, version_);
  if (!now) return 0;
  const auto rows = static_cast<double>(now->inference_count - before_.inference_count);
  const auto batches = static_cast<double>(now->execution_count - before_.execution_count);
  before_ = *now;
  return batches > 0 ? rows / batches : 0;
}

void predict_expected(const std::string& model_path, const std::string& output_name,
                      const RemoteModel& remote, SamplePool& pool) {
  const Model model = Model::load(model_path);
  const auto engine = model.state()->engine();
  const std::vector<std::size_t> picked = pick_outputs(*engine, output_name);
  const std::vector<OutputInfo> infos = output_infos(*engine);
  for (const std::size_t o : picked) {
    const auto match = std::find_if(remote.outputs.begin(), remote.outputs.end(),
                                    [&](const auto& one) { return one.name == infos[o].name; });
    if (match == remote.outputs.end()) {
      fail_input(model_path, "has an output {}, the server's model {} has not", infos[o].name,
                 remote.name);
    }
    pool.expected.push_back(column_of(*match));
    if (match->dtype != infos[o].dtype || pool.expected.back().row_shape != infos[o].shape.dims()) {
      fail_input(model_path, "its output {} is not as the server's", infos[o].name);
    }
  }
  const std::unique_ptr<DataSource> source = pool_source(pool);
  run_predict(engine, *source, PredictOptions(), picked,
              [&](std::span<const std::byte* const> outputs, std::int64_t rows) {
                for (std::size_t o = 0; o < outputs.size(); ++o) {
                  PoolColumn& column = pool.expected[o];
                  column.bytes.insert(column.bytes.end(), outputs[o],
                                      outputs[o] + rows * column.row_bytes);
                }
              });
}

}  // namespace batchwise
