// SPDX-License-Identifier: Apache-2.0
#include "base/atomic_file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "batchwise/error.h"

namespace batchwise {
namespace {

namespace fs = std::filesystem;

class AtomicFileTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "atomic_file_XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override {
    inject_write_fault(nullptr);
    fs::remove_all(folder_);
  }
  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  std::size_t entries() const {
    return static_cast<std::size_t>(
        std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
  static std::string content(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
  }
  fs::path folder_;
};

template <typename F>
std::string environment_error(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kEnvironment) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

TEST_F(AtomicFileTest, AppearsAtFinishAndReplacesWhatWasThere) {
  std::ofstream(path("a")) << "old";
  AtomicFile file(path("a"));
  file.write(std::string_view("0000 new"));
  file.write_at(0, "1234");
  EXPECT_EQ(content(path("a")), "old");
  file.finish();
  EXPECT_EQ(content(path("a")), "1234 new");
  EXPECT_EQ(file.bytes_written(), 8u);
  EXPECT_EQ(entries(), 1u);
}

TEST_F(AtomicFileTest, LeavesNothingWithoutFinish) {
  { AtomicFile(path("a")).write(std::string_view("half")); }
  EXPECT_EQ(entries(), 0u);
}

TEST_F(AtomicFileTest, FollowsASymbolicLink) {
  std::ofstream(path("real")) << "old";
  fs::create_symlink("real", path("link"));
  AtomicFile file(path("link"));
  file.write(std::string_view("new"));
  file.finish();
  EXPECT_TRUE(fs::is_symlink(path("link")));
  EXPECT_EQ(content(path("real")), "new");
}

TEST_F(AtomicFileTest, InjectedFullDiskLeavesTheFolderAsItWas) {
  std::ofstream(path("a")) << "old";
  inject_write_fault([](std::string_view, std::size_t) { return ENOSPC; });
  const std::string message = environment_error([&] {
    AtomicFile file(path("a"));
    file.write(std::string_view("new"));
  });
  EXPECT_EQ(message, "[" + path("a") + "] cannot write: No space left on device");
  EXPECT_EQ(content(path("a")), "old");
  EXPECT_EQ(entries(), 1u);
}

TEST_F(AtomicFileTest, FileSizeLimitIsAnErrorAndNotASignal) {
  rlimit old{};
  ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &old), 0);
  const rlimit small{1024, old.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &small), 0);
  const std::string message = environment_error([&] {
    AtomicFile file(path("a"));
    file.write(std::string(4096, 'x'));
  });
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &old), 0);
  EXPECT_EQ(message, "[" + path("a") + "] cannot write: File too large");
  EXPECT_EQ(entries(), 0u);
}

TEST_F(AtomicFileTest, RefusesAFolderAndAMissingFolder) {
  EXPECT_EQ(environment_error([&] { AtomicFile file(folder_.string()); }),
            "[" + folder_.string() + "] cannot write: it is a folder");
  EXPECT_EQ(environment_error([&] { AtomicFile file(path("none/a")); }),
            "[" + path("none/a") + "] cannot write: No such file or directory");
}

TEST_F(AtomicFileTest, AFullDeviceIsAnError) {
  const std::string message = environment_error([&] {
    AtomicFile file("/dev/full");
    file.write(std::string_view("x"));
  });
  EXPECT_EQ(message, "[/dev/full] cannot write: No space left on device");
}

}  // namespace
}  // namespace batchwise
