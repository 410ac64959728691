// SPDX-License-Identifier: Apache-2.0
#include "data/data_statistics.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "data/convert.h"

namespace batchwise {
namespace {

constexpr std::size_t kBlockBytes = 512 * 1024;

// Calls visit(first sample, count) for blocks whose indices lie in `indices`.
template <typename Visit>
void for_blocks(SampleRange range, std::int64_t block, std::vector<std::int64_t>& indices,
                Visit&& visit) {
  for (std::int64_t first = range.begin; first < range.end; first += block) {
    const std::int64_t count = std::min(block, range.end - first);
    indices.resize(static_cast<std::size_t>(count));
    std::iota(indices.begin(), indices.end(), first);
    visit(first, count);
  }
}

template <typename Visit>
void for_labels(const DataSource& source, SampleRange range, Visit&& visit) {
  if (!source.label() || source.label()->dtype != DType::kInt64) {
    fail_input(source.path(), "{} where class ids are needed",
               source.label() ? "targets that are not integers" : "no labels");
  }
  const std::int64_t elements = source.label()->shape.elements();
  const std::int64_t block = std::max<std::int64_t>(
      static_cast<std::int64_t>(kBlockBytes / 16) / std::max<std::int64_t>(elements, 1), 1);
  std::vector<std::int64_t> indices;
  std::vector<std::int64_t> labels(
      static_cast<std::size_t>(std::min(block, range.count()) * elements));
  const std::vector<std::byte*> no_features(source.features().size(), nullptr);
  std::vector<std::byte> scratch(source.scratch_bytes());
  for_blocks(range, block, indices, [&](std::int64_t first, std::int64_t count) {
    source.read(indices, no_features, reinterpret_cast<std::byte*>(labels.data()), scratch);
    for (std::int64_t i = 0; i < count * elements; ++i) {
      visit(first + i / elements, labels[static_cast<std::size_t>(i)]);
    }
  });
}

// Running mean and sum of squared differences (Welford): exact enough for any number of samples.
struct Moments {
  std::int64_t count = 0;
  double mean = 0, squares = 0;
  void add(double value) {
    ++count;
    const double difference = value - mean;
    mean += difference / static_cast<double>(count);
    squares += difference * (value - mean);
  }
};

// Bytes have 256 values: how often each occurs says all, exactly.
Moments moments_of(const std::vector<std::int64_t>& histogram) {
  Moments moments;
  double sum = 0;
  for (std::size_t value = 0; value < histogram.size(); ++value) {
    moments.count += histogram[value];
    sum += static_cast<double>(value) * static_cast<double>(histogram[value]);
  }
  if (moments.count == 0) return moments;
  moments.mean = sum / static_cast<double>(moments.count);
  for (std::size_t value = 0; value < histogram.size(); ++value) {
    const double difference = static_cast<double>(value) - moments.mean;
    moments.squares += difference * difference * static_cast<double>(histogram[value]);
  }
  return moments;
}

LabelRange read_labels(const DataSource& source, SampleRange range) {
  LabelRange result{std::numeric_limits<std::int64_t>::max(),
                    std::numeric_limits<std::int64_t>::min()};
  for_labels(source, range, [&](std::int64_t, std::int64_t label) {
    result.min = std::min(result.min, label);
    result.max = std::max(result.max, label);
  });
  return result.min <= result.max ? result : LabelRange{};
}

}  // namespace

ChannelStatistics channel_statistics(const DataSource& source, std::size_t feature,
                                     SampleRange range) {
  const FeatureInfo& info = source.features().at(feature);
  const auto channels = static_cast<std::size_t>(info.shape.rank() == 3 ? info.shape[0] : 1);
  const auto elements = static_cast<std::size_t>(info.shape.elements());
  const std::size_t area = elements / channels;
  const bool is_bytes = info.dtype == DType::kUInt8;
  std::vector<std::vector<std::int64_t>> histograms(is_bytes ? channels : 0,
                                                    std::vector<std::int64_t>(256));
  std::vector<Moments> moments(channels);
  const auto block =
      static_cast<std::int64_t>(std::max<std::size_t>(kBlockBytes / (info.sample_bytes() + 8), 1));
  std::vector<std::byte> values(static_cast<std::size_t>(std::min(block, range.count())) *
                                info.sample_bytes());
  std::vector<float> sample(is_bytes ? 0 : elements);
  std::vector<std::byte> scratch(source.scratch_bytes());
  std::vector<std::byte*> targets(source.features().size(), nullptr);
  targets[feature] = values.data();
  std::vector<std::int64_t> indices;
  for_blocks(range, block, indices, [&](std::int64_t, std::int64_t count) {
    source.read(indices, targets, nullptr, scratch);
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      const std::byte* row = values.data() + i * info.sample_bytes();
      if (is_bytes) {
        for (std::size_t e = 0; e < elements; ++e) {
          ++histograms[e / area][static_cast<std::size_t>(row[e])];
        }
        continue;
      }
      convert_elements(info.dtype, row, DType::kFloat32,
                       reinterpret_cast<std::byte*>(sample.data()),
                       static_cast<std::int64_t>(elements), source.path().c_str());
      for (std::size_t e = 0; e < elements; ++e) moments[e / area].add(sample[e]);
    }
  });
  ChannelStatistics result;
  for (std::size_t c = 0; c < channels; ++c) {
    if (is_bytes) moments[c] = moments_of(histograms[c]);
    result.mean.push_back(moments[c].mean);
    const auto count = static_cast<double>(std::max<std::int64_t>(moments[c].count, 1));
    result.std.push_back(std::sqrt(moments[c].squares / count));
  }
  return result;
}

LabelRange label_range(const DataSource& source, SampleRange range) {
  if (range.begin > 0 || range.end < source.num_samples()) return read_labels(source, range);
  return source.known_labels([&] { return read_labels(source, range); });
}

void check_labels(const DataSource& source, std::int64_t classes) {
  const LabelRange found = label_range(source, {0, source.num_samples()});
  if (found.min >= 0 && found.max < classes) return;
  for_labels(source, {0, source.num_samples()}, [&](std::int64_t sample, std::int64_t label) {
    if (label >= 0 && label < classes) return;
    fail_input(source.path(), "sample {} has label {}, the model has {} classes (0 to {})", sample,
               label, classes, classes - 1);
  });
}

}  // namespace batchwise
