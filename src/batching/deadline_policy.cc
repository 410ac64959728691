// SPDX-License-Identifier: Apache-2.0
// The policy that knows what a batch costs and when answers are due.
//
// Each batch that could start now is worth
//     (1 - v) * answers  -  v * (expiries while it runs)  -  price * time
// where v, near 1 at low load and 0 under overload, is what a request is worth that is left for
// later, and the price is what the machine's time brings elsewhere: the score of a semi-Markov
// decision with a linear guess of what follows. Expiries are counted of those that wait and
// expected of those to come, by their recent rate and slack.
#include <algorithm>
#include <cmath>

#include "batching/policies.h"

namespace batchwise {
namespace {

// With nothing else coming, those who wait still go together.
constexpr double kMostWorthLater = 0.99;
// Under overload a model that had less than this part of an equal share of the machine goes first:
// cheap models would leave a dear one nothing, since its answers cost more.
constexpr double kLeastShare = 0.5;
// Below this load a request is run at once: nobody who would share its batch is near.
constexpr double kLoadToWait = 0.5;

class DeadlinePolicy {
 public:
  DeadlinePolicy(const QueueView& view, const SchedulerOptions& options, double now_us,
                 Decision& decision)
      : view_(view), options_(options), now_us_(now_us), decision_(decision) {}

  void run() {
    line_up();
    if (decision_.order.empty()) return;
    sort_lines();
    weigh_time();
    choose();
    if (best_.count == 0 || waits_for_company()) return;
    for (std::size_t i = best_.first; i < best_.first + best_.count; ++i) {
      add_piece(view_, decision_.order[i], best_.most, decision_);
    }
    finish_batch(view_, best_.reason, decision_);
  }

 private:
  struct Candidate {
    std::size_t first = 0, count = 0;  // in decision.order
    std::int64_t most = 0;             // rows that the batch may have
    double score = -kNever;
    double deadline_us = kNever;  // the earliest in the batch
    Reason reason = Reason::kNoGain;
  };

  const WaitingRequest& request(std::size_t i) const { return view_.waiting[decision_.order[i]]; }
  const CostCurve& curve(std::int32_t model) const {
    return view_.models[static_cast<std::size_t>(model)];
  }

  // The time of all of a request, with as large batches as memory ever allows.
  double alone_us(const WaitingRequest& r) const {
    return curve(r.model).safe_us_alone(r.rows,
                                        decision_.largest[static_cast<std::size_t>(r.model)]);
  }

  // Refuses what cannot be answered in time even alone. The rest is in order, with the latest
  // starts.
  void line_up() {
    decision_.order.clear();
    decision_.times.clear();
    decision_.largest.clear();
    for (const CostCurve& cost : view_.models) {
      decision_.largest.push_back(most_rows(cost, options_, view_.memory_bytes));
    }
    for (std::size_t i = 0; i < view_.waiting.size(); ++i) {
      const WaitingRequest& r = view_.waiting[i];
      const double start_us = r.deadline_us - alone_us(r);
      if (start_us < now_us_) {
        decision_.refused.push_back(i);
      } else {
        decision_.order.push_back(i);
        decision_.times.push_back(start_us);
      }
    }
    std::sort(decision_.times.begin(), decision_.times.end());
  }

  double client_us(const WaitingRequest& r) const {
    const auto client = static_cast<std::size_t>(r.client);
    return overloaded() && client < view_.client_us.size() ? view_.client_us[client] : 0;
  }
  bool overloaded() const {
    return view_.traffic != nullptr && view_.traffic->load(view_.instances) > 1;
  }

  // Lines of one model and shape each. In a line: what has started, then by priority, under
  // overload by what the client had, then by deadline and arrival.
  void sort_lines() {
    const bool fair = overloaded() && view_.client_us.size() > 1;
    std::sort(decision_.order.begin(), decision_.order.end(), [&](std::size_t a, std::size_t b) {
      const WaitingRequest &x = view_.waiting[a], &y = view_.waiting[b];
      if (x.model != y.model) return x.model < y.model;
      if (x.shape != y.shape) return x.shape < y.shape;
      if (x.started != y.started) return x.started;
      if (x.priority != y.priority) return x.priority < y.priority;
      if (fair && client_us(x) != client_us(y)) return client_us(x) < client_us(y);
      if (x.deadline_us != y.deadline_us) return x.deadline_us < y.deadline_us;
      return a < b;
    });
  }

