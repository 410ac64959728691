// SPDX-License-Identifier: Apache-2.0
#include "tensor/tensor.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "base/mapped_buffer.h"

namespace batchwise {
namespace {

// Larger tensors have pages of their own: on the heap they would leave holes that stay with the
// process after them, which no plan counts. The address sanitizer watches the heap alone.
#if defined(__SANITIZE_ADDRESS__)
constexpr bool kWatchesHeap = true;
#elif defined(__has_feature)
constexpr bool kWatchesHeap = __has_feature(address_sanitizer);
#else
constexpr bool kWatchesHeap = false;
#endif
constexpr std::size_t kMappedBytes = kWatchesHeap ? SIZE_MAX : 64 << 10;

class MappedStorage : public Storage {
 public:
  explicit MappedStorage(std::size_t bytes) : buffer_(static_cast<std::int64_t>(bytes)) {}
  const std::byte* data() const override { return buffer_.data(); }
  std::size_t bytes() const override { return static_cast<std::size_t>(buffer_.bytes()); }

 private:
  MappedBuffer buffer_;  // zeroed
};

// Zeroed and 64-byte aligned, so that kernels may read whole cache lines.
class HeapStorage : public Storage {
 public:
  explicit HeapStorage(std::size_t bytes)
      : data_(static_cast<std::byte*>(
            std::aligned_alloc(64, (std::max<std::size_t>(bytes, 1) + 63) / 64 * 64))),
        bytes_(bytes) {
    if (data_ == nullptr) fail_environment("memory", "cannot allocate {} bytes", bytes);
    std::memset(data_, 0, bytes);
  }
  ~HeapStorage() override { std::free(data_); }
  HeapStorage(const HeapStorage&) = delete;
  HeapStorage& operator=(const HeapStorage&) = delete;
  const std::byte* data() const override { return data_; }
  std::size_t bytes() const override { return bytes_; }

 private:
  std::byte* data_;
  std::size_t bytes_;
};

template <typename T>
std::vector<std::int64_t> widen(const Tensor& tensor) {
  const auto values = tensor.values<T>();
  return {values.begin(), values.end()};
}

}  // namespace

void Storage::release_pages(const std::byte*, std::size_t) const {}

Tensor Tensor::copy_of(DType dtype, Shape shape, const void* data) {
  Tensor tensor = zeros(dtype, std::move(shape));
  if (tensor.bytes() > 0) {
    std::memcpy(tensor.mutable_data(), data, static_cast<std::size_t>(tensor.bytes()));
  }
  return tensor;
}

Tensor Tensor::view(DType dtype, Shape shape, std::shared_ptr<const Storage> storage,
                    const std::byte* data) {
  Tensor tensor;
  tensor.dtype_ = dtype;
  tensor.shape_ = std::move(shape);
  tensor.storage_ = std::move(storage);
  tensor.data_ = data;
  return tensor;
}

Tensor Tensor::splat(DType dtype, Shape shape, const void* element) {
  Tensor tensor = copy_of(dtype, Shape(), element);
  tensor.shape_ = std::move(shape);
  tensor.splat_ = true;
  return tensor;
}

Tensor Tensor::zeros(DType dtype, Shape shape) {
  const auto bytes = static_cast<std::size_t>(checked_bytes(shape, dtype_bytes(dtype), "tensor"));
  std::shared_ptr<const Storage> storage;
  if (bytes >= kMappedBytes) {
    storage = std::make_shared<MappedStorage>(bytes);
  } else {
    storage = std::make_shared<HeapStorage>(bytes);
  }
  const std::byte* data = storage->data();
  return view(dtype, std::move(shape), std::move(storage), data);
}

Tensor Tensor::materialized() const {
  if (!splat_ && is_aligned()) return *this;
  Tensor dense = zeros(dtype_, shape_);
  copy_to(dense.mutable_data());
  return dense;
}

bool Tensor::is_aligned() const {
  const std::size_t size = dtype_bytes(dtype_);
  return size == 0 || reinterpret_cast<std::uintptr_t>(data_) % size == 0;
}

Tensor Tensor::reshaped(Shape shape) const {
  BW_CHECK(shape.elements() == shape_.elements());
  Tensor tensor = *this;
  tensor.shape_ = std::move(shape);
  return tensor;
}

void Tensor::copy_to(void* out) const {
  if (!splat_) {
    if (bytes() > 0) std::memcpy(out, data_, static_cast<std::size_t>(bytes()));
    return;
  }
  const std::size_t size = dtype_bytes(dtype_);
  auto* target = static_cast<std::byte*>(out);
  for (std::int64_t i = 0; i < shape_.elements(); ++i, target += size) {
    std::memcpy(target, data_, size);
  }
}

std::vector<std::int64_t> Tensor::to_int64s(const std::string& where) const {
  const Tensor dense = materialized();
  switch (dtype_) {
    case DType::kInt64:
      return widen<std::int64_t>(dense);
    case DType::kInt32:
      return widen<std::int32_t>(dense);
    case DType::kUInt8:
      return widen<std::uint8_t>(dense);
    case DType::kBool:
      return widen<bool>(dense);
    default:
      fail_input(where, "wants integers, not {}", dtype_name(dtype_));
  }
}

}  // namespace batchwise
