// SPDX-License-Identifier: Apache-2.0
// A sample's outputs have the same bits at every batch size, position and number of threads, with
// vectors of 128, 256 and 512 bits, on whatever machine has fused multiply-add.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>

#include "base/sha256.h"
#include "fixed_models.h"
#include "predict/predictor.h"
#include "program_runs.h"

namespace batchwise::properties {
namespace {

struct PredictCase {
  std::string name;
  Graph graph;
  std::vector<std::int64_t> batches;  // the last one is the number of samples
  std::string sha256;                 // of all outputs, with fused multiply-add
};

std::vector<std::int64_t> sizes_to(std::int64_t all_up_to, std::vector<std::int64_t> more) {
  std::vector<std::int64_t> sizes;
  for (std::int64_t size = 2; size <= all_up_to; ++size) sizes.push_back(size);
  sizes.insert(sizes.end(), more.begin(), more.end());
  return sizes;
}

std::vector<std::int64_t> all_sizes() {
  return sizes_to(64, {100, 127, 128, 255, 256, 512, 1000, 1024});
}

std::string hash_of(const std::vector<Bytes>& outputs) {
  Sha256 sha256;
  for (const Bytes& bytes : outputs) sha256.update(bytes.data(), bytes.size());
  return sha256.hex();
}

// Every batch size, thread count and instruction set against each sample run alone.
void check_case(const PredictCase& predict_case, const std::vector<std::int64_t>& threaded) {
  const Samples samples = fixed_samples(predict_case.graph, predict_case.batches.back(), 7);
  for (const VectorSetting& vectors : available_vectors(true)) {
    const VectorCap cap(vectors);
    const auto model = std::make_shared<EngineModel>(predict_case.graph, ModelOptions{});
    const ProgramSource programs = programs_of(model);
    const std::vector<Bytes> expected = run_one_by_one(programs, samples);
    const std::string name = predict_case.name + " on " + vectors.name();
    // Narrow vectors are slow, and here for the hash: fewer sizes tell enough.
    const auto& alone = vectors.narrow ? threaded : predict_case.batches;
    EXPECT_EQ(find_batch_difference(programs, samples, expected, alone, 1), "") << name;
    for (const int threads : {2, 4}) {
      if (vectors.narrow && threads == 4) continue;
      EXPECT_EQ(find_batch_difference(programs, samples, expected, threaded, threads), "") << name;
    }
    if (vectors.is_fused()) {
      EXPECT_EQ(hash_of(expected), predict_case.sha256) << name;
    }
  }
}

TEST(PredictBits, Mlp) {
  check_case({"mlp", fixed_architecture("mlp", {784}), all_sizes(),
              "8bd18d62dbb7ab10ee81baa9225f912fb4b626fae09cda065db164627dcb60b3"},
             all_sizes());
}

TEST(PredictBits, Cnn) {
  check_case({"cnn", fixed_architecture("cnn", {1, 28, 28}),
              sizes_to(20, {31, 32, 33, 63, 64, 65, 100, 128, 256, 500, 1024}),
              "69c4509fa5420a8d4ba9e43ce1563a592e80d2a8912ce29a9a3b91bc476a2d2a"},
             {1, 3, 8, 33, 100});
}

TEST(PredictBits, ResNet20) {
  check_case({"resnet20", fixed_architecture("resnet20", {3, 8, 8}),
              sizes_to(20, {31, 32, 33, 63, 64, 65, 100, 128, 256, 500, 1024}),
              "841abf3ab8d8759f17ec9c37c24a562a98a8724307ed2fd4e1d869cac4531ac8"},
             {1, 3, 16, 33, 100});
}

TEST(PredictBits, ResNet20OfLargeImages) {
  check_case({"resnet20, 32 x 32",
              fixed_architecture("resnet20", {3, 32, 32}),
              {2, 3, 5, 8, 13, 16},
              "a06793e5bd8ebd62465f55cff77c9fd28cf1f944def689798d8ed95bc77277a1"},
             {1, 3, 16});
}

struct LayerRow {
  std::int64_t k, n;
  const char* sha256;
};
constexpr LayerRow kLayers[] = {
    {2048, 1, "7db81543c2ef910627dbed8ff90d4da58df4c82e8a2d6b87ff11593cd57755fd"},
    {2048, 2, "bab6bba21b3cda82bd1a239b792bbd336a0c2f762a59f76104d0cbf622b16b56"},
    {2048, 10, "7d2ae1a571694fc9b10087099302a7556595de8ab52f7404592ddc815754aec8"},
    {4097, 1, "5658a9dd93cc148d9747090e868ca27ee6f5eb4102047f39a90b093002002753"},
    {4097, 2, "c65adede3b00e4377828438d098af758cfac1be4617cedff163327b1c465a3d4"},
    {4097, 10, "64ab73d0454c09fcea22369fbcd875b7266154d7c54db148e3d1aca668754143"},
    {9216, 1, "adec010e0e3a19a5d27693aab0370bddf5b0d27d461287298fe45e5d216ecfef"},
    {9216, 2, "d0a2b1ae7e14e73ddca3073602cb73d5d5d2836ab1bc7cbf51f04bb250a97339"},
    {9216, 10, "ee4ea16cc28609953440a7ee86ddde179abfcff76425bba18dea5ecb036b14f6"},
    {25088, 1, "4a5a187c20e2912eff91c12c4da8901b3847c5793814496ea03d6007fcea5ace"},
    {25088, 2, "db1e05ec95fea44945e4e2eca7a26891b63faf4ae9b9e37868a6889cdc48944e"},
    {25088, 10, "fb16bf22ed4f80158311c3eaabe5b725b206fe254208ca027399a45d997296bc"},
    {300, 1000, "c32bd627abd8122987be187cfad3714530f53ac93431b8027eca5a725115bc2a"},
    {1, 1, "a64062f041819c3ec407dc3b0e5d4f6701f45d831b05bf984e2321303923bd0b"},
};

TEST(PredictBits, LongSums) {
  for (const LayerRow& row : kLayers) {
    const std::vector<std::int64_t> batches =
        row.k > 3000 ? sizes_to(17, {31, 32, 33, 64, 100}) : all_sizes();
    check_case(
        {fmt::format("{} x {}", row.k, row.n), fixed_layer(row.k, row.n), batches, row.sha256},
        {1, 2, 8, 33, batches.back()});
  }
}

// A batch in slices: every sample as if it were alone.
TEST(PredictBits, MicroBatches) {
  const Graph graph = fixed_architecture("mlp", {784});
  const auto model = std::make_shared<EngineModel>(graph, ModelOptions{});
  const Samples samples = fixed_samples(graph, 1000, 7);
  const std::vector<Bytes> expected = run_one_by_one(programs_of(model), samples);
  for (const std::int64_t micro_batch : {1, 3, 64, 100, 333, 1000}) {
    Predictor predictor(model, micro_batch, 2);
    for (const std::int64_t count : {1, 2, 99, 500, 1000}) {
      Bytes got(static_cast<std::size_t>(count * predictor.output_bytes(0)));
      const void* input = samples.inputs[0].data();
      void* output = got.data();
      predictor.run({&input, 1}, count, {&output, 1});
      EXPECT_EQ(got, Bytes(expected[0].begin(), expected[0].begin() + std::ptrdiff_t(got.size())))
          << count << " samples in micro-batches of " << micro_batch;
    }
  }
}

}  // namespace
}  // namespace batchwise::properties
