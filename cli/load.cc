// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "cli/arguments.h"
#include "cli/progress.h"

namespace batchwise {
namespace {

// The flags whose words need reading.
struct Words {
  std::string rate, rows = "1", duration = "10s", warmup = "1s", timeout, limit;
};

void add_server_flags(CLI::App& app, LoadSettings& settings) {
  app.add_option("url", settings.url,
                 "the server: http://127.0.0.1:8000, https://..., grpc://..., unix:/path, or "
                 "host:port")
      ->type_name("URL")
      ->required();
  app.add_option("--model", settings.model, "its name at the server")
      ->type_name("NAME")
      ->required();
  app.add_option("--model-version", settings.version, "default: the newest")->type_name("N");
  app.add_flag("--grpc", settings.grpc, "host:port speaks gRPC");
  app.add_option("--encoding", settings.encoding, "of tensors over HTTP: binary (default), json")
      ->type_name("NAME");
  app.add_option("--api-key", settings.api_key, "sent as Authorization: Bearer KEY")
      ->type_name("KEY");
  app.add_option("--ca", settings.ca_file, "certificates to trust, PEM; default: the system's")
      ->type_name("FILE");
  app.add_flag("--insecure", settings.insecure, "trust any certificate");
  app.add_option("--connections", settings.connections,
                 "at most; default: the concurrency, or 512 in an open loop")
      ->type_name("N");
}

void add_load_flags(CLI::App& app, LoadSettings& settings, Words& words) {
  app.add_option("--concurrency", settings.concurrency,
                 "closed loop: so many requests at any time; default 1")
      ->type_name("N");
  app.add_option("--rate", words.rate,
                 "open loop: requests a second, whatever the server does: 500/s")
      ->type_name("RATE");
  app.add_option("--arrivals", settings.arrivals,
                 "of the rate: poisson (default), bursty, diurnal; or a .csv with at_us, rows, "
                 "timeout_us")
      ->type_name("NAME|FILE");
  app.add_option("--scenario", settings.scenario,
                 "of MLPerf LoadGen: single-stream, multi-stream, server, offline")
      ->type_name("NAME");
  app.add_flag("--find-rate", settings.find_rate,
               "search the highest rate at which 99 % are answered within --p99");
  app.add_option("--duration", words.duration, "of what is measured; default 10s")
      ->type_name("TIME");
  app.add_option("--warmup", words.warmup, "before it; default 1s")->type_name("TIME");
  app.add_option("--requests", settings.requests, "so many, instead of a duration")->type_name("N");
}

void add_request_flags(CLI::App& app, LoadSettings& settings, Words& words) {
  app.add_option("--rows", words.rows, "of a request: 4, or evenly 1..16; default 1")
      ->type_name("N");
  app.add_option("--timeout", words.timeout, "sent with each request; later answers are late")
      ->type_name("TIME");
  app.add_option("--p99", words.limit, "an answer later than this is late; default: the timeout")
      ->type_name("TIME");
  app.add_option("--data", settings.data, "samples to send; default: random ones")
      ->type_name("DATA");
  app.add_option("--label", settings.label, "the data's label, which is not sent")
      ->type_name("NAME");
  app.add_option("--check", settings.expected_outputs,
                 "outputs of predict for the data: compare the bits of every reply")
      ->type_name("FILE");
  app.add_option("--check-model", settings.expected_model,
                 "a model to predict with here: compare the bits of every reply")
      ->type_name("MODEL");
  app.add_option("--output", settings.output_name, "the output to compare; default: the first")
      ->type_name("NAME");
}

// None is one here.
double read_time(const std::string& text, const std::string& flag) {
  return text.empty() || text == "0" || text == "0s" ? 0 : parse_duration(text, flag);
}

void read_words(const Words& words, LoadSettings& settings) {
  if (!words.rate.empty()) settings.rate_per_s = parse_rate(words.rate);
  parse_rows(words.rows, settings.rows_low, settings.rows_high);
  settings.duration_s = read_time(words.duration, "--duration");
  settings.warmup_s = read_time(words.warmup, "--warmup");
  settings.timeout_us = 1e6 * read_time(words.timeout, "--timeout");
  settings.limit_us = 1e6 * read_time(words.limit, "--p99");
}

std::string milliseconds(double us) { return fmt::format("{:.3f} ms", us / 1e3); }

void print_report(const LoadReport& r) {
  for (const RateTrial& trial : r.trials) {
    fmt::print("{:>12.1f}/s  {:>8} requests, {:>6} not in time, p99 {:>12}  {}\n", trial.rate_per_s,
               trial.requests, trial.not_in_time, milliseconds(trial.p99_us), trial.verdict);
  }
  if (r.found_rate_per_s > 0) {
    fmt::print("the highest rate that holds: {:.1f} requests/s\n\n", r.found_rate_per_s);
  }
  const auto row = [](const char* name, const std::string& value) {
    fmt::print("{:<14}{}\n", name, value);
  };
  row("requests",
      fmt::format("{} in {:.2f} s: {} answered, {} of them late; {} refused, {} failed, "
                  "{} lost",
                  r.requests, r.seconds, r.answered, r.late, r.refused, r.failed, r.lost));
  row("answers", fmt::format("{:.1f}/s, in time {:.1f}/s, rows {:.1f}/s", r.requests_per_s,
                             r.goodput_per_s, r.rows_per_s));
  row("latency", fmt::format("p50 {}, p90 {}, p99 {}, p99.9 {}, worst {}", milliseconds(r.p50_us),
                             milliseconds(r.p90_us), milliseconds(r.p99_us),
                             milliseconds(r.p999_us), milliseconds(r.max_us)));
  if (r.mean_batch > 0) row("mean batch", fmt::format("{:.2f} rows", r.mean_batch));
  if (r.checked > 0) {
    row("checked", fmt::format("{} replies, {} with other bits", r.checked, r.differing));
  }
  row("this client", fmt::format("{:.1f} us of CPU a request, p99 sent {:.0f} us after it was due",
                                 r.client_cpu_us, r.send_lag_p99_us));
  if (!r.scenario.empty()) {
    row(r.scenario.c_str(), fmt::format("{} {:.1f}", r.metric, r.metric_value));
  }
}

// The answer "no", where the load did not go as it should.
void judge(const LoadReport& r, const LoadSettings& settings) {
  if (r.interrupted) {
    throw Error(ErrorCode::kInterrupted,
                fmt::format("[load] interrupted after {:.1f} s", r.seconds));
  }
  if (r.server_is_gone) {
    throw Error(ErrorCode::kEnvironment, fmt::format("[{}] {}", settings.url, r.first_fault));
  }
  if (r.differing > 0) {
    throw Error(ErrorCode::kNo,
                fmt::format("[--check] {} of {} replies have other bits", r.differing, r.checked));
  }
  if (r.failed + r.lost > 0) {
    throw Error(ErrorCode::kNo, fmt::format("[load] of {} requests {} failed, {} were lost: {}",
                                            r.requests, r.failed, r.lost, r.first_fault));
  }
}

bool show(Progress& progress, const LoadStatus& status) {
  const bool by_time = status.of_seconds > 0;
  const auto done = by_time ? static_cast<std::int64_t>(status.seconds * 1e3) : status.requests;
  const auto of = by_time ? static_cast<std::int64_t>(status.of_seconds * 1e3) : status.of_requests;
  progress.show(std::min(done, of), of,
                fmt::format("{} {:.0f} answers/s", status.phase, status.requests_per_s));
  return !interrupted();
}

}  // namespace

int run_load(const Command& self, std::vector<std::string> words) {
  Arguments arguments(self);
  LoadSettings settings;
  Words read;
  add_server_flags(arguments.app(), settings);
  add_load_flags(arguments.app(), settings, read);
  add_request_flags(arguments.app(), settings, read);
  arguments.add_seed();
  if (!arguments.parse(std::move(words))) return 0;
  read_words(read, settings);
  settings.seed = arguments.seed();
  LoadReport report;
  {
    Progress progress(arguments.quiet());
    report = send_load(settings, [&](const LoadStatus& status) { return show(progress, status); });
  }
  if (arguments.wants_json()) {
    arguments.write_json(to_json(report));
  } else {
    print_report(report);
  }
  judge(report, settings);
  return 0;
}

}  // namespace batchwise
