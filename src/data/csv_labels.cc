// SPDX-License-Identifier: Apache-2.0
#include "data/csv_labels.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"
#include "data/csv_lines.h"
#include "data/formats.h"

namespace batchwise {
namespace {

// More different texts are no classes; more different numbers may still be targets.
constexpr std::size_t kMaxTexts = 65536;
constexpr double kLargestExactInteger = 9007199254740992.0;  // 2^53

}  // namespace

CsvLabels::CsvLabels(CacheBudget& budget, const std::string& path)
    : budget_(budget), path_(path), records_(budget, path) {}

std::int64_t CsvLabels::intern(std::string_view cell, const std::string& where) {
  if (const auto found = text_ids_.find(std::string(cell)); found != text_ids_.end()) {
    return found->second;
  }
  if (text_ids_.size() == kMaxTexts) {
    if (is_text_) fail_input(where, "label '{}': more than {} classes", printable(cell), kMaxTexts);
    has_all_texts_ = false;
    return -1;
  }
  const auto id = static_cast<std::int64_t>(text_ids_.size());
  text_ids_.emplace(cell, id);
  return id;
}

void CsvLabels::add(std::string_view cell, const std::string& where, bool keep) {
  if (cell.empty()) fail_input(where, "the label is empty");
  const std::optional<double> value = parse_number(cell);
  if (!value && looks_numeric(cell)) {
    fail_input(where, "the label '{}' is not a finite number", printable(cell));
  }
  if (!value && !has_all_texts_) {
    fail_input(where, "the label '{}' is not a number, those before it are", printable(cell));
  }
  is_text_ = is_text_ || !value;
  const bool is_integer =
      value && *value == std::floor(*value) && std::abs(*value) <= kLargestExactInteger;
  is_integer_ = is_integer_ && is_integer;
  const Record record{value.value_or(0), has_all_texts_ ? intern(cell, where) : -1};
  if (!keep) return;
  records_.append(std::as_bytes(std::span(&record, 1)));
  ++rows_;
}

ArraySource::Label CsvLabels::finish() {
  ArraySource::Label label;
  std::vector<std::int64_t> class_of_text;
  if (is_text_) {
    for (const auto& [text, id] : text_ids_) label.class_names.push_back(text);
    std::sort(label.class_names.begin(), label.class_names.end());
    class_of_text.resize(label.class_names.size());
    for (std::size_t i = 0; i < label.class_names.size(); ++i) {
      const auto id = text_ids_.at(label.class_names[i]);
      class_of_text[static_cast<std::size_t>(id)] = static_cast<std::int64_t>(i);
    }
  }
  text_ids_ = {};
  label.column = rewrite(class_of_text);
  return label;
}

// What a label is was known only at the end of the column.
ArrayColumn CsvLabels::rewrite(const std::vector<std::int64_t>& class_of_text) {
  const std::shared_ptr<const InputFile> records = records_.finish();
  CacheFile values(budget_, path_);
  std::vector<Record> block(4096);
  for (std::int64_t row = 0; row < rows_;) {
    const std::int64_t count = std::min<std::int64_t>(rows_ - row, 4096);
    const auto used = std::span(block).first(static_cast<std::size_t>(count));
    records->read_at(row * static_cast<std::int64_t>(sizeof(Record)), std::as_writable_bytes(used));
    for (const Record& record : used) {
      std::int64_t id = 0;
      const auto target = static_cast<float>(record.value);
      if (is_text_) {
        id = class_of_text[static_cast<std::size_t>(record.text_id)];
      } else if (is_integer_) {
        id = static_cast<std::int64_t>(record.value);
      }
      values.append(is_text_ || is_integer_ ? std::as_bytes(std::span(&id, 1))
                                            : std::as_bytes(std::span(&target, 1)));
    }
    row += count;
  }
  ArrayColumn column;
  column.stored = is_text_ || is_integer_ ? DType::kInt64 : DType::kFloat32;
  column.segments.push_back({values.finish(), 0, column.row_bytes(), rows_});
  return column;
}

}  // namespace batchwise
