// SPDX-License-Identifier: Apache-2.0
#include "batching/simulator.h"

#include <algorithm>
#include <array>
#include <queue>

#include "base/check.h"
#include "batching/replica.h"

namespace batchwise {
namespace {

constexpr std::array<const char*, 4> kBalancers{"round-robin", "random", "two-choices",
                                                "least-outstanding"};

void check(const SimulationOptions& options) {
  check_scheduler_options(options.scheduler);
  if (options.models.empty()) fail_input("simulate", "there is no model");
  if (options.instances < 1 || options.instances > 1024) {
    fail_input("instances", "{} is not from 1 to 1024", options.instances);
  }
  if (options.replicas < 1 || options.replicas > 100'000) {
    fail_input("replicas", "{} is not from 1 to 100000", options.replicas);
  }
  for (const CostCurve& curve : options.models) {
    if (options.memory_bytes == kNoLimit || curve.rows_within_bytes(options.memory_bytes) > 0) {
      continue;
    }
    throw Error(ErrorCode::kNo, fmt::format("[simulate] one row needs {} bytes, the limit is {}",
                                            curve.bytes(1), options.memory_bytes));
  }
}

// What happens next to a replica: a batch ends, or it wanted to look again.
struct Event {
  double at_us = 0;
  std::int64_t number = 0;  // in the order they were made: decides between equal times
  int replica = 0;
  int batch = -1;  // in the pool; -1: look again

  bool operator>(const Event& other) const {
    return at_us != other.at_us ? at_us > other.at_us : number > other.number;
  }
};

class Simulation {
 public:
  Simulation(const SimulationOptions& options, ArrivalSource arrivals)
      : options_(options), arrivals_(std::move(arrivals)), random_(options.seed + 1) {
    check(options);
    for (int i = 0; i < options.replicas; ++i) replicas_.emplace_back(options_, i);
  }

  SimulationResult run() {
    Arrival arrival;
    bool more = arrivals_.next(arrival);
    const double first_us = more ? arrival.at_us : 0;
    while (more || !events_.empty()) {
      if (!events_.empty() && (!more || events_.top().at_us <= arrival.at_us)) {
        handle_event();
        continue;
      }
      arrive(arrival);
      more = arrivals_.next(arrival);
    }
    result_.seconds = (now_us_ - first_us) / 1e6;
    summarize();
    return result_;
  }

 private:
  void arrive(const Arrival& arrival) {
    check_stop();
    BW_CHECK(arrival.at_us >= now_us_ || result_.requests == 0, "arrivals go back in time");
    now_us_ = arrival.at_us;
    const std::int64_t id = result_.requests++;
    const int replica = choose_replica();
    if (!replicas_[static_cast<std::size_t>(replica)].arrive(arrival, id)) {
      ++result_.refused;
      return;
    }
    start_batches(replica);
  }

  void check_stop() const {
    constexpr std::int64_t kAskEach = 1 << 16;
    if (result_.requests % kAskEach != 0 || !options_.should_stop || !options_.should_stop())
      return;
    throw Error(ErrorCode::kInterrupted, "[simulate] interrupted");
  }

  int choose_replica() {
    const int count = options_.replicas;
    if (count == 1) return 0;
    switch (options_.balancer) {
      case Balancer::kRoundRobin:
        return static_cast<int>((result_.requests - 1) % count);
      case Balancer::kRandom:
        return pick();
      case Balancer::kTwoChoices: {
        const int a = pick(), b = pick();
        return outstanding(b) < outstanding(a) ? b : a;
      }
      case Balancer::kLeastOutstanding:
        break;
    }
    // Ties go round, or the first replicas would get all of a light load.
    const int offset = static_cast<int>((result_.requests - 1) % count);
    int best = offset;
    for (int i = 1; i < count; ++i) {
      const int candidate = (offset + i) % count;
      if (outstanding(candidate) < outstanding(best)) best = candidate;
    }
    return best;
  }
  int pick() { return static_cast<int>(random_.integer(0, options_.replicas - 1)); }
  std::int64_t outstanding(int replica) const {
    return replicas_[static_cast<std::size_t>(replica)].outstanding();
  }

