// SPDX-License-Identifier: Apache-2.0
#include "data/batch_loader.h"

#include <algorithm>
#include <cstdlib>
#include <new>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "data/convert.h"

namespace batchwise {
namespace {

constexpr std::size_t kAlignment = 64;
// Samples that are converted are read in pieces of about so many bytes.
constexpr std::size_t kConvertBytes = 64 * 1024;

std::size_t aligned(std::size_t bytes) {
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

SampleRange used_range(const DataSource& source, const LoaderOptions& options) {
  SampleRange range = options.range;
  if (range.end < 0) range.end = source.num_samples();
  BW_CHECK(range.begin >= 0 && range.begin <= range.end && range.end <= source.num_samples(),
           "samples {} to {} of {}", range.begin, range.end, source.num_samples());
  return range;
}

std::vector<std::int64_t> cut_batch(const LoaderOptions& options, std::int64_t count) {
  if (count == 0) return {};
  if (!options.cut) return {count};
  std::vector<std::int64_t> pieces = options.cut(count);
  BW_CHECK(std::accumulate(pieces.begin(), pieces.end(), std::int64_t{0}) == count &&
               std::all_of(pieces.begin(), pieces.end(), [](std::int64_t n) { return n > 0; }),
           "pieces of a batch of {}", count);
  return pieces;
}

// What converting one kind of value (a feature or the labels) takes.
struct Field {
  DType stored, given;
  std::int64_t elements;          // of a sample
  std::size_t offset = 0;         // in a slot
  std::size_t stored_offset = 0;  // in the scratch, where converted
  bool converted() const { return stored != given; }
  std::size_t stored_sample_bytes() const {
    return static_cast<std::size_t>(elements) * dtype_bytes(stored);
  }
  std::size_t sample_bytes() const {
    return static_cast<std::size_t>(elements) * dtype_bytes(given);
  }
};

}  // namespace

// Where everything lies in the loader's memory: slots, then a scratch a thread.
struct BatchLoader::Layout {
  SampleRange range;
  std::int64_t last_count = 0;  // samples of the last batch, if it is not full and is kept
  std::vector<std::int64_t> full_pieces, last_pieces;
  std::int64_t most_samples = 0;  // of a piece
  std::int64_t read_samples = 0;  // read at a time
  std::vector<Field> features;
  std::optional<Field> label;
  std::size_t slot_bytes = 0, scratch_bytes = 0;
  std::size_t source_scratch = 0, indices_offset = 0;  // in a scratch, in a slot
  std::size_t memory_bytes = 0, order_bytes = 0;

  Layout(const DataSource& source, const LoaderOptions& options);

