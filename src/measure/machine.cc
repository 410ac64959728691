// SPDX-License-Identifier: Apache-2.0
#include "measure/machine.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/utsname.h>

#include <cctype>
#include <fstream>
#include <set>
#include <sstream>
#include <string_view>

namespace batchwise {
namespace {

// The instruction sets that a kernel, ours or a vendor's, may choose by.
const std::set<std::string_view> kIsaFlags = {
    "sse4_1",      "sse4_2",      "avx",      "f16c",     "fma",      "avx2",
    "avx_vnni",    "avx512f",     "avx512dq", "avx512bw", "avx512vl", "avx512_vnni",
    "avx512_bf16", "avx512_fp16", "amx_tile", "amx_bf16", "amx_int8", "asimd",
    "asimdhp",     "asimddp",     "sve",      "sve2",     "bf16",     "i8mm"};

int usable_cores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return CPU_COUNT(&set);
}

std::string trimmed(const std::string& text) {
  const std::size_t first = text.find_first_not_of(" \t");
  if (first == std::string::npos) return {};
  return text.substr(first, text.find_last_not_of(" \t\n") - first + 1);
}

void read_cpuinfo(const std::string& root, Machine* machine) {
  std::ifstream file(root + "/proc/cpuinfo");
  std::set<std::string> flags;
  for (std::string line; std::getline(file, line);) {
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) continue;
    const std::string name = trimmed(line.substr(0, colon));
    const std::string value = trimmed(line.substr(colon + 1));
    if (name == "model name" && machine->cpu_model.empty()) machine->cpu_model = value;
    if ((name == "flags" || name == "Features") && flags.empty()) {
      std::istringstream words(value);
      for (std::string word; words >> word;) {
        if (kIsaFlags.count(word) > 0) flags.insert(word);
      }
    }
  }
  if (machine->cpu_model.empty()) machine->cpu_model = "unknown";
  for (const std::string& flag : flags) machine->isa += (machine->isa.empty() ? "" : " ") + flag;
}

// "32K", "1024K", "32M" of sysfs.
std::int64_t cache_size_bytes(const std::string& text) {
  std::int64_t value = 0;
  for (char c : text) {
    if (c >= '0' && c <= '9') value = value * 10 + (c - '0');
    if (c == 'K') return value << 10;
    if (c == 'M') return value << 20;
  }
  return value;
}

void read_caches(const std::string& root, Machine* machine) {
  for (int index = 0; index < 8; ++index) {
    const std::string folder =
        fmt::format("{}/sys/devices/system/cpu/cpu0/cache/index{}/", root, index);
    std::ifstream level_file(folder + "level"), type_file(folder + "type"),
        size_file(folder + "size");
    int level = 0;
    std::string type, size;
    if (!(level_file >> level) || !(type_file >> type) || !(size_file >> size)) continue;
    if (type == "Instruction") continue;
    if (level == 1) machine->l1d_bytes = cache_size_bytes(size);
    if (level == 2) machine->l2_bytes = cache_size_bytes(size);
    if (level == 3) machine->l3_bytes = cache_size_bytes(size);
  }
}

std::int64_t total_memory_bytes(const std::string& root) {
  std::ifstream file(root + "/proc/meminfo");
  std::string name;
  std::int64_t kilobytes = 0;
  return file >> name >> kilobytes && name == "MemTotal:" ? kilobytes * 1024 : 0;
}

}  // namespace

std::string Machine::key() const {
  std::string words;
  for (char c : cpu_model) {
    const auto letter = static_cast<unsigned char>(c);
    if (std::isalnum(letter)) {
      words += static_cast<char>(std::tolower(letter));
    } else if (!words.empty() && words.back() != '-') {
      words += '-';
    }
  }
  while (!words.empty() && words.back() == '-') words.pop_back();
  // FNV-1a of the instruction sets: two virtual machines may show one model name, and differ.
  std::uint64_t hash = 14695981039346656037u;
  for (char c : isa) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return fmt::format("{}-{}cores-l2.{}k-l3.{}k-{:08x}", words, cores, l2_bytes >> 10,
                     l3_bytes >> 10, static_cast<std::uint32_t>(hash ^ (hash >> 32)));
}

Machine describe_machine(const std::string& root) {
  Machine machine;
  machine.cores = usable_cores();
  machine.memory_bytes = total_memory_bytes(root);
  read_cpuinfo(root, &machine);
  read_caches(root, &machine);
  utsname name{};
  if (uname(&name) == 0) machine.kernel = fmt::format("{} {}", name.sysname, name.release);
  return machine;
}

}  // namespace batchwise
