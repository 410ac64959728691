// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "cli/arguments.h"
#include "cli/progress.h"

namespace batchwise {
namespace {

[[noreturn]] void fail_flag(const std::string& flag, const std::string& text, const char* hint) {
  throw Error(ErrorCode::kInvalidInput, fmt::format("[{}] cannot read '{}'", flag, text), hint);
}

double parse_us(const std::string& text, const std::string& flag) {
  return text.empty() ? 0 : parse_duration(text, flag) * 1e6;
}

// "2ms,20ms"
std::vector<double> parse_us_list(const std::string& text, const std::string& flag) {
  std::vector<double> found;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    found.push_back(parse_us(text.substr(at, end - at), flag));
    if (!(found.back() > 0)) fail_flag(flag, text, "write 20ms, or 2ms,20ms");
    at = end + 1;
  }
  return found;
}

// The flags whose words need reading.
struct Words {
  std::string rate, rows = "1", deadlines = "100ms", max_batch, preferred, queue_delay,
                    queue_timeout, at_timeout = "reject", latency_target, memory_limit;
};

void add_load_flags(CLI::App& app, SimulateSettings& settings, Words& words) {
  app.add_option("--profile", settings.profiles,
                 "times of batch sizes, as study.json has them; several for several models")
      ->type_name("FILE")
      ->required();
  app.add_option("--rate", words.rate, "requests a second, on average: 500/s")->type_name("RATE");
  app.add_option("--arrivals", settings.arrivals,
                 "poisson, bursty, diurnal, or a .csv with at_us, rows, timeout_us, model, shape, "
                 "client, priority")
      ->type_name("NAME|FILE");
  app.add_option("--requests", settings.requests, "how many; default 100000")->type_name("N");
  app.add_option("--rows", words.rows, "of a request: 4, or evenly 1..16; default 1")
      ->type_name("N");
  app.add_option(
         "--p99,--deadline", words.deadlines,
         "when an answer is due after the arrival; of 2ms,20ms each as often; default 100ms")
      ->type_name("TIME");
}

void add_server_flags(CLI::App& app, SimulateSettings& settings, Words& words) {
  app.add_option("--policy", settings.policy,
                 "deadline, delay (Triton's), greedy, aimd (Clipper's), adaptive (BentoML's)")
      ->type_name("NAME");
  app.add_option("--max-batch", words.max_batch, "rows; default: all that was measured")
      ->type_name("N");
  app.add_option("--preferred-size", words.preferred, "delay: sizes that run at once")
      ->type_name("LIST");
  app.add_option("--queue-delay", words.queue_delay, "delay: how long to wait for company")
      ->type_name("TIME");
  app.add_option("--queue-timeout", words.queue_timeout, "delay: how long a request may wait")
      ->type_name("TIME");
  app.add_option("--at-timeout", words.at_timeout, "delay: reject, or delay behind all others")
      ->type_name("NAME");
  app.add_option("--max-queue", settings.max_queue, "requests that may wait; default: any")
      ->type_name("N");
  app.add_option("--latency-target", words.latency_target,
                 "aimd: of a batch; adaptive: of a request; default: the deadline")
      ->type_name("TIME");
  app.add_option("--instances", settings.instances, "batches at once in a replica; default 1")
      ->type_name("N");
  app.add_option("--replicas", settings.replicas, "servers behind a balancer; default 1")
      ->type_name("N");
  app.add_option("--balancer", settings.balancer,
                 "least-outstanding, round-robin, random, two-choices")
      ->type_name("NAME");
  app.add_option("--memory-limit", words.memory_limit, "for a replica's batches; default: none")
      ->type_name("SIZE");
  app.add_flag("--vary-times", settings.vary_times,
               "batches take any time of their interval; default: the median");
}

void read_words(const Words& words, SimulateSettings& settings) {
  const bool from_file = settings.arrivals.ends_with(".csv");
  if (from_file != words.rate.empty()) {
    throw Error(
        ErrorCode::kInvalidInput,
        from_file ? "[--rate] the arrivals of a file have their own" : "[--rate] is missing",
        from_file ? "leave it out" : "write --rate 500/s");
  }
  if (!from_file) settings.rate_per_s = parse_rate(words.rate);
  parse_rows(words.rows, settings.rows_low, settings.rows_high);
  settings.deadlines_us = parse_us_list(words.deadlines, "--p99");
  if (!words.max_batch.empty()) settings.max_batch = parse_count(words.max_batch, "--max-batch");
  if (!words.preferred.empty()) {
    settings.preferred_sizes = parse_count_list(words.preferred, "--preferred-size");
  }
  settings.queue_delay_us = parse_us(words.queue_delay, "--queue-delay");
  settings.queue_timeout_us = parse_us(words.queue_timeout, "--queue-timeout");
  if (words.at_timeout != "reject" && words.at_timeout != "delay") {
    fail_flag("--at-timeout", words.at_timeout, "there are reject and delay");
  }
  settings.delay_at_timeout = words.at_timeout == "delay";
  settings.latency_target_us = parse_us(words.latency_target, "--latency-target");
  if (!words.memory_limit.empty()) {
    settings.memory_limit_bytes = parse_size(words.memory_limit, "--memory-limit");
  }
}

void print_report(const SimulateReport& r) {
  fmt::print("{} requests, {:.0f} a second: {} answered, {} of them late, {} refused\n", r.requests,
             r.requests_per_s, r.answered, r.late, r.refused);
  fmt::print("in time {:.0f} a second; latency p50 {:.0f}, p90 {:.0f}, p99 {:.0f} us\n",
             r.goodput_per_s, r.p50_us, r.p90_us, r.p99_us);
  fmt::print("mean batch {:.2f} rows, {:.1f} % of rows padded, instances busy {:.0f} %\n",
             r.mean_batch, 100 * r.padded_share, 100 * r.busy_share);
}

}  // namespace

int run_simulate(const Command& self, std::vector<std::string> words) {
  Arguments arguments(self);
  SimulateSettings settings;
  Words read;
  add_load_flags(arguments.app(), settings, read);
  add_server_flags(arguments.app(), settings, read);
  arguments.add_seed();
  if (!arguments.parse(std::move(words))) return 0;
  read_words(read, settings);
  settings.seed = arguments.seed();
  const SimulateReport report = simulate_serving(settings, interrupted);
  if (arguments.wants_json()) {
    arguments.write_json(to_json(report));
  } else {
    print_report(report);
  }
  return 0;
}

}  // namespace batchwise
