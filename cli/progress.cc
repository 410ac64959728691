// SPDX-License-Identifier: Apache-2.0
#include "cli/progress.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>

namespace batchwise {
namespace {

volatile sig_atomic_t g_interrupted = 0;
constexpr int kMaxBarWidth = 24;

// Asked each time: a window may be resized.
std::size_t terminal_columns() {
  winsize size{};
  const bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
  return known ? size.ws_col : 80;
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = [](int) { g_interrupted = 1; };
  action.sa_flags = SA_RESETHAND | SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return g_interrupted != 0; }

Progress::Progress(bool quiet)
    : quiet_(quiet),
      terminal_(isatty(STDERR_FILENO) == 1),
      last_(std::chrono::steady_clock::now()),
      start_(last_) {}

Progress::~Progress() { clear(); }

void Progress::clear() {
  if (drawn_) fmt::print(stderr, "\r\033[K");
  drawn_ = false;
}

void Progress::show(std::int64_t done, std::int64_t of, const std::string& detail) {
  if (quiet_) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - last_ < (terminal_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(10000)))
    return;
  last_ = now;
  const double share = of > 0 ? static_cast<double>(done) / static_cast<double>(of) : 0;
  if (!terminal_) {
    fmt::print(stderr, "{} of {} ({:.0f} %) {}\n", done, of, 100 * share, detail);
    return;
  }
  // In a narrow terminal the words need the room more than the bar.
  const std::size_t columns = terminal_columns();
  const int width = std::min(kMaxBarWidth, static_cast<int>(columns / 3) - 6);
  std::string line;
  if (width > 0) {
    const int filled = std::clamp(static_cast<int>(share * width), 0, width);
    line = fmt::format("[{:=<{}}{:{}}] ", "", filled, "", width - filled);
  }
  line += fmt::format("{:3.0f} % {}", 100 * share, detail);
  // What is wider than the terminal goes on in the next row, and cannot be taken away again.
  line.resize(std::min(line.size(), columns - 1));
  fmt::print(stderr, "\r\033[K{}", line);
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::line(const std::string& text) {
  if (quiet_) return;
  clear();
  fmt::print(stderr, "{}\n", text);
}

}  // namespace batchwise
