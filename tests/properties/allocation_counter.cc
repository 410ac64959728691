// SPDX-License-Identifier: Apache-2.0
#include "allocation_counter.h"

#include <cerrno>
#include <cstdlib>
#include <new>

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

// The C library's own, under their other names.
extern "C" {
void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* block, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);
}

namespace {

std::atomic<bool> counting{false};
std::atomic<long> calls{0};

void count_call() {
  if (counting.load(std::memory_order_relaxed)) calls.fetch_add(1, std::memory_order_relaxed);
}

void* new_or_throw(void* block) {
  if (block == nullptr) throw std::bad_alloc();
  return block;
}

}  // namespace

namespace batchwise::properties {

void start_counting_allocations() {
  calls = 0;
  counting = true;
}

long stop_counting_allocations() {
  counting = false;
  return calls;
}

}  // namespace batchwise::properties

// Visible, so that shared libraries call these too.
#define BW_REPLACED extern "C" __attribute__((visibility("default")))

BW_REPLACED void* malloc(size_t bytes) {
  count_call();
  return __libc_malloc(bytes);
}

BW_REPLACED void* calloc(size_t count, size_t bytes) {
  count_call();
  return __libc_calloc(count, bytes);
}

BW_REPLACED void* realloc(void* block, size_t bytes) {
  count_call();
  return __libc_realloc(block, bytes);
}

BW_REPLACED void* memalign(size_t alignment, size_t bytes) {
  count_call();
  return __libc_memalign(alignment, bytes);
}

BW_REPLACED void* aligned_alloc(size_t alignment, size_t bytes) {
  count_call();
  return __libc_memalign(alignment, bytes);
}

BW_REPLACED int posix_memalign(void** block, size_t alignment, size_t bytes) {
  count_call();
  *block = __libc_memalign(alignment, bytes);
  return *block == nullptr ? ENOMEM : 0;
}

BW_REPLACED void* mmap(void* address, size_t bytes, int protection, int flags, int file,
                       off_t offset) {
  count_call();
  return reinterpret_cast<void*>(
      syscall(SYS_mmap, address, bytes, protection, flags, file, offset));
}

BW_REPLACED void* mmap64(void* address, size_t bytes, int protection, int flags, int file,
                         off_t offset) {
  return mmap(address, bytes, protection, flags, file, offset);
}

// new ends in malloc; delete in free, which is the C library's.
__attribute__((visibility("default"))) void* operator new(std::size_t bytes) {
  return new_or_throw(malloc(bytes > 0 ? bytes : 1));
}
__attribute__((visibility("default"))) void* operator new(std::size_t bytes,
                                                          std::align_val_t alignment) {
  return new_or_throw(aligned_alloc(static_cast<std::size_t>(alignment), bytes > 0 ? bytes : 1));
}
__attribute__((visibility("default"))) void operator delete(void* block) noexcept { free(block); }
__attribute__((visibility("default"))) void operator delete(void* block, std::size_t) noexcept {
  free(block);
}
__attribute__((visibility("default"))) void operator delete(void* block,
                                                            std::align_val_t) noexcept {
  free(block);
}
__attribute__((visibility("default"))) void operator delete(void* block, std::size_t,
                                                            std::align_val_t) noexcept {
  free(block);
}
