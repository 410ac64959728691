// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdio>

#include "cli/arguments.h"
#include "cli/progress.h"

namespace batchwise {
namespace {

// The flags whose words need reading.
struct Words {
  std::string p99, max_batch, preferred, queue_delay, queue_timeout, at_timeout = "reject";
  std::string max_body, poll;
};

void add_model_flags(CLI::App& app, ServeSettings& settings) {
  app.add_option("model,--model", settings.models, "ONNX files; NAME=FILE for another name")
      ->type_name("MODEL");
  app.add_option("--models", settings.folder, "a repository: NAME/1/model.onnx, or NAME.onnx")
      ->type_name("DIR");
}

void add_listen_flags(CLI::App& app, ServeSettings& settings, Words& words) {
  app.add_option("--http", settings.http,
                 "where to listen; default 127.0.0.1:8000; also unix:/path, or none")
      ->type_name("ADDRESS");
  app.add_option("--grpc", settings.grpc, "where to listen: 127.0.0.1:8001; default: not")
      ->type_name("ADDRESS");
  app.add_flag("--allow-remote", settings.allow_remote, "addresses that others can reach");
  app.add_option("--api-keys", settings.api_keys, "a key a line; only who has one is answered")
      ->type_name("FILE");
  app.add_option("--tls-certificate", settings.tls_certificate, "PEM")->type_name("FILE");
  app.add_option("--tls-key", settings.tls_key, "PEM")->type_name("FILE");
  app.add_option("--max-body", words.max_body, "of a request; default 64MiB")->type_name("SIZE");
  app.add_option("--max-connections", settings.max_connections, "default 12000")->type_name("N");
  app.add_option("--io-threads", settings.io_threads, "of a protocol; default 1")->type_name("N");
}

void add_batching_flags(CLI::App& app, ServeSettings& settings, Words& words) {
  app.add_option("--p99,--deadline", words.p99,
                 "when an answer is due, unless a client says sooner; default 100ms")
      ->type_name("TIME");
  app.add_option("--policy", settings.policy,
                 "deadline, delay (Triton's), greedy, aimd (Clipper's), adaptive (BentoML's)")
      ->type_name("NAME");
  app.add_option("--profile", settings.profile, "times of batch sizes, as study.json has them")
      ->type_name("FILE");
  app.add_option("--max-batch", words.max_batch, "rows; default: by cost")->type_name("N");
  app.add_option("--max-request-rows", settings.max_request_rows,
                 "larger requests are refused; default 4096")
      ->type_name("N");
  app.add_option("--max-queue", settings.max_queue, "requests that may wait; default 4096")
      ->type_name("N");
  app.add_option("--preferred-size", words.preferred, "delay: sizes that run at once")
      ->type_name("LIST");
  app.add_option("--queue-delay", words.queue_delay, "delay: how long to wait for company")
      ->type_name("TIME");
  app.add_option("--queue-timeout", words.queue_timeout, "delay: how long a request may wait")
      ->type_name("TIME");
  app.add_option("--at-timeout", words.at_timeout, "delay: reject, or delay behind all others")
      ->type_name("NAME");
  app.add_option("--instances", settings.instances, "batches at once; default 1")->type_name("N");
}

void add_other_flags(CLI::App& app, ServeSettings& settings, Words& words, std::string& config) {
  app.add_option("--config", config, "a TOML file with any of these flags")->type_name("FILE");
  app.add_option("--record", settings.record,
                 "writes what arrives and runs, for simulate --arrivals")
      ->type_name("FILE.csv");
  app.add_option("--poll", words.poll, "how often models' files are looked at; 0: never; 1s")
      ->type_name("TIME");
  app.add_option("--log-level", settings.log_level, "debug, info, warning, error, off")
      ->type_name("NAME");
}

double parse_us(const std::string& text, const std::string& flag) {
  return text.empty() ? 0 : parse_duration(text, flag) * 1e6;
}

void read_words(const Words& words, ServeSettings& settings) {
  if (!words.p99.empty()) settings.p99_us = parse_us(words.p99, "--p99");
  if (!words.max_batch.empty()) settings.max_batch = parse_count(words.max_batch, "--max-batch");
  if (!words.preferred.empty()) {
    settings.preferred_sizes = parse_count_list(words.preferred, "--preferred-size");
  }
  settings.queue_delay_us = parse_us(words.queue_delay, "--queue-delay");
  settings.queue_timeout_us = parse_us(words.queue_timeout, "--queue-timeout");
  if (words.at_timeout != "reject" && words.at_timeout != "delay") {
    throw Error(ErrorCode::kInvalidInput,
                fmt::format("[--at-timeout] '{}' is none", words.at_timeout),
                "there are reject and delay");
  }
  settings.delay_at_timeout = words.at_timeout == "delay";
  if (!words.max_body.empty()) settings.max_body_bytes = parse_size(words.max_body, "--max-body");
  if (words.poll == "0") {
    settings.poll_files_s = 0;
  } else if (!words.poll.empty()) {
    settings.poll_files_s = parse_duration(words.poll, "--poll");
  }
  if (settings.http == "none") settings.http.clear();
}

// True where the words have this flag already: what is typed goes before what the file says.
bool has_flag(const std::vector<std::string>& words, const std::string& flag) {
  return std::any_of(words.begin(), words.end(), [&](const std::string& word) {
    return word == flag || word.starts_with(flag + "=");
  });
}

// The words with those of the file that --config names put in front.
std::vector<std::string> with_config(const std::vector<std::string>& words) {
  std::string path;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "--config" && i + 1 < words.size()) path = words[i + 1];
    if (words[i].starts_with("--config=")) path = words[i].substr(9);
  }
  if (path.empty()) return words;
  std::vector<std::string> all;
  for (const ServeFlag& flag : read_serve_config(path)) {
    const std::string name = "--" + flag.name;
    if (flag.name != "model" && has_flag(words, name)) continue;
    if (flag.values.empty()) all.push_back(name);
    for (const std::string& value : flag.values) {
      all.push_back(flag.name == "model" ? value : fmt::format("{}={}", name, value));
    }
  }
  all.insert(all.end(), words.begin(), words.end());
  return all;
}

