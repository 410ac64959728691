// SPDX-License-Identifier: Apache-2.0
// What the HTTP front end costs beside an empty handler of Boost.Beast with the same bytes:
//
//   bench_http_floor [COLUMNS] [SECONDS] [CONNECTIONS] [ROUNDS]
//
// Both listen in this process, one thread each; wrk asks them in turns, so that a slow moment of
// the machine meets both. The front end parses, hands the request to a server that doubles at once,
// and writes its reply; the floor reads the request and writes a fixed answer of the same size.
// Prints the requests a second and the processor time a request of each round, and the median of
// the ratios of the latter: it holds on a machine that others use, too.
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "serve/http/fake_server.h"
#include "serve/http/http_frontend.h"

namespace batchwise::serve {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Tcp = asio::ip::tcp;

struct Bytes {
  std::string body, answer, length;  // length: Inference-Header-Content-Length of each
  std::string answer_length;
};

Bytes make_bytes(std::int64_t columns) {
  const std::string json =
      fmt::format(R"({{"inputs":[{{"name":"x","datatype":"FP32","shape":[1,{}],"parameters":)"
                  R"({{"binary_data_size":{}}}}}],"parameters":{{"binary_data_output":true}}}})",
                  columns, columns * 4);
  const std::string answer = fmt::format(
      R"({{"model_name":"m","model_version":"1","outputs":[{{"name":"y","datatype":"FP32",)"
      R"("shape":[1,{}],"parameters":{{"binary_data_size":{}}}}}]}})",
      columns, columns * 4);
  const std::string values(static_cast<std::size_t>(columns) * 4, '\0');
  return {json + values, answer + values, std::to_string(json.size()),
          std::to_string(answer.size())};
}

// Reads a request and writes the same answer to each, as Beast's examples do.
class FloorSession : public std::enable_shared_from_this<FloorSession> {
 public:
  FloorSession(Tcp::socket socket, const Bytes& bytes) : stream_(std::move(socket)), bytes_(bytes) {
    stream_.socket().set_option(Tcp::no_delay(true));
  }
  void read() {
    request_ = {};
    http::async_read(stream_, buffer_, request_,
                     [self = shared_from_this()](beast::error_code error, std::size_t) {
                       if (!error) self->write();
                     });
  }

 private:
  void write() {
    response_ = {http::status::ok, 11};
    response_.set(http::field::content_type, "application/octet-stream");
    response_.set("Inference-Header-Content-Length", bytes_.answer_length);
    response_.body() = bytes_.answer;
    response_.prepare_payload();
    http::async_write(stream_, response_,
                      [self = shared_from_this()](beast::error_code error, std::size_t) {
                        if (!error) self->read();
                      });
  }
  beast::tcp_stream stream_;
  const Bytes& bytes_;
  beast::flat_buffer buffer_;
  http::request<http::string_body> request_;
  http::response<http::string_body> response_;
};

class Floor {
 public:
  explicit Floor(const Bytes& bytes) : bytes_(bytes) {
    accept();
    thread_ = std::thread([this] { context_.run(); });
  }
  ~Floor() {
    context_.stop();
    thread_.join();
  }
  std::string address() const {
    return fmt::format("127.0.0.1:{}", acceptor_.local_endpoint().port());
  }

 private:
  void accept() {
    acceptor_.async_accept([this](beast::error_code error, Tcp::socket socket) {
      if (error) return;
      std::make_shared<FloorSession>(std::move(socket), bytes_)->read();
      accept();
    });
  }
  const Bytes& bytes_;
  asio::io_context context_{1};
  Tcp::acceptor acceptor_{context_, {asio::ip::make_address("127.0.0.1"), 0}};
  std::thread thread_;
};

// A script for wrk: the request with its binary body, byte by byte.
std::string write_script(const std::string& path, const Bytes& bytes) {
  std::ofstream script(path);
  script << "wrk.method = 'POST'\nwrk.headers['Inference-Header-Content-Length'] = '"
         << bytes.length << "'\nwrk.body = '";
  for (const char c : bytes.body) {
    script << fmt::format("\\{:03}", static_cast<unsigned>(static_cast<unsigned char>(c)));
  }
  script << "'\n";
  return path;
}

// Of this process: its other threads have nothing to do.
double cpu_s() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

struct Round {
  double requests_per_s = 0, cpu_us = 0;  // cpu_us: a request
};

Round ask(const std::string& address, const std::string& script, int seconds, int connections) {
  const std::string command =
      fmt::format("wrk -t1 -c{} -d{}s -s {} http://{}/v2/models/m/infer 2>&1", connections, seconds,
                  script, address);
  const double before_s = cpu_s();
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  if (!pipe) std::abort();
  Round round;
  double requests = 1;
  std::array<char, 512> line{};
  while (std::fgets(line.data(), line.size(), pipe.get()) != nullptr) {
    const std::string text = line.data();
    if (text.starts_with("Requests/sec:")) round.requests_per_s = std::atof(text.c_str() + 13);
    if (text.find(" requests in ") != std::string::npos) requests = std::atof(text.c_str());
    if (text.find("Non-2xx") != std::string::npos) fmt::print("{}", text);
  }
  round.cpu_us = 1e6 * (cpu_s() - before_s) / requests;
  return round;
}

int run(std::int64_t columns, int seconds, int connections, int rounds) {
  const Bytes bytes = make_bytes(columns);
  const Floor floor(bytes);
  FakeServer server;
  server.add_double("m", columns);
  HttpOptions options;
  options.address = "127.0.0.1:0";
  const auto frontend = make_http_frontend(server, options);
  const std::string script = write_script(
      (std::filesystem::temp_directory_path() / "batchwise_http_floor.lua").string(), bytes);
  std::vector<double> ratios;
  for (int i = 0; i < rounds; ++i) {
    const Round floors = ask(floor.address(), script, seconds, connections);
    const Round ours = ask(frontend->address(), script, seconds, connections);
    fmt::print("floor {:.0f}/s, {:.2f} us of CPU; front end {:.0f}/s, {:.2f} us\n",
               floors.requests_per_s, floors.cpu_us, ours.requests_per_s, ours.cpu_us);
    ratios.push_back(ours.cpu_us / floors.cpu_us);
  }
  std::sort(ratios.begin(), ratios.end());
  fmt::print("{} columns, {} connections: {:.3f}x the floor's CPU a request (median)\n", columns,
             connections, ratios[ratios.size() / 2]);
  std::filesystem::remove(script);
  return 0;
}

}  // namespace
}  // namespace batchwise::serve

int main(int argc, char** argv) {
  const auto argument = [&](int i, int otherwise) {
    return argc > i ? std::atoi(argv[i]) : otherwise;
  };
  return batchwise::serve::run(argument(1, 784), argument(2, 3), argument(3, 32), argument(4, 5));
}