 private:
  void place_fields();
  void add_fields(const DataSource& source, const LoaderOptions& options);
};

struct BatchLoader::Slot {
  SamplePiece piece;
  std::byte* memory = nullptr;
  std::vector<std::byte*> targets;  // where the source reads to
  bool full = false;                // guarded by mutex_
  std::exception_ptr error;
};

BatchLoader::Layout::Layout(const DataSource& source, const LoaderOptions& options) {
  range = used_range(source, options);
  if (options.batch_size < 1)
    fail_input("batch-size", "{}: must be at least 1", options.batch_size);
  BW_CHECK(options.threads >= 1 && options.pieces_ahead >= 1);
  const std::int64_t batch = std::min(options.batch_size, std::max<std::int64_t>(range.count(), 1));
  if (range.count() >= options.batch_size) full_pieces = cut_batch(options, batch);
  if (!options.drop_last) last_count = range.count() % options.batch_size;
  last_pieces = cut_batch(options, last_count);
  for (const auto* pieces : {&full_pieces, &last_pieces}) {
    for (const std::int64_t count : *pieces) most_samples = std::max(most_samples, count);
  }
  add_fields(source, options);
  place_fields();
  source_scratch = scratch_bytes;
  scratch_bytes += aligned(source.scratch_bytes());
  memory_bytes = slot_bytes * (static_cast<std::size_t>(options.pieces_ahead) + 1) +
                 scratch_bytes * static_cast<std::size_t>(options.threads);
  if (options.shuffle)
    order_bytes = static_cast<std::size_t>(range.count()) * sizeof(std::uint32_t);
}

void BatchLoader::Layout::add_fields(const DataSource& source, const LoaderOptions& options) {
  const auto& infos = source.features();
  for (std::size_t i = 0; i < infos.size(); ++i) {
    Field field{infos[i].dtype, DType::kFloat32, infos[i].shape.elements()};
    if (i < options.feature_dtypes.size() && options.feature_dtypes[i] != DType::kUndefined) {
      field.given = options.feature_dtypes[i];
    }
    features.push_back(field);
  }
  if (!options.labels || !source.label()) return;
  const LabelInfo& info = *source.label();
  label = Field{info.dtype, info.dtype, info.shape.elements()};
  if (options.label_dtype != DType::kUndefined) label->given = options.label_dtype;
}

void BatchLoader::Layout::place_fields() {
  std::vector<Field*> fields;
  for (Field& field : features) fields.push_back(&field);
  if (label) fields.push_back(&*label);
  std::size_t stored = 1;
  for (const Field* field : fields) {
    if (field->converted()) stored += field->stored_sample_bytes();
  }
  const auto fitting = static_cast<std::int64_t>(kConvertBytes / stored);
  read_samples = std::clamp<std::int64_t>(fitting, 1, std::max<std::int64_t>(most_samples, 1));
  for (Field* field : fields) {
    field->offset = slot_bytes;
    slot_bytes += aligned(static_cast<std::size_t>(most_samples) * field->sample_bytes());
    if (!field->converted()) continue;
    field->stored_offset = scratch_bytes;
    scratch_bytes += aligned(static_cast<std::size_t>(read_samples) * field->stored_sample_bytes());
  }
  indices_offset = slot_bytes;
  slot_bytes += aligned(static_cast<std::size_t>(most_samples) * sizeof(std::int64_t));
}

void BatchLoader::Freer::operator()(std::byte* memory) const { std::free(memory); }

BatchLoader::BatchLoader(const DataSource& source, LoaderOptions options)
    : source_(source),
      options_(std::move(options)),
      layout_(std::make_unique<const Layout>(source, options_)),
      num_batches_(layout_->range.count() / options_.batch_size + (layout_->last_count > 0)),
      memory_(static_cast<std::byte*>(
          std::aligned_alloc(kAlignment, std::max(layout_->memory_bytes, kAlignment)))),
      order_(layout_->order_bytes / sizeof(std::uint32_t)),
      epoch_(options_.first_epoch) {
  if (!memory_) {
    fail_environment("data", "no memory for buffers of {} bytes", layout_->memory_bytes);
  }
  slots_.resize(static_cast<std::size_t>(options_.pieces_ahead) + 1);
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    slot.memory = memory_.get() + i * layout_->slot_bytes;
    slot.targets.resize(layout_->features.size());
    for (const Field& field : layout_->features) {
      slot.piece.features.push_back(slot.memory + field.offset);
    }
    if (layout_->label) slot.piece.labels = slot.memory + layout_->label->offset;
  }
  begin_epoch();
  for (int i = 0; i < options_.threads; ++i) threads_.emplace_back([this, i] { work(i); });
}

BatchLoader::~BatchLoader() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  slot_free_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

std::int64_t BatchLoader::samples_per_epoch() const {
  const std::int64_t full = layout_->range.count() / options_.batch_size * options_.batch_size;
  return full + layout_->last_count;
}

std::size_t BatchLoader::bytes(const DataSource& source, const LoaderOptions& options) {
  const Layout layout(source, options);
  return layout.memory_bytes + layout.order_bytes;
}

void BatchLoader::begin_epoch() {
  batch_ = 0;
  if (options_.shuffle) fill_epoch_order(options_.seed, epoch_, order_);
}

// Gives the calling reader a free slot and the indices of its piece; false when all is read.
bool BatchLoader::take_ticket(Slot*& slot) {
  std::unique_lock lock(mutex_);
  const auto num_slots = static_cast<std::int64_t>(slots_.size());
  slot_free_.wait(lock, [&] { return stop_ || tickets_taken_ - pieces_released_ < num_slots; });
  if (stop_ || num_batches_ == 0 || epoch_ >= options_.first_epoch + options_.epochs) return false;
  slot = &slots_[static_cast<std::size_t>(tickets_taken_++ % num_slots)];
  const bool is_last_batch = batch_ + 1 == num_batches_;
  const bool is_partial = is_last_batch && layout_->last_count > 0;
  const auto& pieces = is_partial ? layout_->last_pieces : layout_->full_pieces;
  SamplePiece& piece = slot->piece;
  piece.epoch = epoch_;
  piece.batch = batch_;
  piece.batch_count = is_partial ? layout_->last_count : options_.batch_size;
  piece.first = first_;
  piece.count = pieces[piece_];
  piece.last_in_batch = piece_ + 1 == pieces.size();
  piece.last_in_epoch = piece.last_in_batch && is_last_batch;
  auto* indices = reinterpret_cast<std::int64_t*>(slot->memory + layout_->indices_offset);
  const std::int64_t begin = batch_ * options_.batch_size + first_;
  for (std::int64_t i = 0; i < piece.count; ++i) {
    const std::int64_t at = begin + i;
    indices[i] =
        layout_->range.begin +
        (options_.shuffle ? static_cast<std::int64_t>(order_[static_cast<std::size_t>(at)]) : at);
  }
  first_ += piece.count;
  ++piece_;
  if (!piece.last_in_batch) return true;
  first_ = 0;
  piece_ = 0;
  ++batch_;
  if (piece.last_in_epoch && ++epoch_ < options_.first_epoch + options_.epochs) begin_epoch();
  return true;
}

void BatchLoader::fill(Slot& slot, std::byte* scratch) const {
  const auto* indices = reinterpret_cast<std::int64_t*>(slot.memory + layout_->indices_offset);
  const std::span<std::byte> source_scratch(scratch + layout_->source_scratch,
                                            source_.scratch_bytes());
  for (std::int64_t i = 0; i < slot.piece.count; i += layout_->read_samples) {
    const std::int64_t count = std::min(layout_->read_samples, slot.piece.count - i);
    const auto target = [&](const Field& field) {
      return field.converted()
                 ? scratch + field.stored_offset
                 : slot.memory + field.offset + static_cast<std::size_t>(i) * field.sample_bytes();
    };
    const auto convert = [&](const Field& field) {
      if (!field.converted()) return;
      convert_elements(
          field.stored, scratch + field.stored_offset, field.given,
          slot.memory + field.offset + static_cast<std::size_t>(i) * field.sample_bytes(),
          count * field.elements, source_.path().c_str());
    };
    std::transform(layout_->features.begin(), layout_->features.end(), slot.targets.begin(),
                   target);
    source_.read({indices + i, static_cast<std::size_t>(count)}, slot.targets,
                 layout_->label ? target(*layout_->label) : nullptr, source_scratch);
    for (const Field& field : layout_->features) convert(field);
    if (layout_->label) convert(*layout_->label);
  }
}

void BatchLoader::work(int thread) {
  std::byte* scratch = memory_.get() + slots_.size() * layout_->slot_bytes +
                       static_cast<std::size_t>(thread) * layout_->scratch_bytes;
  Slot* slot = nullptr;
  while (take_ticket(slot)) {
    try {
      fill(*slot, scratch);
    } catch (...) {
      slot->error = std::current_exception();
    }
    {
      const std::lock_guard lock(mutex_);
      slot->full = true;
    }
    slot_full_.notify_one();
  }
}

const SamplePiece* BatchLoader::next() {
  const auto num_slots = static_cast<std::int64_t>(slots_.size());
  std::unique_lock lock(mutex_);
  if (pieces_released_ < pieces_given_) {
    slots_[static_cast<std::size_t>(pieces_released_ % num_slots)].full = false;
    ++pieces_released_;
    slot_free_.notify_all();
  }
  const bool ended = num_batches_ == 0 || epoch_ >= options_.first_epoch + options_.epochs;
  if (ended && pieces_given_ == tickets_taken_) return nullptr;
  Slot& slot = slots_[static_cast<std::size_t>(pieces_given_ % num_slots)];
  slot_full_.wait(lock, [&] { return slot.full; });
  ++pieces_given_;
  if (slot.error) std::rethrow_exception(std::exchange(slot.error, nullptr));
  return &slot.piece;
}

}  // namespace batchwise
