// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "data/input_file.h"

namespace batchwise {

// Where inflated and parsed data lies while a data set is open, and how much of it there may be.
struct CacheOptions {
  // Empty: BATCHWISE_CACHE_DIR, else TMPDIR, else /var/tmp.
  std::string folder;
  // Bytes on disk that one data set may take; 0: nine tenths of what the file system has free.
  std::int64_t limit_bytes = 0;
};

// The bytes that the cache files of one data set may still take.
class CacheBudget {
 public:
  explicit CacheBudget(const CacheOptions& options);
  const std::string& folder() const { return folder_; }
  // Throws Error{kEnvironment} naming `source` where the limit is passed.
  void take(std::int64_t bytes, const std::string& source);

 private:
  std::string folder_;
  std::int64_t limit_bytes_;
  std::int64_t used_bytes_ = 0;
};

// A file without a name, written once from front to back and then read at random: the system
// removes it when the last reader closes it, however the process ends. Not thread-safe while it is
// written. Requires: `budget` outlives it.
class CacheFile {
 public:
  CacheFile(CacheBudget& budget, std::string source);
  ~CacheFile();
  CacheFile(const CacheFile&) = delete;
  CacheFile& operator=(const CacheFile&) = delete;

  void append(std::span<const std::byte> bytes);
  std::int64_t size_bytes() const { return size_bytes_; }
  // Ends writing.
  std::shared_ptr<const InputFile> finish();

 private:
  void flush();

  CacheBudget& budget_;
  std::string source_;
  int fd_ = -1;
  std::int64_t size_bytes_ = 0;
  std::vector<std::byte> buffer_;
};

// Copies a stream into a cache file. More than `max_bytes` bytes throw Error naming `source`.
std::shared_ptr<const InputFile> cache_stream(ByteStream& stream, std::int64_t max_bytes,
                                              CacheBudget& budget, const std::string& source);

}  // namespace batchwise
