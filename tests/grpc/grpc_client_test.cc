// SPDX-License-Identifier: Apache-2.0
#include "client/grpc/grpc_client.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <map>

#include "batchwise/error.h"
#include "measure/sampling.h"
#include "serve/grpc/frontend.h"
#include "serve/grpc/test_server.h"

namespace batchwise {
namespace {

double now_us() { return monotonic_seconds() * 1e6; }

class Replies final : public InferReplyHandler {
 public:
  struct Row {
    InferStatus status;
    int code;
    std::string message;
    double sent_us, received_us;
    std::vector<float> values;
  };
  void on_reply(std::uint64_t tag, const InferReply& reply) override {
    Row row{reply.status,  reply.code,        std::string(reply.message),
            reply.sent_us, reply.received_us, {}};
    for (const NamedTensor& output : reply.outputs) {
      row.values.resize(output.bytes.size() / sizeof(float));
      std::memcpy(row.values.data(), output.bytes.data(), output.bytes.size());
    }
    rows[tag] = row;
  }
  void wait(InferClient& client, std::size_t count) {
    while (rows.size() < count) client.wait(now_us() + 1e6);
  }
  std::map<std::uint64_t, Row> rows;
};

class GrpcClientTest : public ::testing::Test {
 protected:
  void start() {
    server_options.address = "127.0.0.1:0";
    frontend = serve::make_grpc_frontend(server, server_options);
    const std::string address = frontend->address();
    options.host = "127.0.0.1";
    options.port = std::stoi(address.substr(address.rfind(':') + 1));
    client = make_grpc_client(options);
  }
  std::unique_ptr<PreparedInfer> prepare(const std::vector<float>& values,
                                         const std::string& model = "echo") {
    InferCall call;
    call.model = model;
    call.wants_outputs = true;
    call.inputs = {{"in0",
                    DType::kFloat32,
                    {static_cast<std::int64_t>(values.size() / 4), 4},
                    std::as_bytes(std::span(values))}};
    return client->prepare(call);
  }

