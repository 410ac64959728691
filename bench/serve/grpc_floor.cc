// SPDX-License-Identifier: Apache-2.0
// What a ModelInfer costs beside gRPC itself: requests a second, and the server's CPU time a
// request, of our front end and of an empty handler that takes and gives the same bytes. The input
// is that of the MLP, 784 floats, the output 10; the engine answers at once, or from a thread of
// its own. The client is a process of its own, 32 requests in flight.
//
//   bench_grpc_floor [SECONDS [ROUNDS]]
#include <fmt/format.h>
#include <grpcpp/grpcpp.h>
#include <inference_proto/inference_service.grpc.pb.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>

#include "client/grpc/grpc_client.h"
#include "measure/sampling.h"
#include "serve/grpc/frontend.h"
#include "serve/grpc/test_server.h"

namespace batchwise {
namespace {

using Rpc = inference::GRPCInferenceService;
using RawService = Rpc::WithRawCallbackMethod_ModelInfer<Rpc::Service>;

constexpr int kInFlight = 32;
constexpr std::int64_t kInputs = 784, kOutputs = 10;

// Runs what it is given, in order.
class OtherThread {
 public:
  OtherThread() : thread_([this] { work(); }) {}
  ~OtherThread() {
    run(nullptr);
    thread_.join();
  }
  void run(std::function<void()> job) {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
    changed_.notify_one();
  }

