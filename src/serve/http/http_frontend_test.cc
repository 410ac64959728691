// SPDX-License-Identifier: Apache-2.0
#include "serve/http/http_frontend.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cstring>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "batchwise/error.h"
#include "serve/http/fake_server.h"
#include "serve/http/raw_client.h"

namespace batchwise::serve {
namespace {

using Json = nlohmann::json;
using Answers = FakeServer::Answers;
using Answer = RawClient::Answer;

HttpOptions loopback() {
  HttpOptions options;
  options.address = "127.0.0.1:0";
  return options;
}

std::string unix_path() {
  return ::testing::TempDir() + "batchwise_http_" + std::to_string(getpid());
}

std::string infer_body(float first) {
  return R"({"inputs":[{"name":"x","shape":[1,2],"datatype":"FP32","data":[)" +
         std::to_string(first) + ",2]}]}";
}
std::string infer(float first, const std::string& fields = "") {
  return post("/v2/models/m/infer", infer_body(first), fields);
}
double first_output(const Answer& answer) {
  EXPECT_EQ(answer.status, 200) << answer.body;
  if (answer.status != 200) return 0;
  return Json::parse(answer.body)["outputs"][0]["data"][0];
}

// A front end before a fake server with the model "m": 2 floats a row, doubled.
struct Service {
  explicit Service(Answers answers = Answers::kAtOnce, const HttpOptions& options = loopback())
      : server(answers) {
    server.add_double("m", 2);
    frontend = make_http_frontend(server, options);
  }
  ~Service() {
    // What a test left unanswered must not be waited for.
    frontend->stop_accepting();
    while (server.release()) {
    }
  }
  std::string address() const { return frontend->address(); }

  FakeServer server;
  std::unique_ptr<Frontend> frontend;
};

template <typename Condition>
bool eventually(Condition&& condition) {
  for (int i = 0; i < 2000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

TEST(HttpFrontend, AnswersInferenceOnOneConnection) {
  for (const Answers answers : {Answers::kAtOnce, Answers::kOnThread}) {
    Service service(answers);
    RawClient client(service.address());
    for (int i = 0; i < 50; ++i) {
      EXPECT_EQ(first_output(client.ask(infer(static_cast<float>(i)))), 2.0 * i);
    }
  }
}

TEST(HttpFrontend, AnswersBinaryInferenceBitForBit) {
  Service service(Answers::kOnThread);
  RawClient client(service.address());
  const std::string json = R"({"inputs":[{"name":"x","shape":[1000,2],"datatype":"FP32",
    "parameters":{"binary_data_size":8000}}],"parameters":{"binary_data_output":true}})";
  std::vector<float> values(2000);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = 1.0F / static_cast<float>(i + 1);
  std::string bytes(8000, '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  const Answer answer =
      client.ask(post("/v2/models/m/infer", json + bytes,
                      "Inference-Header-Content-Length: " + std::to_string(json.size()) + "\r\n"));
  ASSERT_EQ(answer.status, 200) << answer.body;
  const std::size_t length = std::stoul(answer.fields.at("Inference-Header-Content-Length"));
  ASSERT_EQ(answer.body.size(), length + 8000);
  EXPECT_EQ(Json::parse(answer.body.substr(0, length))["outputs"][0]["parameters"],
            Json::parse(R"({"binary_data_size":8000})"));
  std::vector<float> doubled(2000);
  std::memcpy(doubled.data(), answer.body.data() + length, 8000);
  for (std::size_t i = 0; i < values.size(); ++i) ASSERT_EQ(doubled[i], 2 * values[i]);
}

TEST(HttpFrontend, AnswersRequestsSentAheadInTheirOrder) {
  for (const Answers answers : {Answers::kAtOnce, Answers::kOnThread}) {
    Service service(answers);
    RawClient client(service.address());
    std::string all;
    for (int i = 0; i < 200; ++i) all += i % 3 == 0 ? get("/v2/health/live") : infer(i);
    std::thread sender([&] { client.send(all); });
    for (int i = 0; i < 200; ++i) {
      const Answer answer = client.receive();
      ASSERT_EQ(answer.status, 200);
      if (i % 3 == 0) continue;
      ASSERT_EQ(first_output(answer), 2.0 * i);
    }
    sender.join();
  }
}

TEST(HttpFrontend, TakesBodiesInAnyPieces) {
  Service service;
  RawClient client(service.address());
  const std::string request = infer(3);
  for (const char c : request) ASSERT_TRUE(client.send({&c, 1}));
  EXPECT_EQ(first_output(client.receive()), 6);
  const std::string body = infer_body(4);
  std::string chunked = "POST /v2/models/m/infer HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (std::size_t at = 0; at < body.size(); at += 7) {
    const std::string part = body.substr(at, 7);
    chunked += std::string(1, static_cast<char>('0' + part.size())) + ";a=b\r\n" + part + "\r\n";
  }
  chunked += "0\r\nX-API-Key: late\r\n\r\n";
  EXPECT_EQ(first_output(client.ask(chunked)), 8);
  for (const char c : chunked) ASSERT_TRUE(client.send({&c, 1}));
  EXPECT_EQ(first_output(client.receive()), 8);
  EXPECT_EQ(first_output(client.ask(infer(5))), 10);
}

