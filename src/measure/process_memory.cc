// SPDX-License-Identifier: Apache-2.0
#include "measure/process_memory.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <limits>
#include <optional>
#include <sstream>
#include <string_view>

namespace batchwise {
namespace {

// One "Name:   123 kB" line of a /proc file, in bytes; 0 where there is none.
std::int64_t kilobyte_line(std::string_view text, std::string_view name) {
  const std::size_t at = text.find(name);
  if (at == std::string_view::npos) return 0;
  std::int64_t kilobytes = 0;
  for (char c : text.substr(at + name.size())) {
    if (c >= '0' && c <= '9') {
      kilobytes = kilobytes * 10 + (c - '0');
    } else if (kilobytes > 0 || c == '\n') {
      break;
    }
  }
  return kilobytes * 1024;
}

std::optional<std::string> read_text(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return std::move(text).str();
}

std::optional<std::int64_t> read_number(const std::string& path) {
  const std::optional<std::string> text = read_text(path);
  if (!text || text->empty() || (*text)[0] < '0' || (*text)[0] > '9') return std::nullopt;
  errno = 0;
  const long long value = std::strtoll(text->c_str(), nullptr, 10);
  if (errno != 0) return std::nullopt;
  return value;
}

// File pages that the kernel drops before it kills: they do not count against us.
std::int64_t reclaimable_bytes(const std::string& folder, const char* name) {
  std::ifstream file(folder + "/memory.stat");
  std::string key;
  std::int64_t value = 0;
  while (file >> key >> value) {
    if (key == name) return value;
  }
  return 0;
}

// The least room in `path` and the groups above it.
std::optional<std::int64_t> group_left(const std::string& mount, std::string path, bool v2) {
  std::optional<std::int64_t> left;
  const char* limit_file = v2 ? "/memory.max" : "/memory.limit_in_bytes";
  const char* usage_file = v2 ? "/memory.current" : "/memory.usage_in_bytes";
  const char* reclaimable = v2 ? "inactive_file" : "total_inactive_file";
  while (true) {
    const std::string folder = mount + (path == "/" ? "" : path);
    const auto limit = read_number(folder + limit_file);
    const auto usage = read_number(folder + usage_file);
    // v1 writes "no limit" as a number near the largest.
    if (limit && usage && *limit < (std::int64_t{1} << 60)) {
      const std::int64_t held =
          std::max<std::int64_t>(0, *usage - reclaimable_bytes(folder, reclaimable));
      const std::int64_t room = std::max<std::int64_t>(0, *limit - held);
      left = left ? std::min(*left, room) : room;
    }
    if (path.empty() || path == "/") return left;
    path = path.substr(0, path.rfind('/'));
  }
}

std::optional<std::int64_t> cgroup_left(const std::string& root) {
  std::ifstream file(root + "/proc/self/cgroup");
  std::optional<std::int64_t> left;
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find(':');
    const std::size_t second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const std::string path = line.substr(second + 1);
    std::optional<std::int64_t> room;
    if (controllers == ",,") room = group_left(root + "/sys/fs/cgroup", path, true);
    if (controllers.find(",memory,") != std::string::npos) {
      room = group_left(root + "/sys/fs/cgroup/memory", path, false);
    }
    if (room) left = left ? std::min(*left, *room) : *room;
  }
  return left;
}

}  // namespace

ProcessMemory read_process_memory() {
  // A plain read into the stack: a stream would allocate, and change what is being read.
  char text[8192];
  const int file = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  const ssize_t size = read(file, text, sizeof text);
  close(file);
  const std::string_view status(text, size > 0 ? static_cast<std::size_t>(size) : 0);
  ProcessMemory memory;
  memory.rss_bytes = kilobyte_line(status, "VmRSS:");
  memory.peak_rss_bytes = kilobyte_line(status, "VmHWM:");
  memory.data_bytes = kilobyte_line(status, "VmData:");
  memory.anonymous_bytes = kilobyte_line(status, "RssAnon:");
  memory.virtual_bytes = kilobyte_line(status, "VmSize:");
  return memory;
}

bool reset_peak_rss() {
  const int file = open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
  if (file < 0) return false;
  const bool done = write(file, "5", 1) == 1;
  close(file);
  return done;
}

MemoryLimit read_memory_limit(const std::string& root) {
  MemoryLimit limit{std::numeric_limits<std::int64_t>::max(), "machine"};
  const auto offer = [&limit](std::int64_t left_bytes, const char* source) {
    if (left_bytes < limit.left_bytes) limit = {std::max<std::int64_t>(0, left_bytes), source};
  };
  if (const auto meminfo = read_text(root + "/proc/meminfo")) {
    offer(kilobyte_line(*meminfo, "MemAvailable:"), "machine");
  }
  if (const auto left = cgroup_left(root)) offer(*left, "memory cgroup");
  const ProcessMemory memory = read_process_memory();
  rlimit bound{};
  if (getrlimit(RLIMIT_DATA, &bound) == 0 && bound.rlim_cur != RLIM_INFINITY) {
    offer(static_cast<std::int64_t>(bound.rlim_cur) - memory.data_bytes, "RLIMIT_DATA");
  }
  if (getrlimit(RLIMIT_AS, &bound) == 0 && bound.rlim_cur != RLIM_INFINITY) {
    offer(static_cast<std::int64_t>(bound.rlim_cur) - memory.virtual_bytes, "RLIMIT_AS");
  }
  return limit;
}

std::int64_t process_memory_limit_bytes() {
  return read_memory_limit().left_bytes + read_process_memory().rss_bytes;
}

}  // namespace batchwise
