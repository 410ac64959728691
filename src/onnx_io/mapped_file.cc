// SPDX-License-Identifier: Apache-2.0
#include "onnx_io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/check.h"

namespace batchwise::onnx_io {
namespace {

class MappedFile : public Storage {
 public:
  MappedFile(void* data, std::size_t bytes) : data_(data), bytes_(bytes) {}
  ~MappedFile() override { munmap(data_, bytes_); }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  const std::byte* data() const override { return static_cast<const std::byte*>(data_); }
  std::size_t bytes() const override { return bytes_; }

  void release_pages(const std::byte* begin, std::size_t count) const override {
    const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
    const auto first = (reinterpret_cast<std::uintptr_t>(begin) + page - 1) / page * page;
    const auto last = (reinterpret_cast<std::uintptr_t>(begin) + count) / page * page;
    if (last > first) madvise(reinterpret_cast<void*>(first), last - first, MADV_DONTNEED);
  }

 private:
  void* data_;
  std::size_t bytes_;
};

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

}  // namespace

std::shared_ptr<const Storage> map_file(const std::string& path) {
  const Descriptor file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.get() < 0) fail_input(path, "cannot be opened: {}", std::strerror(errno));
  struct stat status {};
  if (fstat(file.get(), &status) != 0) fail_input(path, "cannot be read: {}", std::strerror(errno));
  if (!S_ISREG(status.st_mode)) fail_input(path, "is not a file");
  if (status.st_size == 0) fail_input(path, "is empty");
  const auto bytes = static_cast<std::size_t>(status.st_size);
  void* data = mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, file.get(), 0);
  if (data == MAP_FAILED) fail_environment(path, "cannot be mapped: {}", std::strerror(errno));
  return std::make_shared<MappedFile>(data, bytes);
}

}  // namespace batchwise::onnx_io