TEST(HttpFrontend, AnswersHeadWithoutABody) {
  Service service;
  RawClient client(service.address());
  client.send("HEAD /v2 HTTP/1.1\r\n\r\n");
  const Answer answer = client.receive(true);
  EXPECT_EQ(answer.status, 200);
  EXPECT_GT(std::stoi(answer.fields.at("Content-Length")), 0);
  EXPECT_EQ(client.ask(get("/v2/health/live")).body, R"({"live":true})");
}

TEST(HttpFrontend, AsksForABodyThatWaitsToBeAskedFor) {
  Service service;
  RawClient client(service.address());
  const std::string body = infer_body(1);
  const std::string head = "POST /v2/models/m/infer HTTP/1.1\r\nExpect: 100-continue\r\n" +
                           ("Content-Length: " + std::to_string(body.size())) + "\r\n\r\n";
  EXPECT_EQ(client.ask(head).status, 100);
  EXPECT_EQ(first_output(client.ask(body)), 2);
  // Nobody is asked for a body that is not wanted.
  const Answer refused =
      client.ask("POST /nowhere HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
  EXPECT_EQ(refused.status, 404);
  EXPECT_TRUE(client.is_ended());
}

TEST(HttpFrontend, ClosesWhenItIsAskedTo) {
  Service service;
  RawClient client(service.address());
  const Answer answer = client.ask(infer(1, "Connection: close\r\n"));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.fields.at("Connection"), "close");
  EXPECT_TRUE(client.is_ended());
  RawClient old(service.address());
  EXPECT_EQ(old.ask("GET /v2/health/live HTTP/1.0\r\n\r\n").status, 200);
  EXPECT_TRUE(old.is_ended());
}

TEST(HttpFrontend, AnswersClientsThatEndedTheirSide) {
  Service service(Answers::kWhenReleased);
  RawClient client(service.address());
  client.send(infer(1, "Connection: close\r\n"));
  client.end_writing();
  service.server.wait_for_held(1);
  service.server.release();
  EXPECT_EQ(first_output(client.receive()), 2);
  EXPECT_TRUE(client.is_ended());
  // One that may go on gets a word first, to see whether it is there.
  RawClient other(service.address());
  other.send(infer(1) + infer(2));
  other.end_writing();
  for (const double wanted : {2.0, 4.0}) {
    service.server.wait_for_held(1);
    service.server.release();
    Answer answer = other.receive();
    while (answer.status == 100) answer = other.receive();
    EXPECT_EQ(first_output(answer), wanted);
  }
  EXPECT_TRUE(other.is_ended());
}

TEST(HttpFrontend, CancelsTheRequestsOfClientsThatHaveGone) {
  HttpOptions over_path = loopback();
  over_path.address = "unix:" + unix_path();
  for (const HttpOptions& options : {loopback(), over_path}) {
    Service service(Answers::kWhenReleased, options);
    auto client = std::make_unique<RawClient>(service.address());
    client->send(infer(1));
    service.server.wait_for_held(1);
    const auto request = service.server.held(0);
    EXPECT_FALSE(request->cancelled);
    client.reset();
    EXPECT_TRUE(eventually([&] { return request->cancelled.load(); }));
  }
}