  void handle_event() {
    const Event event = events_.top();
    events_.pop();
    Replica& replica = replicas_[static_cast<std::size_t>(event.replica)];
    if (event.batch < 0) {
      // Of a wish that was overtaken nothing is left to do.
      if (replica.wake_us() != event.at_us) return;
      now_us_ = event.at_us;
    } else {
      now_us_ = event.at_us;
      finish(replica, batches_[static_cast<std::size_t>(event.batch)]);
      free_batches_.push_back(event.batch);
    }
    start_batches(event.replica);
  }

  void finish(Replica& replica, const RunningBatch& batch) {
    replica.finish(batch);
    for (const RunningPiece& piece : batch.pieces) {
      if (!piece.whole && !replica.finish_part(piece)) continue;
      ++result_.answered;
      if (now_us_ > piece.deadline_us) ++result_.late;
      latencies_us_.push_back(static_cast<float>(now_us_ - piece.arrival_us));
      result_.mean_us += now_us_ - piece.arrival_us;
    }
  }

  void start_batches(int number) {
    Replica& replica = replicas_[static_cast<std::size_t>(number)];
    while (true) {
      if (free_batches_.empty()) {
        free_batches_.push_back(static_cast<int>(batches_.size()));
        batches_.emplace_back();
      }
      const int slot = free_batches_.back();
      RunningBatch& batch = batches_[static_cast<std::size_t>(slot)];
      const bool started = replica.start_batch(now_us_, batch);
      result_.refused += replica.num_refused();
      if (!started) break;
      free_batches_.pop_back();
      run_batch(number, slot);
    }
    if (replica.wake_us() < kNever) add_event({replica.wake_us(), 0, number, -1});
  }

  void run_batch(int number, int slot) {
    RunningBatch& batch = batches_[static_cast<std::size_t>(slot)];
    const CostCurve& curve = options_.models[static_cast<std::size_t>(batch.model)];
    double us = curve.us(batch.rows);
    if (options_.vary_times) {
      const double low = curve.low_us(batch.rows), high = curve.safe_us(batch.rows);
      us = low + (high - low) * random_.uniform();
    }
    batch.end_us = now_us_ + us;
    ++result_.batches;
    result_.batch_rows += batch.rows;
    result_.padded_rows += curve.run_rows(batch.rows) - batch.rows;
    result_.busy_us += us;
    add_event({batch.end_us, 0, number, slot});
  }

  void add_event(Event event) {
    event.number = num_events_++;
    events_.push(event);
  }

  void summarize() {
    BW_CHECK(result_.answered + result_.refused == result_.requests,
             "{} requests, {} answered, {} refused", result_.requests, result_.answered,
             result_.refused);
    if (latencies_us_.empty()) return;
    result_.mean_us /= static_cast<double>(latencies_us_.size());
    result_.p50_us = quantile(0.5);
    result_.p90_us = quantile(0.9);
    result_.p99_us = quantile(0.99);
    result_.max_us = *std::max_element(latencies_us_.begin(), latencies_us_.end());
  }
  // The smallest latency that at least this share does not exceed.
  double quantile(double share) {
    const auto count = static_cast<double>(latencies_us_.size());
    const auto rank = static_cast<std::ptrdiff_t>(std::max(1.0, std::ceil(share * count))) - 1;
    std::nth_element(latencies_us_.begin(), latencies_us_.begin() + rank, latencies_us_.end());
    return latencies_us_[static_cast<std::size_t>(rank)];
  }

  const SimulationOptions& options_;
  ArrivalSource arrivals_;
  SimulationRandom random_;
  std::vector<Replica> replicas_;
  std::priority_queue<Event, std::vector<Event>, std::greater<>> events_;
  std::int64_t num_events_ = 0;
  std::vector<RunningBatch> batches_;
  std::vector<int> free_batches_;
  std::vector<float> latencies_us_;
  double now_us_ = 0;
  SimulationResult result_;
};

}  // namespace

Balancer parse_balancer(const std::string& name, const std::string& where) {
  for (std::size_t i = 0; i < kBalancers.size(); ++i) {
    if (name == kBalancers[i]) return static_cast<Balancer>(i);
  }
  fail_input(where, "{} is unknown; there are {}", name, fmt::join(kBalancers, ", "));
}

SimulationResult simulate(const SimulationOptions& options, ArrivalSource arrivals) {
  return Simulation(options, std::move(arrivals)).run();
}

}  // namespace batchwise