void print_ready(const ServeAddresses& addresses) {
  std::string where;
  if (!addresses.http.empty()) where += " http " + addresses.http;
  if (!addresses.grpc.empty()) where += " grpc " + addresses.grpc;
  fmt::print("ready:{}, serving {}\n", where, fmt::join(addresses.models, ", "));
  std::fflush(stdout);
}

std::string to_json(const ServeAddresses& addresses) {
  return fmt::format(R"({{"http": "{}", "grpc": "{}", "models": {}}})", addresses.http,
                     addresses.grpc, addresses.models.size());
}

}  // namespace

int run_serve(const Command& self, std::vector<std::string> words) {
  Arguments arguments(self);
  ServeSettings settings;
  Words read;
  std::string config;
  add_model_flags(arguments.app(), settings);
  add_listen_flags(arguments.app(), settings, read);
  add_batching_flags(arguments.app(), settings, read);
  add_other_flags(arguments.app(), settings, read, config);
  arguments.add_resources();
  if (!arguments.parse(with_config(words))) return 0;
  read_words(read, settings);
  const bool automatic_threads = !arguments.has_threads();
  settings.resources = arguments.resources(false);
  if (automatic_threads) settings.resources.threads = 0;
  if (arguments.quiet()) settings.log_level = "off";
  serve_models(
      settings,
      [&](const ServeAddresses& addresses) {
        if (arguments.wants_json()) {
          arguments.write_json(to_json(addresses));
          std::fflush(stdout);
        } else {
          print_ready(addresses);
        }
      },
      interrupted);
  return 0;
}

}  // namespace batchwise
