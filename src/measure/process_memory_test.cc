// SPDX-License-Identifier: Apache-2.0
#include "measure/process_memory.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

#include "measure/machine.h"

namespace batchwise {
namespace {

namespace fs = std::filesystem;
constexpr std::int64_t kMiB = 1 << 20;

// A folder that looks like the root of a machine.
class FakeRoot {
 public:
  FakeRoot() {
    std::string name = (fs::temp_directory_path() / "batchwise_root_XXXXXX").string();
    path_ = mkdtemp(name.data());
  }
  ~FakeRoot() { fs::remove_all(path_); }
  void write(const std::string& path, const std::string& text) {
    fs::create_directories(fs::path(path_ + path).parent_path());
    std::ofstream(path_ + path) << text;
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

TEST(ProcessMemory, SeesPagesComeAndGo) {
  constexpr std::int64_t kSize = 64 * kMiB;
  const ProcessMemory before = read_process_memory();
  void* pages = mmap(nullptr, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(pages, MAP_FAILED);
  EXPECT_GE(read_process_memory().data_bytes - before.data_bytes, kSize);
  std::memset(pages, 1, kSize);
  const ProcessMemory touched = read_process_memory();
  EXPECT_GE(touched.anonymous_bytes - before.anonymous_bytes, kSize - kMiB);
  munmap(pages, kSize);
  EXPECT_GE(read_process_memory().peak_rss_bytes, touched.rss_bytes - kMiB);
  if (!reset_peak_rss()) GTEST_SKIP() << "/proc/self/clear_refs cannot be written here";
  EXPECT_LT(read_process_memory().peak_rss_bytes, touched.rss_bytes - kSize / 2);
}

TEST(MemoryLimit, TakesTheLeastOfAllLevels) {
  FakeRoot root;
  root.write("/proc/meminfo", "MemTotal: 8388608 kB\nMemFree: 1 kB\nMemAvailable: 4194304 kB\n");
  EXPECT_EQ(read_memory_limit(root.path()).left_bytes, 4096 * kMiB);
  EXPECT_EQ(read_memory_limit(root.path()).source, "machine");

  root.write("/proc/self/cgroup", "0::/a/b\n");
  root.write("/sys/fs/cgroup/a/b/memory.max", "max\n");
  root.write("/sys/fs/cgroup/a/b/memory.current", "104857600\n");
  root.write("/sys/fs/cgroup/a/memory.max", "1073741824\n");
  root.write("/sys/fs/cgroup/a/memory.current", "209715200\n");
  root.write("/sys/fs/cgroup/a/memory.stat", "anon 104857600\ninactive_file 104857600\n");
  const MemoryLimit limit = read_memory_limit(root.path());
  EXPECT_EQ(limit.left_bytes, (1024 - 100) * kMiB);
  EXPECT_EQ(limit.source, "memory cgroup");
}

TEST(MemoryLimit, ReadsTheOldHierarchy) {
  FakeRoot root;
  root.write("/proc/meminfo", "MemAvailable: 4194304 kB\n");
  root.write("/proc/self/cgroup", "5:cpu:/x\n4:memory:/gone\n0::/\n");
  // The path of another namespace is not to be seen here; its mount's root is.
  root.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n");
  root.write("/sys/fs/cgroup/memory/memory.usage_in_bytes", "536870912\n");
  EXPECT_EQ(read_memory_limit(root.path()).left_bytes, 0);
  root.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(read_memory_limit(root.path()).source, "machine");
}

TEST(MemoryLimit, ThisProcessHasRoom) {
  EXPECT_GT(process_memory_limit_bytes(), read_process_memory().rss_bytes);
}

TEST(Machine, ReadsWhatTheKernelSays) {
  FakeRoot root;
  root.write("/proc/cpuinfo",
             "processor : 0\nmodel name\t: Some(R) CPU @ 2.80GHz\nflags\t: fpu sse4_2 fma avx2\n\n"
             "processor : 1\nmodel name\t: Some(R) CPU @ 2.80GHz\nflags\t: fpu\n");
  root.write("/proc/meminfo", "MemTotal: 1024 kB\n");
  const std::string cache = "/sys/devices/system/cpu/cpu0/cache/index";
  const char* const rows[][3] = {
      {"1", "Data", "48K"}, {"1", "Instruction", "32K"}, {"2", "Unified", "1M"}};
  for (int i = 0; i < 3; ++i) {
    root.write(cache + std::to_string(i) + "/level", rows[i][0]);
    root.write(cache + std::to_string(i) + "/type", rows[i][1]);
    root.write(cache + std::to_string(i) + "/size", rows[i][2]);
  }
  Machine machine = describe_machine(root.path());
  EXPECT_EQ(machine.cpu_model, "Some(R) CPU @ 2.80GHz");
  EXPECT_EQ(machine.isa, "avx2 fma sse4_2");
  EXPECT_EQ(machine.l1d_bytes, 48 << 10);
  EXPECT_EQ(machine.l2_bytes, 1 << 20);
  EXPECT_EQ(machine.l3_bytes, 0);
  EXPECT_EQ(machine.memory_bytes, 1 << 20);
  machine.cores = 2;
  EXPECT_EQ(machine.key().rfind("some-r-cpu-2-80ghz-2cores-l2.1024k-l3.0k-", 0), 0u)
      << machine.key();
  Machine other = machine;
  other.isa += " avx512f";
  EXPECT_NE(other.key(), machine.key());
  other = machine;
  other.kernel = "another";
  other.memory_bytes = 7;
  EXPECT_EQ(other.key(), machine.key());
}

TEST(Machine, ThisMachineHasCores) {
  const Machine machine = describe_machine();
  EXPECT_GE(machine.cores, 1);
  EXPECT_GT(machine.memory_bytes, 0);
  EXPECT_EQ(machine.key(), describe_machine().key());
}

}  // namespace
}  // namespace batchwise