  void weigh_time() {
    if (view_.traffic == nullptr) return;
    const double load = view_.traffic->load(view_.instances);
    worth_later_ = std::clamp(1 - load, 0.0, kMostWorthLater);
    const double rate = view_.traffic->rate();
    const double reward = load > 1 ? rate / load : rate;
    price_ = std::max(0.0, reward - worth_later_ * rate);
  }

  // Those that wait and expire while a batch runs until `free_us`, less those in it.
  double expiries(double free_us, std::size_t first, std::size_t count) const {
    const auto end = std::lower_bound(decision_.times.begin(), decision_.times.end(), free_us);
    auto lost = end - decision_.times.begin();
    for (std::size_t i = first; i < first + count && lost > 0; ++i) {
      const WaitingRequest& r = request(i);
      if (r.deadline_us - alone_us(r) < free_us) --lost;
    }
    return static_cast<double>(lost);
  }

  double score(std::size_t first, std::size_t count, double answers, double us) const {
    const double free_us = std::min(now_us_ + us, view_.other_free_us);
    const double blocked_us = std::max(0.0, free_us - now_us_);
    double lost = expiries(free_us, first, count);
    if (view_.traffic != nullptr) lost += view_.traffic->expected_expiries(blocked_us);
    return (1 - worth_later_) * answers - worth_later_ * lost - price_ * us / view_.instances;
  }

  // Tries all batches that begin with the `first` of a line that ends at `end`.
  void try_batches(std::size_t first, std::size_t end) {
    const CostCurve& cost = curve(request(first).model);
    const std::int64_t most = rows_now(view_, options_, request(first).model);
    Candidate candidate{first, 0, most, -kNever, kNever, Reason::kNoGain};
    std::int64_t rows = 0;
    double answers = 0;
    for (std::size_t i = first; i < end && rows < most; ++i) {
      const WaitingRequest& r = request(i);
      // What is split begins a batch, and its rest the next: nobody is kept half done.
      if (r.rows > most - rows && (r.rows <= most || i > first)) break;
      const std::int64_t part = std::min<std::int64_t>(r.rows, most - rows);
      const double us = cost.safe_us(rows + part);
      candidate.deadline_us = std::min(candidate.deadline_us, r.deadline_us);
      const double rest_us = part < r.rows ? cost.safe_us_alone(r.rows - part, most) : 0;
      if (now_us_ + us + rest_us > candidate.deadline_us) {
        limit_by_deadline(first);
        break;
      }
      rows += part;
      answers += part == r.rows ? 1 : static_cast<double>(part) / static_cast<double>(r.rows);
      ++candidate.count;
      candidate.score = score(first, candidate.count, answers, cost.us(rows));
      if (candidate.score > best_.score) {
        best_ = candidate;
        best_.reason = rows == most ? Reason::kFull : Reason::kNoGain;
      }
    }
  }

  void limit_by_deadline(std::size_t first) {
    if (best_.first == first && best_.count > 0) best_.reason = Reason::kDeadline;
  }

  // Of the models that wait, the one that had least, where it had too little; -1: none.
  std::int32_t starved_model(std::int32_t priority) const {
    if (!overloaded() || view_.model_us.size() < 2) return -1;
    double all_us = 0;
    int waiting = 0;
    std::int32_t least = -1;
    const auto had = [&](std::int32_t model) {
      return view_.model_us[static_cast<std::size_t>(model)];
    };
    // The order is by model, in which the highest priority of a shape comes first.
    std::int32_t last = -1;
    for (std::size_t i = 0; i < decision_.order.size(); ++i) {
      const std::int32_t model = request(i).model;
      if (model == last || request(i).priority != priority) continue;
      last = model;
      ++waiting;
      all_us += had(model);
      if (least < 0 || had(model) < had(least)) least = model;
    }
    return had(least) < kLeastShare * all_us / waiting ? least : -1;
  }