TEST(HttpFrontend, MalformedRequestsGetA4xxAndTheEnd) {
  Service service;
  const std::string huge(20'000, 'a');
  const std::pair<std::string, int> wrong[] = {
      {"nonsense\r\n\r\n", 400},
      {"GET / HTTP/3.0\r\n\r\n", 400},
      {"GET /v2 HTTP/1.1\r\nbad field\r\n\r\n", 400},
      {"GET /v2 HTTP/1.1\r\nX: " + huge + "\r\n\r\n", 431},
      {"GET /" + huge + " HTTP/1.1\r\n\r\n", 431},
      {"POST /v2/models/m/infer HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400},
      {"POST /v2/models/m/infer HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
      {"POST /v2/models/m/infer HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n", 413},
      {"POST /v2/models/m/infer HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400},
      {"POST /v2/models/m/infer HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
      {"POST /v2/models/m/infer HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFFFF\r\n", 413},
      {"POST /v2/models/m/infer HTTP/1.1\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\na",
       415},
      {"POST /v2/models/m/infer HTTP/1.1\r\nInference-Header-Content-Length: x\r\n\r\n", 400},
  };
  for (const auto& [request, status] : wrong) {
    RawClient client(service.address());
    const Answer answer = client.ask(request);
    EXPECT_EQ(answer.status, status) << request.substr(0, 80);
    EXPECT_TRUE(Json::parse(answer.body).contains("error"));
    EXPECT_TRUE(client.is_ended());
  }
}

TEST(HttpFrontend, RefusalsKeepTheConnection) {
  Service service;
  RawClient client(service.address());
  EXPECT_EQ(client.ask(get("/none")).status, 404);
  EXPECT_EQ(client.ask(get("/v2/models/..%2f..")).status, 400);
  EXPECT_EQ(client.ask(get("/v2/models/none")).status, 404);
  const Answer method = client.ask(get("/v2/models/m/infer"));
  EXPECT_EQ(method.status, 405);
  EXPECT_EQ(method.fields.at("Allow"), "POST");
  EXPECT_EQ(client.ask(post("/v2/models/m/infer", "{")).status, 400);
  service.server.refuse_with({Status::kOverloaded, "too much", 1.2});
  const Answer overloaded = client.ask(infer(1));
  EXPECT_EQ(overloaded.status, 503);
  EXPECT_EQ(overloaded.fields.at("Retry-After"), "2");
  service.server.refuse_with({Status::kDeadlineExceeded, "too late", 0});
  EXPECT_EQ(client.ask(infer(1)).status, 504);
  service.server.refuse_with({Status::kOk, "", 0});
  EXPECT_EQ(client.ask(infer(1)).status, 200);
}

TEST(HttpFrontend, KeysAreAskedForButByHealth) {
  HttpOptions options = loopback();
  options.api_keys = {"first key", "second"};
  Service service(Answers::kAtOnce, options);
  RawClient client(service.address());
  EXPECT_EQ(client.ask(get("/v2/health/live")).status, 200);
  EXPECT_EQ(client.ask(get("/v2/health/ready")).status, 200);
  EXPECT_EQ(client.ask(get("/v2")).status, 401);
  EXPECT_EQ(client.ask(get("/metrics")).status, 401);
  EXPECT_EQ(client.ask(get("/v2", "X-API-Key: second\r\n")).status, 200);
  EXPECT_EQ(client.ask(get("/v2", "Authorization: Bearer first key\r\n")).status, 200);
  EXPECT_EQ(client.ask(get("/v2", "Authorization: Bearer first ke\r\n")).status, 401);
  EXPECT_EQ(client.ask(get("/v2", "Authorization: Basic second\r\n")).status, 401);
  EXPECT_EQ(client.ask(infer(1)).status, 401);
  EXPECT_TRUE(client.is_ended());  // with the body unread
}

TEST(HttpFrontend, SlowClientsAreEnded) {
  HttpOptions options = loopback();
  options.body_timeout_s = options.idle_timeout_s = 0.3;
  Service service(Answers::kAtOnce, options);
  RawClient head(service.address()), body(service.address()), idle(service.address());
  head.send("GET /v2 HT");
  body.send("POST /v2/models/m/infer HTTP/1.1\r\nContent-Length: 100\r\n\r\n{");
  EXPECT_EQ(head.receive().status, 408);
  EXPECT_EQ(body.receive().status, 408);
  EXPECT_TRUE(idle.is_ended());
}

// One that asks and does not read is ended when its answer was not taken in time.
TEST(HttpFrontend, ClientsThatDoNotReadAreEnded) {
  HttpOptions options = loopback();
  options.body_timeout_s = 0.3;
  Service service(Answers::kAtOnce, options);
  service.server.add_double("wide", 4'000'000);
  RawClient client(service.address());
  const std::string body(16'000'000, '\0');
  client.send(post("/v2/models/wide/infer", body, "Inference-Header-Content-Length: 0\r\n"));
  RawClient other(service.address());
  const auto connections = [&] {
    return Json::parse(other.ask(get("/api/snapshot")).body)["connections"].get<int>();
  };
  EXPECT_TRUE(eventually([&] { return connections() == 1; }));
}

TEST(HttpFrontend, LargeBodiesAreBoundedInAll) {
  HttpOptions options = loopback();
  options.max_body_bytes = 1 << 20;
  Service service(Answers::kAtOnce, options);
  // Each has sent most of its body, and room for 32 is there at the most.
  const std::string start = "POST /v2/models/m/infer HTTP/1.1\r\nContent-Length: 1048576\r\n\r\n" +
                            std::string(1'000'000, ' ');
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 40; ++i) {
    clients.push_back(std::make_unique<RawClient>(service.address()));
    clients.back()->send(start);
  }
  RawClient other(service.address());
  EXPECT_EQ(first_output(other.ask(infer(2))), 4);  // small ones are not concerned
  EXPECT_EQ(clients.back()->receive().status, 503);
  clients.clear();
  EXPECT_TRUE(eventually([&] {
    RawClient client(service.address());
    return client.ask(start + std::string(48'576, ' ')).status == 400;
  }));
}

TEST(HttpFrontend, ConnectionsBeyondTheMostAreTurnedAway) {
  HttpOptions options = loopback();
  options.max_connections = 2;
  Service service(Answers::kAtOnce, options);
  {
    RawClient one(service.address()), two(service.address());
    EXPECT_EQ(one.ask(get("/v2/health/live")).status, 200);
    EXPECT_EQ(two.ask(get("/v2/health/live")).status, 200);
    RawClient three(service.address());
    EXPECT_EQ(three.receive().status, 503);
    EXPECT_TRUE(three.is_ended());
  }
  EXPECT_TRUE(eventually(
      [&] { return RawClient(service.address()).ask(get("/v2/health/live")).status == 200; }));
}

TEST(HttpFrontend, SpeaksOverUnixSockets) {
  const std::string path = unix_path();
  HttpOptions options = loopback();
  options.address = "unix:" + path;
  {
    Service service(Answers::kOnThread, options);
    EXPECT_EQ(service.address(), options.address);
    RawClient client(service.address());
    EXPECT_EQ(first_output(client.ask(infer(2))), 4);
    EXPECT_THROW(make_http_frontend(service.server, options), Error);
  }
  EXPECT_NE(access(path.c_str(), F_OK), 0);
}

TEST(HttpFrontend, OptionsThatMakeNoSenseAreRefused) {
  FakeServer server;
  for (const char* address : {"", "nowhere", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", ":80",
                              "unix:", "256.1.1.1:0"}) {
    HttpOptions options;
    options.address = address;
    EXPECT_THROW(make_http_frontend(server, options), Error) << address;
  }
  HttpOptions options = loopback();
  options.tls_certificate = "only.pem";
  EXPECT_THROW(make_http_frontend(server, options), Error);
  options.tls_key = "none.pem";
  EXPECT_THROW(make_http_frontend(server, options), Error);
  const auto first = make_http_frontend(server, loopback());
  options = loopback();
  options.address = first->address();
  EXPECT_THROW(make_http_frontend(server, options), Error);
}

// What was handed to the server before the end is answered.
TEST(HttpFrontend, FinishWaitsForAnswers) {
  FakeServer server(Answers::kWhenReleased);
  server.add_double("m", 2);
  auto frontend = make_http_frontend(server, loopback());
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 20; ++i) {
    clients.push_back(std::make_unique<RawClient>(frontend->address()));
    clients.back()->send(infer(static_cast<float>(i)));
  }
  server.wait_for_held(20);
  RawClient late(frontend->address());
  EXPECT_EQ(late.ask(get("/v2/health/live")).status, 200);
  frontend->stop_accepting();
  EXPECT_EQ(late.ask(infer(1)).status, 503);
  std::thread finisher([&] { frontend->finish(); });
  server.release();
  for (int i = 0; i < 20; ++i) {
    const Answer answer = clients[static_cast<std::size_t>(i)]->receive();
    EXPECT_EQ(first_output(answer), 2.0 * i);
  }
  finisher.join();
}

TEST(HttpFrontend, ManyClientsAtOnceGetTheirOwnAnswers) {
  for (const int threads : {1, 3}) {
    HttpOptions options = loopback();
    options.threads = threads;
    Service service(Answers::kOnThread, options);
    std::vector<std::thread> clients;
    for (int c = 0; c < 8; ++c) {
      clients.emplace_back([&, c] {
        RawClient client(service.address());
        for (int i = 0; i < 100; ++i) {
          const int value = c * 1000 + i;
          ASSERT_EQ(first_output(client.ask(infer(static_cast<float>(value)))), 2.0 * value);
        }
      });
    }
    for (std::thread& client : clients) client.join();
  }
}

TEST(HttpFrontend, TracesAndClientsReachTheServer) {
  Service service(Answers::kWhenReleased);
  RawClient one(service.address()), two(service.address());
  const std::string trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
  one.send(infer(1, "traceparent: " + trace + "\r\n"));
  service.server.wait_for_held(1);
  two.send(infer(1, "traceparent: 00-0-0-01\r\n"));
  service.server.wait_for_held(2);
  EXPECT_EQ(service.server.held(0)->trace_parent, trace);
  EXPECT_EQ(service.server.held(1)->trace_parent, "");
  EXPECT_NE(service.server.held(0)->client, service.server.held(1)->client);
}

}  // namespace
}  // namespace batchwise::serve