  serve::TestServer server;
  serve::GrpcOptions server_options;
  std::unique_ptr<serve::Frontend> frontend;
  ClientOptions options;
  std::unique_ptr<InferClient> client;
};

TEST_F(GrpcClientTest, GetsEachAnswerOnceWithItsValues) {
  server.answer_from_thread();
  options.connections = 3;
  start();
  client->connect();
  Replies replies;
  std::vector<std::unique_ptr<PreparedInfer>> calls;
  for (int i = 0; i < 200; ++i) {
    calls.push_back(prepare({static_cast<float>(i), 1, 2, 3}));
    client->send(*calls.back(), static_cast<std::uint64_t>(i), replies);
  }
  replies.wait(*client, 200);
  for (const auto& [tag, row] : replies.rows) {
    EXPECT_EQ(row.status, InferStatus::kOk) << row.message;
    EXPECT_EQ(row.values, (std::vector<float>{static_cast<float>(tag), 1, 2, 3}));
    EXPECT_GT(row.sent_us, 0);
    EXPECT_GE(row.received_us, row.sent_us);
  }
}

TEST_F(GrpcClientTest, TellsRefusedExpiredFailedAndLost) {
  start();
  Replies replies;
  const auto call = prepare({1, 2, 3, 4});
  const std::vector<std::pair<serve::Status, InferStatus>> cases{
      {serve::Status::kOverloaded, InferStatus::kRefused},
      {serve::Status::kUnavailable, InferStatus::kRefused},
      {serve::Status::kDeadlineExceeded, InferStatus::kExpired},
      {serve::Status::kInternal, InferStatus::kFailed}};
  std::uint64_t tag = 0;
  for (const auto& [status, wanted] : cases) {
    server.on_infer = [status = status](std::shared_ptr<serve::InferenceRequest> request) {
      request->reply(serve::refusal_reply(status, "because"));
    };
    client->send(*call, tag, replies);
    replies.wait(*client, tag + 1);
    EXPECT_EQ(replies.rows[tag].status, wanted);
    EXPECT_EQ(replies.rows[tag].message, "because");
    EXPECT_NE(replies.rows[tag].code, 0);
    ++tag;
  }
  const auto unknown = prepare({1, 2, 3, 4}, "nothing");
  client->send(*unknown, tag, replies);
  replies.wait(*client, tag + 1);
  EXPECT_EQ(replies.rows[tag].status, InferStatus::kFailed);
  ++tag;
  frontend->finish();
  client->send(*call, tag, replies);
  replies.wait(*client, tag + 1);
  EXPECT_EQ(replies.rows[tag].status, InferStatus::kLost);
  EXPECT_EQ(replies.rows[tag].code, 0);
}

// A certificate for localhost, in a folder of this test.
class GrpcTlsTest : public GrpcClientTest {
 protected:
  void SetUp() override {
    folder = (std::filesystem::temp_directory_path() / "batchwise_XXXXXX").string();
    ASSERT_NE(mkdtemp(folder.data()), nullptr);
    const std::string command =
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost"
        " -addext subjectAltName=DNS:localhost,IP:127.0.0.1 -keyout " +
        folder + "/key.pem -out " + folder + "/certificate.pem 2>" + folder + "/log";
    if (std::system(command.c_str()) != 0) GTEST_SKIP() << "openssl makes no certificate";
    server_options.tls_certificate = folder + "/certificate.pem";
    server_options.tls_key = folder + "/key.pem";
    options.tls = true;
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  std::string folder;
};

TEST_F(GrpcTlsTest, AnswersWhoTrustsTheCertificate) {
  options.ca_file = folder + "/certificate.pem";
  start();
  client->connect();
  EXPECT_EQ(client->model("echo", "").name, "echo");
}

TEST_F(GrpcTlsTest, AnswersWhoTakesAny) {
  options.verify = false;
  start();
  client->connect();
  EXPECT_EQ(client->model("echo", "").name, "echo");
}

TEST_F(GrpcTlsTest, IsNoServerForPlainClientsOrOtherCertificates) {
  start();
  const auto cannot_ask = [&] {
    try {
      make_grpc_client(options)->model("echo", "");
    } catch (const Error& error) {
      return error.code() == ErrorCode::kEnvironment;
    }
    return false;
  };
  options.tls = false;
  EXPECT_TRUE(cannot_ask());
  options.tls = true;  // the system's certificates do not know it
  EXPECT_TRUE(cannot_ask());
  options.ca_file = folder + "/none.pem";
  EXPECT_THROW(make_grpc_client(options), Error);
}

TEST_F(GrpcClientTest, AsksForModelAndStatistics) {
  server_options.api_keys = {"key"};
  options.api_key = "key";
  start();
  const RemoteModel model = client->model("echo", "");
  EXPECT_EQ(model.name, "echo");
  EXPECT_EQ(model.versions, std::vector<std::string>{"1"});
  ASSERT_EQ(model.inputs.size(), 1u);
  EXPECT_EQ(model.inputs[0].name, "in0");
  EXPECT_EQ(model.inputs[0].dtype, DType::kFloat32);
  EXPECT_EQ(model.inputs[0].shape, (std::vector<std::int64_t>{-1, 4}));
  const auto statistics = client->statistics("echo", "");
  ASSERT_TRUE(statistics);
  EXPECT_EQ(statistics->inference_count, 7);
  EXPECT_EQ(statistics->execution_count, 3);
  try {
    client->model("nothing", "");
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidInput);
  }
}

TEST_F(GrpcClientTest, ForgetsWhatIsOpenWhenItGoes) {
  std::shared_ptr<serve::InferenceRequest> held;
  std::mutex mutex;
  server.on_infer = [&](std::shared_ptr<serve::InferenceRequest> request) {
    const std::lock_guard lock(mutex);
    held = std::move(request);
  };
  start();
  Replies replies;
  const auto call = prepare({1, 2, 3, 4});
  client->send(*call, 0, replies);
  const auto arrived = [&] {
    const std::lock_guard lock(mutex);
    return held != nullptr;
  };
  while (!arrived()) client->wait(0);
  client.reset();
  EXPECT_TRUE(replies.rows.empty());
  while (!held->cancelled) std::this_thread::yield();
  held->reply(serve::refusal_reply(serve::Status::kCancelled, "the client has gone"));
}

}  // namespace
}  // namespace batchwise