 private:
  void work() {
    for (;;) {
      std::unique_lock lock(mutex_);
      changed_.wait(lock, [this] { return !jobs_.empty(); });
      const auto job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      if (!job) return;
      job();
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> jobs_;
  std::thread thread_;
};

// Answers every message with the same bytes, without looking at it.
class EmptyService final : public RawService {
 public:
  EmptyService(std::string reply, OtherThread* thread) : thread_(thread) {
    const grpc::Slice slice(reply);
    reply_ = grpc::ByteBuffer(&slice, 1);
  }
  grpc::ServerUnaryReactor* ModelInfer(grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer*, grpc::ByteBuffer* into) override {
    auto* reactor = context->DefaultReactor();
    const auto answer = [this, reactor, into] {
      *into = reply_;
      reactor->Finish(grpc::Status::OK);
    };
    if (thread_ == nullptr) {
      answer();
    } else {
      thread_->run(answer);
    }
    return reactor;
  }

 private:
  grpc::ByteBuffer reply_;
  OtherThread* thread_;
};

std::shared_ptr<const serve::ModelInfo> mlp_model() {
  auto model = std::make_shared<serve::ModelInfo>();
  model->name = "mlp";
  model->version = "1";
  model->inputs = {serve::tensor_spec("input", DType::kFloat32, kInputs)};
  model->outputs = {serve::tensor_spec("logits", DType::kFloat32, kOutputs)};
  model->max_batch_rows = 32;
  model->max_request_rows = 32;
  return model;
}

void answer_mlp(serve::InferenceRequest& request) {
  static const auto memory = std::make_shared<std::array<std::byte, kOutputs * sizeof(float)>>();
  serve::Reply reply;
  reply.refusal.status = serve::Status::kOk;
  reply.rows = 1;
  reply.outputs = {*memory};
  reply.memory = memory;
  request.reply(std::move(reply));
}

class Sender final : public InferReplyHandler {
 public:
  Sender(InferClient& client, const PreparedInfer& call) : client_(client), call_(call) {}
  void on_reply(std::uint64_t tag, const InferReply& reply) override {
    failed += reply.status == InferStatus::kOk ? 0 : 1;
    ++answered;
    if (!is_stopping) client_.send(call_, tag, *this);
  }
  std::int64_t answered = 0, failed = 0;
  bool is_stopping = false;

 private:
  InferClient& client_;
  const PreparedInfer& call_;
};

// The client's process: prints the requests that were answered in a second.
int run_client(int port, double seconds) {
  ClientOptions options;
  options.host = "127.0.0.1";
  options.port = port;
  options.connections = 4;
  const auto client = make_grpc_client(options);
  client->connect();
  const std::vector<float> values(kInputs, 0.5f);
  InferCall call;
  call.model = "mlp";
  call.inputs = {{"input", DType::kFloat32, {1, kInputs}, std::as_bytes(std::span(values))}};
  const auto prepared = client->prepare(call);
  Sender sender(*client, *prepared);
  const double begin = monotonic_seconds(), end = begin + seconds;
  for (std::uint64_t i = 0; i < kInFlight; ++i) client->send(*prepared, i, sender);
  while (monotonic_seconds() < end) client->wait(end * 1e6);
  sender.is_stopping = true;
  const double took = monotonic_seconds() - begin;
  fmt::print("{} {}\n", static_cast<double>(sender.answered) / took, sender.failed);
  return sender.failed == 0 ? 0 : 1;
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

struct Figures {
  double requests_per_s = 0, server_cpu_us = 0;
};

Figures measure(const std::string& program, const std::string& address, double seconds) {
  const std::string port = address.substr(address.rfind(':') + 1);
  const double cpu_before = cpu_seconds();
  FILE* pipe = popen(fmt::format("{} client {} {}", program, port, seconds).c_str(), "r");
  double rate = 0;
  std::int64_t failed = 0;
  const int read = std::fscanf(pipe, "%lf %ld", &rate, &failed);
  if (pclose(pipe) != 0 || read != 2) throw std::runtime_error("the client failed");
  return {rate, (cpu_seconds() - cpu_before) * 1e6 / (rate * seconds)};
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

// Anything that listens.
struct Listener {
  std::string name, address;
  std::vector<double> requests_per_s, server_cpu_us;
};

std::unique_ptr<grpc::Server> listen(grpc::Service& service, int& port) {
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(&service);
  return builder.BuildAndStart();
}

int run(const std::string& program, double seconds, int rounds) {
  OtherThread engine, empty_engine;
  serve::TestServer at_once, from_thread;
  for (serve::TestServer* server : {&at_once, &from_thread}) server->add(mlp_model());
  at_once.on_infer = [](std::shared_ptr<serve::InferenceRequest> request) { answer_mlp(*request); };
  from_thread.on_infer = [&](std::shared_ptr<serve::InferenceRequest> request) {
    engine.run([request = std::move(request)] { answer_mlp(*request); });
  };
  serve::GrpcOptions options;
  options.address = "127.0.0.1:0";
  const auto ours = serve::make_grpc_frontend(at_once, options);
  const auto ours_threaded = serve::make_grpc_frontend(from_thread, options);

  inference::ModelInferResponse reply;
  reply.set_model_name("mlp");
  reply.set_model_version("1");
  auto* output = reply.add_outputs();
  output->set_name("logits");
  output->set_datatype("FP32");
  output->add_shape(1);
  output->add_shape(kOutputs);
  reply.add_raw_output_contents(std::string(kOutputs * sizeof(float), '\0'));
  EmptyService empty(reply.SerializeAsString(), nullptr);
  EmptyService empty_threaded(reply.SerializeAsString(), &empty_engine);
  int port = 0, threaded_port = 0;
  const auto server = listen(empty, port), threaded = listen(empty_threaded, threaded_port);

  std::vector<Listener> listeners{
      {"empty, at once", fmt::format("127.0.0.1:{}", port), {}, {}},
      {"ours, at once", ours->address(), {}, {}},
      {"empty, from a thread", fmt::format("127.0.0.1:{}", threaded_port), {}, {}},
      {"ours, from a thread", ours_threaded->address(), {}, {}}};
  for (int round = 0; round < rounds; ++round) {
    for (Listener& listener : listeners) {
      const Figures figures = measure(program, listener.address, seconds);
      listener.requests_per_s.push_back(figures.requests_per_s);
      listener.server_cpu_us.push_back(figures.server_cpu_us);
    }
  }
  // The best round is what the machine can do; the median is what it did.
  fmt::print("{:22} {:>22} {:>26}\n", "median (best)", "requests/s", "server CPU us/request");
  for (const Listener& listener : listeners) {
    const auto& [name, address, rates, costs] = listener;
    fmt::print("{:22} {:12.0f} ({:7.0f}) {:17.1f} ({:6.1f})\n", name, median(rates),
               *std::max_element(rates.begin(), rates.end()), median(costs),
               *std::min_element(costs.begin(), costs.end()));
  }
  server->Shutdown();
  threaded->Shutdown();
  return 0;
}

}  // namespace
}  // namespace batchwise

int main(int count, char** words) {
  if (count == 4 && std::string(words[1]) == "client") {
    return batchwise::run_client(std::stoi(words[2]), std::stod(words[3]));
  }
  return batchwise::run(words[0], count > 1 ? std::stod(words[1]) : 2,
                        count > 2 ? std::stoi(words[2]) : 5);
}
