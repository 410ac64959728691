// SPDX-License-Identifier: Apache-2.0
#include "batchwise/dataset.h"

#include "api/state.h"
#include "base/check.h"
#include "data/batch_loader.h"

namespace batchwise {

struct Batches::State {
  std::shared_ptr<const DataSource> source;
  std::unique_ptr<BatchLoader> loader;
  Batch batch;
};

Batches::Batches(std::unique_ptr<State> state) : state_(std::move(state)) {}
Batches::Batches(Batches&&) noexcept = default;
Batches& Batches::operator=(Batches&&) noexcept = default;
Batches::~Batches() = default;

const Batch* Batches::next() {
  const SamplePiece* piece = state_->loader->next();
  if (piece == nullptr) return nullptr;
  Batch& batch = state_->batch;
  batch.count = piece->count;
  batch.epoch = piece->epoch;
  for (std::size_t f = 0; f < batch.features.size(); ++f) {
    batch.features[f].shape[0] = piece->count;
    batch.features[f].data = piece->features[f];
  }
  if (batch.labels.dtype != DType::kUndefined) {
    batch.labels.shape[0] = piece->count;
    batch.labels.data = piece->labels;
  }
  return &batch;
}

Dataset Dataset::open(const std::string& path, const DatasetOptions& options) {
  DataSpec spec = parse_data_spec(path);
  spec.limit = options.limit;
  spec.label = options.label;
  spec.cache.folder = options.cache_folder;
  if (!options.preferred_split.empty()) spec = with_default_split(spec, options.preferred_split);
  auto state = std::make_shared<State>();
  state->spec = spec;
  state->path = spec.split.empty() ? spec.path : spec.path + ":" + spec.split;
  state->source = open_data(spec);
  return Dataset(state);
}

const std::string& Dataset::path() const { return state_->path; }
std::int64_t Dataset::num_samples() const { return state_->source->num_samples(); }
bool Dataset::has_labels() const { return state_->source->label().has_value(); }
const std::vector<std::string>& Dataset::class_names() const {
  return state_->source->class_names();
}

std::vector<std::string> Dataset::feature_names() const {
  std::vector<std::string> names;
  for (const FeatureInfo& feature : state_->source->features()) names.push_back(feature.name);
  return names;
}

std::vector<std::int64_t> Dataset::feature_shape(std::size_t feature) const {
  const auto& features = state_->source->features();
  if (feature >= features.size()) {
    fail_input("dataset", "feature {} of {}", feature, features.size());
  }
  return features[feature].shape.dims();
}

Batches Dataset::batches(const BatchOptions& options) const {
  if (options.batch_size < 1) fail_input("batches", "batch size {} is below 1", options.batch_size);
  const DataSource& source = *state_->source;
  LoaderOptions loader;
  loader.batch_size = options.batch_size;
  loader.shuffle = options.shuffle;
  loader.seed = options.seed;
  loader.epochs = options.epochs;
  loader.drop_last = options.drop_last;
  loader.labels = source.label().has_value();
  loader.label_dtype = options.label_dtype;
  auto state = std::make_unique<Batches::State>();
  const auto view = [](DType dtype, std::vector<std::int64_t> shape) {
    shape.insert(shape.begin(), 0);
    return ConstTensorView{dtype, std::move(shape), nullptr};
  };
  for (const FeatureInfo& feature : source.features()) {
    state->batch.features.push_back(view(DType::kFloat32, feature.shape.dims()));
  }
  if (source.label()) {
    const DType dtype =
        options.label_dtype == DType::kUndefined ? source.label()->dtype : options.label_dtype;
    state->batch.labels = view(dtype, source.label()->shape.dims());
  }
  state->source = state_->source;
  state->loader = std::make_unique<BatchLoader>(source, loader);
  return Batches(std::move(state));
}

}  // namespace batchwise
