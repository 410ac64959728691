// SPDX-License-Identifier: Apache-2.0
#include "data/batch_loader.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <atomic>
#include <chrono>

#include "base/check.h"
#include "data/test_folder.h"

namespace batchwise {
namespace {

using testing::ElementsAre;

// Sample i has the bytes {i % 256, 7} and the label 10 * i. Reading sample `broken` fails.
class CountingSource : public DataSource {
 public:
  explicit CountingSource(std::int64_t n, std::int64_t broken = -1) : broken_(broken) {
    path_ = "counting";
    num_samples_ = n;
    features_.push_back({"x", Shape{2}, DType::kUInt8});
    label_ = LabelInfo{};
  }
  void read(std::span<const std::int64_t> indices, std::span<std::byte* const> features,
            std::byte* labels, std::span<std::byte> scratch) const override {
    EXPECT_GE(scratch.size(), scratch_bytes());
    std::fill(scratch.begin(), scratch.end(), std::byte{0xee});
    for (std::size_t i = 0; i < indices.size(); ++i) {
      if (indices[i] == broken_) fail_input(path_, "sample {} is broken", broken_);
      features[0][2 * i] = static_cast<std::byte>(indices[i] % 256);
      features[0][2 * i + 1] = std::byte{7};
      const std::int64_t label = 10 * indices[i];
      if (labels != nullptr) std::memcpy(labels + i * sizeof(label), &label, sizeof(label));
    }
  }
  std::size_t scratch_bytes() const override { return 24; }
  std::size_t resident_bytes() const override { return 0; }

