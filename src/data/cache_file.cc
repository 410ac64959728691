// SPDX-License-Identifier: Apache-2.0
#include "data/cache_file.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <system_error>
#include <utility>

#include "base/atomic_file.h"
#include "base/check.h"

namespace batchwise {
namespace {

constexpr std::size_t kBufferBytes = 128 * 1024;

std::string default_folder() {
  for (const char* name : {"BATCHWISE_CACHE_DIR", "TMPDIR"}) {
    const char* value = std::getenv(name);
    if (value != nullptr && *value != '\0') return value;
  }
  return "/var/tmp";
}

std::int64_t free_bytes(const std::string& folder) {
  struct statvfs status {};
  if (::statvfs(folder.c_str(), &status) != 0) return 0;
  return static_cast<std::int64_t>(status.f_bavail) * static_cast<std::int64_t>(status.f_frsize);
}

int open_unnamed(const std::string& folder) {
  const int fd = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (fd >= 0) return fd;
  std::string name = folder + "/batchwise-cache-XXXXXX";
  const int named = ::mkostemp(name.data(), O_CLOEXEC);
  if (named >= 0) ::unlink(name.c_str());
  return named;
}

}  // namespace

CacheBudget::CacheBudget(const CacheOptions& options)
    : folder_(options.folder.empty() ? default_folder() : options.folder),
      limit_bytes_(options.limit_bytes) {
  if (limit_bytes_ <= 0) limit_bytes_ = free_bytes(folder_) / 10 * 9;
}

void CacheBudget::take(std::int64_t bytes, const std::string& source) {
  used_bytes_ += bytes;
  if (used_bytes_ <= limit_bytes_) return;
  throw Error(ErrorCode::kEnvironment,
              fmt::format("[{}] its cache in {} needs more than {} bytes, which is the limit",
                          source, folder_, limit_bytes_),
              "set BATCHWISE_CACHE_DIR to a folder on a larger disk");
}

CacheFile::CacheFile(CacheBudget& budget, std::string source)
    : budget_(budget), source_(std::move(source)), fd_(open_unnamed(budget.folder())) {
  if (fd_ < 0) {
    fail_environment(budget_.folder(), "cannot make a cache file for {}: {}", source_,
                     std::generic_category().message(errno));
  }
  buffer_.reserve(kBufferBytes);
}

CacheFile::~CacheFile() {
  if (fd_ >= 0) ::close(fd_);
}

void CacheFile::append(std::span<const std::byte> bytes) {
  budget_.take(static_cast<std::int64_t>(bytes.size()), source_);
  size_bytes_ += static_cast<std::int64_t>(bytes.size());
  if (buffer_.size() + bytes.size() > kBufferBytes) flush();
  if (bytes.size() >= kBufferBytes) {
    write_fully(fd_, bytes.data(), bytes.size(), budget_.folder());
  } else {
    buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  }
}

void CacheFile::flush() {
  write_fully(fd_, buffer_.data(), buffer_.size(), budget_.folder());
  buffer_.clear();
}

std::shared_ptr<const InputFile> CacheFile::finish() {
  flush();
  buffer_ = {};
  return std::make_shared<const InputFile>(std::exchange(fd_, -1), source_, size_bytes_);
}

std::shared_ptr<const InputFile> cache_stream(ByteStream& stream, std::int64_t max_bytes,
                                              CacheBudget& budget, const std::string& source) {
  CacheFile cache(budget, source);
  std::vector<std::byte> block(kBufferBytes);
  for (;;) {
    const std::size_t count = stream.read(block);
    if (cache.size_bytes() + static_cast<std::int64_t>(count) > max_bytes) {
      fail_input(source, "holds more than the {} bytes that its header says", max_bytes);
    }
    cache.append(std::span(block).first(count));
    if (count < block.size()) return cache.finish();
  }
}

}  // namespace batchwise
