// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "batching/scheduler.h"
#include "batching/simulation_random.h"

namespace batchwise {

// A request that comes to a server.
struct Arrival {
  double at_us = 0;
  double timeout_us = kNever;  // after the arrival
  std::int32_t rows = 1, model = 0, shape = 0, client = 0, priority = 0;
};

// Requests of one kind in a workload.
struct RequestKind {
  double weight = 1;                         // its share of all requests, by the sum of weights
  std::int64_t rows_low = 1, rows_high = 1;  // evenly from here to there
  double timeout_us = kNever;
  std::int32_t model = 0, shape = 0, client = 0, priority = 0;
};

enum class ArrivalPattern { kPoisson, kBursty, kDiurnal };

struct ArrivalOptions {
  ArrivalPattern pattern = ArrivalPattern::kPoisson;
  double rate_per_s = 1;  // the mean
  std::int64_t requests = 0;
  std::vector<RequestKind> kinds{RequestKind{}};
  std::uint64_t seed = 0;
  // bursty: times without and with a burst alternate, of exponential length.
  double burst_rate = 4;     // in a burst, times the mean rate
  double burst_share = 0.1;  // of the time
  double burst_us = 50e3;    // the mean length of a burst
  // diurnal: the rate swings as a sine by this share of the mean; a day is a swing.
  double swing = 0.8;
  double day_us = 0;  // 0: as long as all requests take
};

// Arrivals one by one: Poisson, Poisson whose rate jumps (bursty) or swings (diurnal), or those of
// a list. The same for the same seed.
class ArrivalSource {
 public:
  // Throws Error{kInvalidInput} for rates, shares and rows that make no sense.
  explicit ArrivalSource(const ArrivalOptions& options);
  // Requires: times ascend.
  explicit ArrivalSource(std::vector<Arrival> list) : list_(std::move(list)), from_list_(true) {}

  // False once all have come.
  bool next(Arrival& arrival);

 private:
  void advance();
  void advance_bursty();
  void advance_diurnal();

  ArrivalOptions options_;
  std::vector<Arrival> list_;
  bool from_list_ = false;
  std::size_t given_ = 0;
  double now_us_ = 0, gap_us_ = 0, total_weight_ = 0;
  bool in_burst_ = false;
  double burst_end_us_ = 0;
  SimulationRandom random_{0};
};

// "poisson", "bursty" or "diurnal"; throws Error naming `where`.
ArrivalPattern parse_arrival_pattern(const std::string& name, const std::string& where);

// A CSV with a line of names: at_us, and any of rows, timeout_us, model, shape, client, priority.
// Lines that begin with # are passed over: a server's record has its models and batches there.
// Sorted by time. Throws Error{kInvalidInput} with the line.
std::vector<Arrival> read_arrivals(const std::string& path, const Arrival& defaults,
                                   std::int32_t num_models);

}  // namespace batchwise
