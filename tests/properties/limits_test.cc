// SPDX-License-Identifier: Apache-2.0
// Under RLIMIT_DATA of base plus plan a command runs; with nine tenths of it a pinned micro-batch
// is refused before the first step, and a free one is made smaller, with the same bits.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fixed_models.h"
#include "onnx_io/onnx_io.h"

namespace batchwise::properties {
namespace {

struct Outcome {
  int exit_code = -1;
  std::string text;  // both streams
  // A number of the JSON report; -1 where it is not there.
  std::int64_t number(const std::string& key) const {
    const std::size_t at = text.find("\"" + key + "\":");
    return at == std::string::npos ? -1 : std::stoll(text.substr(at + key.size() + 3));
  }
  std::string word(const std::string& key) const {
    const std::size_t at = text.find("\"" + key + "\": \"");
    if (at == std::string::npos) return "";
    const std::size_t begin = at + key.size() + 5;
    return text.substr(begin, text.find('"', begin) - begin);
  }
};

class MemoryLimits : public testing::Test {
 protected:
  MemoryLimits() : folder_(fmt::format("{}limits_test.{}", testing::TempDir(), getpid())) {
    std::filesystem::create_directory(folder_);
    onnx_io::write_onnx(fixed_architecture("resnet20", {1, 8, 8}), path("model.onnx"));
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }

  // Runs a shell command line, in a process whose data segment may have so many bytes; 0: any.
  Outcome run(const std::string& arguments, std::int64_t data_bytes) const {
    const std::string line =
        fmt::format("'{}' {} > '{}' 2>&1", BATCHWISE_CLI, arguments, path("text"));
    const pid_t child = fork();
    if (child == 0) {
      if (data_bytes > 0) {
        const auto bytes = static_cast<rlim_t>(data_bytes);
        const rlimit limit{bytes, bytes};
        setrlimit(RLIMIT_DATA, &limit);
      }
      execl("/bin/sh", "sh", "-c", line.c_str(), nullptr);
      _exit(127);
    }
    int status = 0;
    waitpid(child, &status, 0);
    std::ostringstream text;
    text << std::ifstream(path("text")).rdbuf();
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text.str()};
  }

  void check(const std::string& command, std::int64_t micro_batch, const std::string& hash) {
    const std::string pinned = fmt::format("{} --micro-batch {}", command, micro_batch);
    const Outcome free = run(pinned, 0);
    ASSERT_EQ(free.exit_code, 0) << free.text;
    ASSERT_EQ(free.number("micro_batch"), micro_batch) << free.text;
    const std::int64_t limit = free.number("base_data_bytes") + free.number("planned_peak_bytes");
    const Outcome exact = run(pinned, limit);
    EXPECT_EQ(exact.exit_code, 0) << exact.text;
    EXPECT_EQ(exact.word(hash), free.word(hash));

    const Outcome refused = run(pinned, limit * 9 / 10);
    EXPECT_EQ(refused.exit_code, 1) << refused.text;
    EXPECT_NE(refused.text.find("is the largest that fits"), std::string::npos) << refused.text;

    const Outcome smaller = run(command, limit * 9 / 10);
    EXPECT_EQ(smaller.exit_code, 0) << smaller.text;
    EXPECT_LT(smaller.number("micro_batch"), micro_batch);
    EXPECT_GT(smaller.number("micro_batch"), 0);
    EXPECT_NE(free.word(hash), "");
    EXPECT_EQ(smaller.word(hash), free.word(hash));
  }

 private:
  std::string folder_;
};

TEST_F(MemoryLimits, OfPredict) {
  check(fmt::format("predict '{}' --data data/digits.csv.gz --batch-size 1024 --threads 2 --quiet "
                    "--json -o '{}'",
                    path("model.onnx"), path("out.npy")),
        1024, "output_sha256");
}

TEST_F(MemoryLimits, OfFit) {
  check(fmt::format("fit '{}' --data data/digits.csv.gz --batch-size 1024 --ghost-batch 16 "
                    "--steps 2 --threads 2 --quiet --json -o '{}'",
                    path("model.onnx"), path("out.onnx")),
        256, "weights_sha256");
}

}  // namespace
}  // namespace batchwise::properties
