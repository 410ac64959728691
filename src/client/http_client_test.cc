// SPDX-License-Identifier: Apache-2.0
#include "client/http_client.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>

#include "batchwise/error.h"
#include "client/scripted_server_test.h"
#include "measure/sampling.h"

namespace batchwise {
namespace {

const char kGoodBody[] =
    R"({"outputs": [{"name": "y", "datatype": "FP32", "shape": [1, 1], "data": [2.5]}]})";

double now_us() { return monotonic_seconds() * 1e6; }

struct Replies final : InferReplyHandler {
  struct Reply {
    InferStatus status;
    int code;
    std::string message;
    std::vector<float> first_output;
  };
  void on_reply(std::uint64_t tag, const InferReply& reply) override {
    Reply& mine = by_tag[tag];
    EXPECT_TRUE(seen.insert({tag, true}).second) << "answered twice";
    mine = {reply.status, reply.code, std::string(reply.message), {}};
    if (!reply.outputs.empty()) {
      const auto bytes = reply.outputs[0].bytes;
      mine.first_output.resize(bytes.size() / sizeof(float));
      std::memcpy(mine.first_output.data(), bytes.data(), bytes.size());
    }
    EXPECT_GE(reply.received_us, reply.sent_us);
    if (on_each) on_each(tag);
  }
  std::map<std::uint64_t, Reply> by_tag;
  std::map<std::uint64_t, bool> seen;
  std::function<void(std::uint64_t)> on_each;
};

ClientOptions options_for(const ScriptedServer& server, int connections = 1) {
  ClientOptions options;
  options.host = "127.0.0.1";
  options.port = server.port();
  options.connections = options.max_connections = connections;
  return options;
}

std::unique_ptr<PreparedInfer> prepare(InferClient& client, bool wants_outputs = true) {
  static const std::vector<float> kInput{1.0F};
  InferCall call;
  call.model = "m";
  call.inputs.push_back({"x", DType::kFloat32, {1, 1}, std::as_bytes(std::span(kInput))});
  call.wants_outputs = wants_outputs;
  return client.prepare(call);
}

// Until so many replies are there; a minute is a hang.
void wait_for(InferClient& client, const Replies& replies, std::size_t count) {
  const double until_us = now_us() + 60e6;
  while (replies.by_tag.size() < count && now_us() < until_us) client.wait(until_us);
  ASSERT_EQ(replies.by_tag.size(), count);
}

Replies::Reply ask_once(const ScriptedServer& server) {
  const auto client = make_http_client(options_for(server));
  client->connect();
  const auto request = prepare(*client);
  Replies replies;
  client->send(*request, 7, replies);
  wait_for(*client, replies, 1);
  return replies.by_tag[7];
}

TEST(HttpClient, ReadsARepliesBodyHoweverItComes) {
  const std::string body = kGoodBody;
  std::vector<std::string> bytes;
  for (const char c : http_reply(200, body)) bytes.emplace_back(1, c);
  const std::vector<ScriptedReply> ways{
      {{http_reply(200, body)}},
      {bytes},
      {{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "5\r\n" + body.substr(0, 5) + "\r\n", "4b\r\n" + body.substr(5, 0x4b), "\r\n",
        "0\r\nTrailer: x\r\n\r\n"}},
      {{"HTTP/1.1 200 OK\r\n\r\n" + body}, true},
      {{http_reply(200, body, "Connection: close\r\n")}, true},
      {{"HTTP/1.1 100 Continue\r\n\r\n", http_reply(200, body)}},
  };
  ASSERT_EQ(body.size(), 5U + 0x4b);
  for (const ScriptedReply& way : ways) {
    const ScriptedServer server([&](int, int, const std::string&) { return way; });
    const Replies::Reply reply = ask_once(server);
    EXPECT_EQ(reply.status, InferStatus::kOk) << way.pieces[0] << reply.message;
    EXPECT_EQ(reply.first_output, std::vector<float>{2.5F});
  }
}

TEST(HttpClient, TellsTheKindsOfFailureApart) {
  struct Case {
    ScriptedReply reply;
    InferStatus status;
    int code;
    std::string message;
  };
  const std::vector<Case> cases{
      {{{http_reply(503, R"({"error": "full"})")}}, InferStatus::kRefused, 503, "full"},
      {{{http_reply(429, "")}}, InferStatus::kRefused, 429, "429"},
      {{{http_reply(504, R"({"error": "late"})")}}, InferStatus::kExpired, 504, "late"},
      {{{http_reply(400, R"({"error": "bad shape"})")}}, InferStatus::kFailed, 400, "bad shape"},
      {{{http_reply(500, "<html>\nno")}}, InferStatus::kFailed, 500, "<html>"},
      {{{http_reply(200, "<html>")}}, InferStatus::kFailed, 200, "<html>"},
      {{{"SSH-2.0-x\r\n"}}, InferStatus::kLost, 0, "HTTP"},
      {{{"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nabc"}, true},
       InferStatus::kLost,
       0,
       "middle"},
      {{{"HTTP/1.1 200 OK\r\nContent-Length: -4\r\n\r\n"}}, InferStatus::kLost, 0, "HTTP"},
      {{{http_reply(200, kGoodBody) + "surplus"}}, InferStatus::kLost, 0, "more bytes"},
      {{{"HTTP/1.1 200 OK\r\nX: " + std::string(200'000, 'x')}}, InferStatus::kLost, 0, "HTTP"},
      {{{http_reply(200, kGoodBody, "Inference-Header-Content-Length: 1x\r\n")}},
       InferStatus::kLost,
       0,
       "HTTP"},
      {{{http_reply(200, kGoodBody, "Inference-Header-Content-Length: 9999\r\n")}},
       InferStatus::kFailed,
       200,
       "9999"},
      {{{}, true}, InferStatus::kLost, 0, "closed"},
  };
  for (const Case& one : cases) {
    const ScriptedServer server([&](int, int, const std::string&) { return one.reply; });
    const Replies::Reply reply = ask_once(server);
    EXPECT_EQ(reply.status, one.status) << one.message << " " << reply.message;
    EXPECT_EQ(reply.code, one.code);
    EXPECT_NE(reply.message.find(one.message), std::string::npos) << reply.message;
    EXPECT_TRUE(reply.first_output.empty());
  }
}

TEST(HttpClient, SendsWhatAServerNeeds) {
  std::string text;
  const ScriptedServer server([&](int, int, const std::string& request) {
    text = request;
    return ScriptedReply{{http_reply(200, kGoodBody)}};
  });
  ClientOptions options = options_for(server);
  options.api_key = "secret";
  const auto client = make_http_client(options);
  client->connect();
  const auto request = prepare(*client);
  Replies replies;
  client->send(*request, 1, replies);
  wait_for(*client, replies, 1);
  EXPECT_EQ(text.substr(0, text.find("\r\n")), "POST /v2/models/m/infer HTTP/1.1");
  EXPECT_NE(text.find("Authorization: Bearer secret\r\n"), std::string::npos);
  EXPECT_NE(text.find("Host: 127.0.0.1:" + std::to_string(server.port())), std::string::npos);
  const std::size_t body = text.find("\r\n\r\n") + 4;
  const std::size_t json = text.size() - body - sizeof(float);
  EXPECT_NE(text.find("Inference-Header-Content-Length: " + std::to_string(json) + "\r\n"),
            std::string::npos);
}

TEST(HttpClient, KeepsConnectionsAndQueuesWhatIsTooMuch) {
  for (const int connections : {1, 3}) {
    const ScriptedServer server(
        [](int, int, const std::string&) { return ScriptedReply{{http_reply(200, kGoodBody)}}; });
    const auto client = make_http_client(options_for(server, connections));
    client->connect();
    const auto request = prepare(*client, false);
    Replies replies;
    constexpr std::uint64_t kFirst = 20, kAll = 200;
    std::uint64_t next = kFirst;
    // The handler sends too, as a closed loop does.
    replies.on_each = [&](std::uint64_t) {
      if (next < kAll) client->send(*request, next++, replies);
    };
    for (std::uint64_t tag = 0; tag < kFirst; ++tag) client->send(*request, tag, replies);
    wait_for(*client, replies, kAll);
    for (const auto& [tag, reply] : replies.by_tag)
      EXPECT_EQ(reply.status, InferStatus::kOk) << tag;
    EXPECT_EQ(server.num_connections(), connections);
  }
}

TEST(HttpClient, OpensMoreConnectionsWhileAllAreBusy) {
  std::atomic<bool> may_answer{false};
  const ScriptedServer server([&](int, int, const std::string&) {
    may_answer.wait(false);
    return ScriptedReply{{http_reply(200, kGoodBody)}};
  });
  ClientOptions options = options_for(server);
  options.max_connections = 4;
  const auto client = make_http_client(options);
  client->connect();
  const auto request = prepare(*client);
  Replies replies;
  for (std::uint64_t tag = 0; tag < 10; ++tag) client->send(*request, tag, replies);
  while (server.num_connections() < 4) client->wait(now_us() + 1e3);
  may_answer = true;
  may_answer.notify_all();
  wait_for(*client, replies, 10);
  EXPECT_EQ(server.num_connections(), 4);
}

TEST(HttpClient, GoesOnAfterAConnectionIsClosed) {
  // Every connection answers twice: the second time it says that it closes, or just does.
  for (const bool says_so : {false, true}) {
    const ScriptedServer server([&](int, int request, const std::string&) {
      const std::string fields = says_so && request == 1 ? "Connection: close\r\n" : "";
      return ScriptedReply{{http_reply(200, kGoodBody, fields)}, request == 1};
    });
    const auto client = make_http_client(options_for(server));
    client->connect();
    const auto request = prepare(*client);
    int answered = 0;
    for (std::uint64_t tag = 0; tag < 20; ++tag) {
      Replies replies;
      client->send(*request, tag, replies);
      wait_for(*client, replies, 1);
      if (replies.by_tag[tag].status == InferStatus::kOk) ++answered;
    }
    // A close that nobody announced may meet the next request on its way.
    EXPECT_GE(answered, says_so ? 20 : 13);
    EXPECT_GE(server.num_connections(), says_so ? 10 : 6);
  }
}

TEST(HttpClient, SaysWhenThereIsNoServer) {
  ClientOptions options;
  {
    const ScriptedServer server([](int, int, const std::string&) { return ScriptedReply{}; });
    options = options_for(server);
  }
  try {
    make_http_client(options)->connect();
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kEnvironment);
    EXPECT_NE(std::string(error.what()).find(std::to_string(options.port)), std::string::npos);
  }
  options.host = "no-such-host.invalid";
  EXPECT_THROW(make_http_client(options)->connect(), Error);
  options.unix_socket = "/nonexistent/" + std::string(200, 'x');
  EXPECT_THROW(make_http_client(options)->connect(), Error);
  options.unix_socket = "/nonexistent/socket";
  EXPECT_THROW(make_http_client(options)->connect(), Error);
}

TEST(HttpClient, LosesWhatWaitsWhenTheServerGoes) {
  auto server = std::make_unique<ScriptedServer>([](int, int, const std::string&) {
    return ScriptedReply{{}, true};
  });
  ClientOptions options = options_for(*server, 2);
  const auto client = make_http_client(options);
  client->connect();
  server.reset();
  const auto request = prepare(*client);
  Replies replies;
  for (std::uint64_t tag = 0; tag < 9; ++tag) client->send(*request, tag, replies);
  wait_for(*client, replies, 9);
  for (const auto& [tag, reply] : replies.by_tag)
    EXPECT_EQ(reply.status, InferStatus::kLost) << tag;
}

TEST(HttpClient, ForgetsWhatItIsToldToForget) {
  std::atomic<int> asked{0};
  const ScriptedServer server([&](int, int, const std::string&) {
    return ++asked <= 2 ? ScriptedReply{} : ScriptedReply{{http_reply(200, kGoodBody)}};
  });
  const auto client = make_http_client(options_for(server, 2));
  client->connect();
  const auto request = prepare(*client);
  {
    Replies forgotten;
    for (std::uint64_t tag = 0; tag < 5; ++tag) client->send(*request, tag, forgotten);
    while (asked < 2) client->wait(now_us() + 1e3);
    client->forget();
    EXPECT_TRUE(forgotten.by_tag.empty());
  }
  Replies replies;
  client->send(*request, 9, replies);
  wait_for(*client, replies, 1);
  EXPECT_EQ(replies.by_tag[9].status, InferStatus::kOk);
}

TEST(HttpClient, WaitsNoLongerThanItIsTold) {
  const ScriptedServer server([](int, int, const std::string&) { return ScriptedReply{}; });
  const auto client = make_http_client(options_for(server));
  client->connect();
  for (const double us : {-5.0, 0.0, 50.0, 5e3, 2e3}) {
    const double until = now_us() + us;
    client->wait(until);
    EXPECT_GE(now_us(), until);
  }
}

TEST(HttpClient, AsksAboutTheModelOverAUnixSocket) {
  const std::string path =
      (std::filesystem::temp_directory_path() / ("bw_client_" + std::to_string(getpid()))).string();
  const ScriptedServer server(
      [](int, int, const std::string& text) -> ScriptedReply {
        if (text.starts_with("GET /v2/models/m/stats ")) {
          return {{http_reply(200, R"({"model_stats": [{"name": "m", "inference_count": 6,
                                        "execution_count": 2}]})")}};
        }
        if (text.starts_with("GET /v2/models/m ")) {
          return {{http_reply(200, R"({"name": "m", "inputs": [{"name": "x", "datatype": "FP32",
                                        "shape": [-1, 3]}]})")}};
        }
        return {{http_reply(404, R"({"error": "no such model"})")}};
      },
      path);
  ClientOptions options;
  options.unix_socket = path;
  const auto client = make_http_client(options);
  client->connect();
  EXPECT_EQ(client->model("m", "").inputs.at(0).name, "x");
  EXPECT_EQ(client->statistics("m", "")->inference_count, 6);
  EXPECT_FALSE(client->statistics("other", "").has_value());
  try {
    client->model("other", "");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidInput);
    EXPECT_NE(std::string(error.what()).find("no such model"), std::string::npos);
  }
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace batchwise
