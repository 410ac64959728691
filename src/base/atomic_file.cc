// SPDX-License-Identifier: Apache-2.0
#include "base/atomic_file.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include "base/check.h"

namespace batchwise {
namespace {

std::atomic<WriteFault> g_write_fault{nullptr};

std::string reason(int error) { return std::generic_category().message(error); }

[[noreturn]] void fail_write(std::string_view path, int error) {
  fail_environment(path, "cannot write: {}", reason(error));
}

// Holds SIGXFSZ back from this thread: its default is to kill the process, where all that is wanted
// is the EFBIG of the write.
class FileSizeSignalBlock {
 public:
  FileSizeSignalBlock() {
    sigemptyset(&set_);
    sigaddset(&set_, SIGXFSZ);
    pthread_sigmask(SIG_BLOCK, &set_, &old_set_);
  }
  ~FileSizeSignalBlock() { pthread_sigmask(SIG_SETMASK, &old_set_, nullptr); }
  FileSizeSignalBlock(const FileSizeSignalBlock&) = delete;
  FileSizeSignalBlock& operator=(const FileSizeSignalBlock&) = delete;
  void take_pending() {
    if (sigismember(&old_set_, SIGXFSZ) == 1) return;
    const timespec no_wait{0, 0};
    sigtimedwait(&set_, nullptr, &no_wait);
  }

 private:
  sigset_t set_, old_set_;
};

// One write at `offset`, or at the file's position where offset is negative.
ssize_t write_once(int fd, const char* data, std::size_t bytes, off_t offset) {
  return offset < 0 ? ::write(fd, data, bytes) : ::pwrite(fd, data, bytes, offset);
}

void write_all(int fd, const char* data, std::size_t bytes, off_t offset, std::string_view path) {
  if (const WriteFault fault = g_write_fault.load(); fault != nullptr) {
    if (const int error = fault(path, bytes); error != 0) fail_write(path, error);
  }
  FileSizeSignalBlock block;
  while (bytes > 0) {
    const ssize_t done = write_once(fd, data, bytes, offset);
    if (done < 0) {
      const int error = errno;
      if (error == EINTR) continue;
      if (error == EFBIG) block.take_pending();
      fail_write(path, error);
    }
    data += done;
    bytes -= static_cast<std::size_t>(done);
    if (offset >= 0) offset += done;
  }
}

std::string folder_of(const std::string& path) {
  const auto slash = path.find_last_of('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

void write_fully(int fd, const void* data, std::size_t bytes, std::string_view path) {
  write_all(fd, static_cast<const char*>(data), bytes, -1, path);
}

void inject_write_fault(WriteFault fault) { g_write_fault.store(fault); }

AtomicFile::AtomicFile(std::string path) : path_(std::move(path)), target_(path_) {
  if (path_.empty()) fail_environment("output", "cannot write: the path is empty");
  struct stat status {};
  if (::stat(path_.c_str(), &status) == 0) {
    if (S_ISDIR(status.st_mode)) fail_environment(path_, "cannot write: it is a folder");
    direct_ = !S_ISREG(status.st_mode);
    if (!direct_ && ::access(path_.c_str(), W_OK) != 0) fail_write(path_, errno);
    std::error_code ignored;
    const auto followed = std::filesystem::canonical(path_, ignored);
    if (!ignored) target_ = followed.string();
  }
  if (direct_) {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CLOEXEC);
    if (fd_ < 0) fail_write(path_, errno);
  } else {
    open_beside();
  }
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::discard() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  if (has_name_) ::unlink(temporary_path_.c_str());
  has_name_ = false;
}

void AtomicFile::open_beside() {
  static std::atomic<unsigned> serial{0};
  const auto name_begin = target_.find_last_of('/') + 1;
  temporary_path_ = fmt::format("{}/.{}.{}-{}.tmp", folder_of(target_), target_.substr(name_begin),
                                ::getpid(), serial.fetch_add(1));
  // An unnamed file vanishes with the process, however that ends; not every file system has them.
  fd_ = ::open(folder_of(target_).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
  if (fd_ >= 0) return;
  fd_ = ::open(temporary_path_.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd_ < 0) fail_write(path_, errno);
  has_name_ = true;
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  BW_CHECK(fd_ >= 0, "{}: write after finish", path_);
  write_fully(fd_, bytes.data(), bytes.size(), path_);
  bytes_written_ += bytes.size();
}

void AtomicFile::write(std::string_view text) { write(std::as_bytes(std::span(text))); }

void AtomicFile::write_at(std::uint64_t offset, std::string_view text) {
  BW_CHECK(fd_ >= 0, "{}: write after finish", path_);
  if (direct_) fail_environment(path_, "cannot write: not a regular file");
  write_all(fd_, text.data(), text.size(), static_cast<off_t>(offset), path_);
  bytes_written_ = std::max(bytes_written_, offset + text.size());
}

// rename() can replace what is there, linkat() cannot: hence a name in between.
void AtomicFile::name_unnamed() {
  if (has_name_) return;
  const std::string self = fmt::format("/proc/self/fd/{}", fd_);
  if (::linkat(AT_FDCWD, self.c_str(), AT_FDCWD, temporary_path_.c_str(), AT_SYMLINK_FOLLOW) != 0) {
    fail_write(path_, errno);
  }
  has_name_ = true;
}

void AtomicFile::flush() {
  BW_CHECK(fd_ >= 0, "{}: flush after finish", path_);
  if (direct_) return;
  // A full disk may show only here.
  if (::fdatasync(fd_) != 0 && errno != EINVAL) fail_write(path_, errno);
  name_unnamed();
}

void AtomicFile::finish() {
  BW_CHECK(fd_ >= 0, "{}: finished twice", path_);
  flush();
  const int fd = std::exchange(fd_, -1);
  if (::close(fd) != 0 && errno != EINTR) fail_write(path_, errno);
  if (direct_) return;
  if (::rename(temporary_path_.c_str(), target_.c_str()) != 0) fail_write(path_, errno);
  has_name_ = false;
}

}  // namespace batchwise
