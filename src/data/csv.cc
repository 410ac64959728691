// SPDX-License-Identifier: Apache-2.0
// A CSV file is read once: features go as float32 to a cache file, labels to another.
#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "base/check.h"
#include "data/array_source.h"
#include "data/csv_labels.h"
#include "data/csv_lines.h"
#include "data/formats.h"

namespace batchwise {
namespace {

constexpr std::size_t kNoColumn = static_cast<std::size_t>(-1);

using Fields = std::vector<std::string_view>;

std::vector<std::string> copy_of(const Fields& fields) {
  return std::vector<std::string>(fields.begin(), fields.end());
}

float parse_non_finite(std::string_view cell) {
  const bool is_nan = cell.find_first_of("aA") != std::string_view::npos;
  if (is_nan) return std::numeric_limits<float>::quiet_NaN();
  return cell.starts_with('-') ? -std::numeric_limits<float>::infinity()
                               : std::numeric_limits<float>::infinity();
}

// Reads one file; used once.
class CsvParser {
 public:
  CsvParser(const DataSpec& spec, CacheBudget& budget)
      : spec_(spec),
        lines_(open_stream(InputFile::open(spec.path)), spec.path),
        features_(budget, spec.path),
        labels_(budget, spec.path) {}

  std::unique_ptr<DataSource> parse() {
    Fields fields;
    if (!lines_.next(fields)) fail_input(spec_.path, "has no lines");
    const std::vector<std::string> first = copy_of(fields);
    const std::string first_where = lines_.where();
    const bool has_second = lines_.next(fields);
    choose_columns(first);
    if (!is_header(first, has_second ? &fields : nullptr)) {
      add_row(Fields(first.begin(), first.end()), first_where);
    }
    for (bool more = has_second; more && wants_more(); more = lines_.next(fields)) {
      add_row(fields, lines_.where());
    }
    return finish();
  }

 private:
  bool is_full() const { return spec_.limit >= 0 && rows_ >= spec_.limit; }
  // Texts past the limit are classes too, so that an id does not depend on the limit.
  bool wants_more() const { return !is_full() || labels_.is_text(); }

  void choose_columns(const std::vector<std::string>& first) {
    columns_ = first.size();
    label_ = columns_ - 1;
    if (!spec_.label.empty()) {
      const auto found = std::find(first.begin(), first.end(), spec_.label);
      label_ = found == first.end() ? kNoColumn : static_cast<std::size_t>(found - first.begin());
      if (found == first.end() && spec_.label != "none") {
        std::string names = fmt::format("{}", fmt::join(first, ", "));
        fail_input(spec_.path, "has no column '{}' in its first line, only: {}", spec_.label,
                   printable(names));
      }
    }
    if (columns_ == 1 && label_ == 0) {
      fail_input(spec_.path, "one column only: at least one besides the label is needed");
    }
    row_.resize(columns_ - (label_ == kNoColumn ? 0 : 1));
  }

  // A first line is a header where no feature in it is a number, or where its label alone is not
  // and the next one's is.
  bool is_header(const std::vector<std::string>& first, const Fields* second) const {
    if (!spec_.label.empty() && label_ != kNoColumn) return true;
    std::size_t numbers = 0;
    for (std::size_t i = 0; i < columns_; ++i) {
      if (i != label_ && looks_numeric(first[i])) ++numbers;
    }
    if (numbers == 0) return true;
    if (numbers < row_.size() || label_ == kNoColumn || second == nullptr) return false;
    return second->size() == columns_ && !looks_numeric(first[label_]) &&
           looks_numeric((*second)[label_]);
  }

  void add_row(const Fields& fields, const std::string& where) {
    if (fields.size() != columns_) {
      fail_input(where, "{} fields where the first line has {}", fields.size(), columns_);
    }
    const bool keep = !is_full();
    if (label_ != kNoColumn) labels_.add(fields[label_], where, keep);
    if (!keep) return;
    std::size_t next = 0;
    for (std::size_t i = 0; i < columns_; ++i) {
      if (i != label_) row_[next++] = feature(fields[i], i, where);
    }
    features_.append(std::as_bytes(std::span(row_)));
    ++rows_;
  }

  float feature(std::string_view cell, std::size_t column, const std::string& where) const {
    const std::optional<double> value = parse_number(cell);
    if (!value && spec_.accept_non_finite && looks_numeric(cell)) return parse_non_finite(cell);
    const auto narrow = static_cast<float>(value.value_or(0));
    if (!value || !std::isfinite(narrow)) {
      fail_input(where, "field {} is '{}', not a finite number", column + 1, printable(cell));
    }
    return narrow;
  }

  std::unique_ptr<DataSource> finish() {
    if (rows_ == 0) fail_input(spec_.path, "has no samples below its header");
    std::vector<ArraySource::Feature> features(1);
    ArraySource::Feature& only = features[0];
    only.shape = Shape{static_cast<std::int64_t>(row_.size())};
    only.column.stored = DType::kFloat32;
    only.column.elements = only.shape[0];
    only.column.segments.push_back({features_.finish(), 0, only.column.row_bytes(), rows_});
    std::optional<ArraySource::Label> label;
    if (label_ != kNoColumn) label = labels_.finish();
    return std::make_unique<ArraySource>(spec_.path, std::move(features), std::move(label));
  }

  const DataSpec& spec_;
  CsvLines lines_;
  CacheFile features_;
  CsvLabels labels_;
  std::size_t columns_ = 0;
  std::size_t label_ = kNoColumn;
  std::vector<float> row_;
  std::int64_t rows_ = 0;
};

std::unique_ptr<DataSource> open_csv(const DataSpec& spec, CacheBudget& budget) {
  return CsvParser(spec, budget).parse();
}

bool is_csv(const std::string& path) {
  return ends_with_ignoring_case(path, ".csv") || ends_with_ignoring_case(path, ".csv.gz");
}

}  // namespace

const DataFormat kCsvFormat{"csv", is_csv, no_splits, open_csv};

}  // namespace batchwise
