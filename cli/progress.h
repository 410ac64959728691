// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <chrono>
#include <cstdint>
#include <string>

namespace batchwise {

// What long work shows on standard error: a bar on a terminal, a line now and then elsewhere,
// nothing where it is quiet. Not thread-safe.
class Progress {
 public:
  explicit Progress(bool quiet);
  ~Progress();
  // `detail` stands behind the bar.
  void show(std::int64_t done, std::int64_t of, const std::string& detail);
  // A line that stays.
  void line(const std::string& text);

  // Takes the bar away.
  void clear();

 private:
  bool quiet_, terminal_, drawn_ = false;
  std::chrono::steady_clock::time_point last_, start_;
};

// Ctrl-C and SIGTERM ask for a clean stop; a second one ends the process at once.
void catch_interrupts();
bool interrupted();

}  // namespace batchwise
