// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "data/data_source.h"
#include "data/order.h"

namespace batchwise {

struct LoaderOptions {
  // Change what is read.
  std::int64_t batch_size = 32;
  bool shuffle = false;
  std::uint64_t seed = 0;
  std::int64_t first_epoch = 0;
  std::int64_t epochs = 1;
  bool drop_last = false;    // leave out a last batch that is not full
  SampleRange range{0, -1};  // the samples that are used; end -1: all
  bool labels = true;
  // The type of each feature and of the labels as they are handed out; kUndefined: float32 for
  // features, the type they have for labels.
  std::vector<DType> feature_dtypes;
  DType label_dtype = DType::kUndefined;
  // Cuts a batch of so many samples into the pieces that next() gives, in order; empty: one piece.
  // A large batch then takes the memory of its largest piece.
  std::function<std::vector<std::int64_t>(std::int64_t batch_count)> cut;
  // Change speed and memory only.
  int threads = 1;
  int pieces_ahead = 2;
};

// A piece of a batch, in the loader's memory: valid until the next call of next(). Features and
// labels are dense rows, 64-byte aligned.
struct SamplePiece {
  std::int64_t epoch = 0;
  std::int64_t batch = 0;        // in the epoch
  std::int64_t batch_count = 0;  // samples in the whole batch
  std::int64_t first = 0;        // of this piece in the batch
  std::int64_t count = 0;
  bool last_in_batch = true;
  bool last_in_epoch = true;
  std::vector<const std::byte*> features;
  const std::byte* labels = nullptr;  // null where there are none
};

// Reads batches ahead of who computes: threads of its own pick the samples of each piece in the
// epoch's order, read, decode and convert them into a fixed number of buffers allocated at the
// start. The order of what next() gives depends on neither threads nor timing. One consumer; the
// source must outlive the loader. Destruction stops the threads, whatever they are at.
class BatchLoader {
 public:
  BatchLoader(const DataSource& source, LoaderOptions options);
  ~BatchLoader();
  BatchLoader(const BatchLoader&) = delete;
  BatchLoader& operator=(const BatchLoader&) = delete;

  // The next piece, nullptr after the last epoch. Rethrows what a reading thread threw, in its
  // place in the order.
  const SamplePiece* next();
  std::int64_t batches_per_epoch() const { return num_batches_; }
  std::int64_t samples_per_epoch() const;

  // The heap memory that a loader takes for its whole life: buffers, order, scratch.
  static std::size_t bytes(const DataSource& source, const LoaderOptions& options);

 private:
  struct Layout;
  struct Slot;
  struct Freer {
    void operator()(std::byte* memory) const;
  };
  void work(int thread);
  bool take_ticket(Slot*& slot);
  void fill(Slot& slot, std::byte* scratch) const;
  void begin_epoch();

  // Constant after construction.
  const DataSource& source_;
  LoaderOptions options_;
  std::unique_ptr<const Layout> layout_;
  std::vector<std::int64_t> full_pieces_, last_pieces_;
  std::int64_t num_batches_ = 0;
  std::unique_ptr<std::byte[], Freer> memory_;

  std::mutex mutex_;
  std::condition_variable slot_free_, slot_full_;
  // Guarded by mutex_: where the next piece to be read lies, and which pieces were handed out.
  std::vector<std::uint32_t> order_;
  std::int64_t epoch_ = 0, batch_ = 0, first_ = 0;
  std::size_t piece_ = 0;
  std::int64_t tickets_taken_ = 0, pieces_given_ = 0, pieces_released_ = 0;
  bool stop_ = false;
  // A slot belongs to the reader that took its ticket until it is full, then to the consumer.
  std::vector<Slot> slots_;
  std::vector<std::thread> threads_;
};

}  // namespace batchwise