 private:
  std::int64_t broken_;
};

std::vector<std::int64_t> labels_of(const SamplePiece& piece) {
  const auto* labels = reinterpret_cast<const std::int64_t*>(piece.labels);
  return {labels, labels + piece.count};
}

// All labels of an epoch in order, with the features checked against them.
std::vector<std::int64_t> drain_epoch(BatchLoader& loader) {
  std::vector<std::int64_t> all;
  while (const SamplePiece* piece = loader.next()) {
    const auto* x = reinterpret_cast<const float*>(piece->features[0]);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(x) % 64, 0u);
    const auto labels = labels_of(*piece);
    for (std::size_t i = 0; i < labels.size(); ++i) {
      EXPECT_EQ(x[2 * i], static_cast<float>(labels[i] / 10 % 256));
      EXPECT_EQ(x[2 * i + 1], 7.0f);
    }
    all.insert(all.end(), labels.begin(), labels.end());
    if (piece->last_in_epoch) break;
  }
  return all;
}

TEST(BatchLoader, KeepsOrderAndTheLastPartialBatch) {
  const CountingSource source(7);
  BatchLoader loader(source, {.batch_size = 3});
  EXPECT_EQ(loader.batches_per_epoch(), 3);
  std::vector<std::int64_t> counts;
  while (const SamplePiece* piece = loader.next()) {
    counts.push_back(piece->count);
    EXPECT_EQ(piece->batch_count, piece->count);
    EXPECT_EQ(labels_of(*piece)[0], 30 * piece->batch);
    EXPECT_EQ(piece->last_in_epoch, piece->batch == 2);
  }
  EXPECT_THAT(counts, ElementsAre(3, 3, 1));
  EXPECT_EQ(loader.next(), nullptr);
}

TEST(BatchLoader, LosesAndDoublesNothingWhateverTheThreads) {
  const CountingSource source(5000);
  for (const bool shuffle : {false, true}) {
    for (const int threads : {1, 2, 4}) {
      for (const int ahead : {1, 3}) {
        BatchLoader loader(source, {.batch_size = 37,
                                    .shuffle = shuffle,
                                    .seed = 5,
                                    .epochs = 2,
                                    .threads = threads,
                                    .pieces_ahead = ahead});
        for (const std::int64_t epoch : {0, 1}) {
          std::vector<std::int64_t> expected = epoch_order(5000, 5, epoch);
          if (!shuffle) std::sort(expected.begin(), expected.end());
          for (std::int64_t& index : expected) index *= 10;
          EXPECT_EQ(drain_epoch(loader), expected);
        }
        EXPECT_EQ(loader.next(), nullptr);
      }
    }
  }
}

TEST(BatchLoader, CutsBatchesIntoPieces) {
  const CountingSource source(13);
  const auto cut = [](std::int64_t count) {
    std::vector<std::int64_t> pieces;
    for (; count > 2; count -= 2) pieces.push_back(2);
    pieces.push_back(count);
    return pieces;
  };
  const LoaderOptions options{.batch_size = 8, .cut = cut};
  BatchLoader loader(source, options);
  std::vector<std::vector<std::int64_t>> seen;
  while (const SamplePiece* piece = loader.next()) {
    seen.push_back({piece->batch, piece->batch_count, piece->first, piece->count,
                    piece->last_in_batch, labels_of(*piece)[0]});
  }
  EXPECT_THAT(seen, ElementsAre(ElementsAre(0, 8, 0, 2, 0, 0), ElementsAre(0, 8, 2, 2, 0, 20),
                                ElementsAre(0, 8, 4, 2, 0, 40), ElementsAre(0, 8, 6, 2, 1, 60),
                                ElementsAre(1, 5, 0, 2, 0, 80), ElementsAre(1, 5, 2, 2, 0, 100),
                                ElementsAre(1, 5, 4, 1, 1, 120)));
  // Three slots, each of 2 samples of 2 floats, labels and indices of 8 bytes, all in lines of 64;
  // one scratch of 2 samples of 2 bytes and the source's 24.
  EXPECT_EQ(BatchLoader::bytes(source, options), 3 * (64 + 64 + 64) + 64 + 64u);
}

TEST(BatchLoader, RangeLimitsTheSamples) {
  const CountingSource source(10);
  BatchLoader loader(source, {.batch_size = 4, .shuffle = true, .range = {6, 9}});
  auto labels = drain_epoch(loader);
  std::sort(labels.begin(), labels.end());
  EXPECT_THAT(labels, ElementsAre(60, 70, 80));
}

TEST(BatchLoader, DropsTheLastPartialBatchIfAsked) {
  const CountingSource source(7);
  BatchLoader loader(source, {.batch_size = 3, .drop_last = true});
  EXPECT_EQ(loader.samples_per_epoch(), 6);
  EXPECT_THAT(drain_epoch(loader), ElementsAre(0, 10, 20, 30, 40, 50));
  BatchLoader none(source, {.batch_size = 8, .drop_last = true});
  EXPECT_EQ(none.next(), nullptr);
}

TEST(BatchLoader, HandsOutOtherTypes) {
  const CountingSource source(3);
  BatchLoader loader(source, {.feature_dtypes = {DType::kInt64}, .label_dtype = DType::kFloat32});
  const SamplePiece* piece = loader.next();
  const auto* x = reinterpret_cast<const std::int64_t*>(piece->features[0]);
  const auto* y = reinterpret_cast<const float*>(piece->labels);
  EXPECT_THAT(std::vector<std::int64_t>(x, x + 6), ElementsAre(0, 7, 1, 7, 2, 7));
  EXPECT_THAT(std::vector<float>(y, y + 3), ElementsAre(0, 10, 20));
}

TEST(BatchLoader, AnErrorArrivesInItsPlace) {
  const CountingSource source(100, 25);
  for (const int threads : {1, 3}) {
    BatchLoader loader(source, {.batch_size = 10, .threads = threads});
    EXPECT_EQ(labels_of(*loader.next())[0], 0);
    EXPECT_EQ(labels_of(*loader.next())[0], 100);
    EXPECT_EQ(error_of([&] { loader.next(); }), "[counting] sample 25 is broken");
    EXPECT_EQ(labels_of(*loader.next())[0], 300);
  }
}

TEST(BatchLoader, StopsAtAnyPoint) {
  const CountingSource source(100000);
  for (int pieces = 0; pieces < 20; ++pieces) {
    BatchLoader loader(source, {.batch_size = 16, .shuffle = true, .threads = 2});
    for (int i = 0; i < pieces; ++i) ASSERT_NE(loader.next(), nullptr);
  }
}

TEST(BatchLoader, RefusesABatchOfZero) {
  const CountingSource source(3);
  EXPECT_EQ(error_of([&] { BatchLoader loader(source, {.batch_size = 0}); }),
            "[batch-size] 0: must be at least 1");
}

}  // namespace
}  // namespace batchwise
