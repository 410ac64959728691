// SPDX-License-Identifier: Apache-2.0
#include "data/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "base/check.h"

namespace batchwise {

std::shared_ptr<const InputFile> InputFile::open(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) fail_input(path, "cannot read: {}", std::generic_category().message(errno));
  struct stat status {};
  const bool known = ::fstat(fd, &status) == 0;
  auto file = std::make_shared<const InputFile>(fd, path, known ? status.st_size : 0);
  if (!known || !S_ISREG(status.st_mode)) fail_input(path, "cannot read: not a regular file");
  return file;
}

InputFile::~InputFile() { ::close(fd_); }

std::size_t InputFile::read_some(std::int64_t offset, std::span<std::byte> out) const {
  std::size_t done = 0;
  while (done < out.size()) {
    const ssize_t count = ::pread(fd_, out.data() + done, out.size() - done,
                                  static_cast<off_t>(offset + static_cast<std::int64_t>(done)));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) {
      fail_environment(path_, "cannot read: {}", std::generic_category().message(errno));
    }
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

void InputFile::read_at(std::int64_t offset, std::span<std::byte> out) const {
  const std::size_t done = read_some(offset, out);
  if (done != out.size()) {
    fail_input(path_, "the file ends early: {} bytes wanted at {}, {} there", out.size(), offset,
               done);
  }
}

}  // namespace batchwise