  // The best over all lines with the highest class that waits. Those passed over wait on, as long
  // as they can be answered.
  void choose() {
    std::int32_t priority = request(0).priority;
    bool started = false;
    for (std::size_t i = 0; i < decision_.order.size(); ++i) {
      priority = std::min(priority, request(i).priority);
      started = started || request(i).started;
    }
    const std::int32_t starved = started ? -1 : starved_model(priority);
    try_lines(priority, started, starved);
    // Memory may forbid it for now.
    if (starved >= 0 && best_.count == 0) try_lines(priority, started, -1);
  }

  // Those of one model alone, where it is not -1.
  void try_lines(std::int32_t priority, bool started, std::int32_t only_model) {
    std::size_t end = 0;
    for (std::size_t begin = 0; begin < decision_.order.size(); begin = end) {
      end = begin + 1;
      while (end < decision_.order.size() && share_batch(request(begin), request(end))) ++end;
      const bool high = started ? request(begin).started : request(begin).priority == priority;
      const bool may_go = only_model < 0 || request(begin).model == only_model;
      if (high && may_go) try_line(begin, end);
    }
  }

  // Under overload those whose time is nearly over would make all batches small: for each of some
  // sizes the batch is tried that begins with the first whose deadline leaves time for it.
  void try_line(std::size_t begin, std::size_t end) {
    const WaitingRequest& head = request(begin);
    try_batches(begin, end);
    if (head.started || best_reaches(end)) return;
    const CostCurve& cost = curve(head.model);
    const std::int64_t most = rows_now(view_, options_, head.model);
    std::size_t first = begin;
    for (std::int64_t rows = 1; rows < most; rows += (rows + 2) / 3) {
      const double until_us = now_us_ + cost.safe_us(std::min(most, rows + (rows + 2) / 3));
      std::size_t next = first;
      while (next < end && request(next).deadline_us < until_us) ++next;
      if (next == end || request(next).priority != head.priority) break;
      if (next > first) try_batches(next, end);
      first = next;
    }
  }
  bool best_reaches(std::size_t end) const {
    return best_.count > 0 && best_.first + best_.count == end;
  }

  // Waits for the next arrival where sharing the batch is expected to save more than it costs, and
  // never beyond the time at which the batch, with one row more, can still be answered in time.
  bool waits_for_company() {
    if (!options_.may_wait || view_.traffic == nullptr) return false;
    const Traffic& traffic = *view_.traffic;
    if (traffic.load(view_.instances) < kLoadToWait || !decision_holds_all()) return false;
    const CostCurve& cost = curve(request(best_.first).model);
    std::int64_t rows = 0;
    for (std::size_t i = best_.first; i < best_.first + best_.count; ++i) rows += request(i).rows;
    if (rows + 1 > best_.most) return false;
    const double saved_us = cost.us(rows) + cost.us(1) - cost.us(rows + 1);
    const double last_start_us = best_.deadline_us - cost.safe_us(rows + 1);
    // Of the last arrival: where nobody came since, nobody may come, and waiting again and again
    // for as long would end at the deadline.
    const double until_us = std::min(traffic.last_arrival_us + 2 * traffic.gap_us, last_start_us);
    const double cost_us = 2 * traffic.gap_us * static_cast<double>(rows);
    if (saved_us * std::min(1.0, traffic.load(view_.instances)) < cost_us || until_us <= now_us_) {
      return false;
    }
    decision_.wait_until_us = until_us;
    decision_.reason = Reason::kForCompany;
    return true;
  }
  bool decision_holds_all() const { return best_.count == decision_.order.size(); }

  const QueueView& view_;
  const SchedulerOptions& options_;
  const double now_us_;
  Decision& decision_;
  Candidate best_;
  double worth_later_ = kMostWorthLater;  // of a request that is not answered by this batch
  double price_ = 0;                      // of a microsecond
};

}  // namespace

void decide_deadline(const QueueView& view, const SchedulerOptions& options, double now_us,
                     Decision& decision) {
  DeadlinePolicy(view, options, now_us, decision).run();
}

}  // namespace batchwise
