// SPDX-License-Identifier: Apache-2.0
#include "cli/arguments.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <system_error>

namespace batchwise {
namespace {

[[noreturn]] void fail_argument(const std::string& where, const std::string& what,
                                std::string hint = {}) {
  throw Error(ErrorCode::kInvalidInput, fmt::format("[{}] {}", where, what), std::move(hint));
}

constexpr const char* kDataHelp =
    "DATA is one of\n"
    "  digits.csv, digits.csv.gz   a sample a line; the label in the last column or that of "
    "--label\n"
    "  data.npz                    x, or the names of the model's inputs, and y\n"
    "  inputs.npy                  inputs only\n"
    "  mnist/                      a folder with MNIST's IDX files, .gz or not; a file of images\n"
    "                              alone has no labels\n"
    "  photos/                     a folder of JPEG or PNG images for each class, with or without\n"
    "                              train/ and test/ above them; photos.tar, photos.tar.gz too\n"
    "  cifar-10-batches-bin/       CIFAR-10's binary files, or one of them\n"
    "Without :train or :test, fit and study take train and the others test, where there are "
    "both.\n";

bool ends_with_any(const std::string& word, std::initializer_list<const char*> endings) {
  return std::any_of(endings.begin(), endings.end(),
                     [&](const char* ending) { return word.ends_with(ending); });
}

// How many words are neither flags nor values of flags.
std::size_t count_positionals(const CLI::App& app, const std::vector<std::string>& words) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const bool flag = words[i].size() > 1 && words[i].front() == '-';
    if (!flag) {
      ++count;
      continue;
    }
    const CLI::Option* option = app.get_option_no_throw(words[i]);
    if (option != nullptr && option->get_items_expected_max() > 0) ++i;
  }
  return count;
}

std::size_t required_positionals(const CLI::App& app) {
  const auto positionals = app.get_options(
      [](const CLI::Option* option) { return option->get_positional() && option->get_required(); });
  return positionals.size();
}

// "--json" may stand alone or before a file. The word behind it is a file where the command has all
// it needs without that word; a model or data is never where a result goes.
void settle_json(const CLI::App& app, std::vector<std::string>& words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (words[i] != "--json") continue;
    const auto next = words.begin() + static_cast<std::ptrdiff_t>(i) + 1;
    words[i] = "--json=-";
    if (next == words.end() || next->empty() || next->front() == '-' ||
        ends_with_any(*next, {".onnx", ".npy", ".npz", ".csv", ".gz"})) {
      continue;
    }
    const std::string file = *next;
    words.erase(next);
    if (count_positionals(app, words) >= required_positionals(app)) {
      words[i] = "--json=" + file;
    } else {
      words.insert(words.begin() + static_cast<std::ptrdiff_t>(i) + 1, file);
    }
  }
}

std::optional<std::int64_t> to_integer(const std::string& text) {
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end || text.empty()) return std::nullopt;
  return value;
}

std::size_t edit_distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1] ? 1u : 0u)});
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

std::string nearest_word(const std::string& word, const std::vector<std::string>& known) {
  std::string best;
  std::size_t least = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (const std::string& candidate : known) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

std::int64_t parse_count(const std::string& text, const std::string& flag) {
  if (text == "auto") return 0;
  const auto value = to_integer(text);
  if (!value) fail_argument(flag, fmt::format("'{}' is no number; write 32 or auto", text));
  if (*value < 1) fail_argument(flag, fmt::format("{} is below 1", *value));
  return *value;
}

std::vector<std::int64_t> parse_count_list(const std::string& text, const std::string& flag) {
  std::vector<std::int64_t> sizes;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(',', at), text.size());
    const std::string item = text.substr(at, end - at);
    const std::size_t dots = item.find("..");
    if (dots == std::string::npos) {
      sizes.push_back(parse_count(item, flag));
    } else {
      const std::int64_t first = parse_count(item.substr(0, dots), flag);
      const std::int64_t last = parse_count(item.substr(dots + 2), flag);
      if (first < 1 || last < first) fail_argument(flag, fmt::format("{} is no range", item));
      for (std::int64_t size = first; size < last; size *= 2) sizes.push_back(size);
      sizes.push_back(last);
    }
    at = end + 1;
  }
  return sizes;
}

double parse_rate(const std::string& text) {
  double rate = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, rate);
  const std::string unit(stop, end);
  if (error != std::errc() || !(rate > 0) || (!unit.empty() && unit != "/s" && unit != "/min")) {
    fail_argument("--rate", fmt::format("'{}' is none", text), "write 500/s");
  }
  return unit == "/min" ? rate / 60 : rate;
}

void parse_rows(const std::string& text, std::int64_t& low, std::int64_t& high) {
  const std::size_t dots = text.find("..");
  low = parse_count(text.substr(0, dots), "--rows");
  high = dots == std::string::npos ? low : parse_count(text.substr(dots + 2), "--rows");
  if (low < 1 || high < low) {
    fail_argument("--rows", fmt::format("'{}' is none", text), "write 4, or 1..16");
  }
}

std::vector<std::int64_t> parse_dimensions(const std::string& text, char separator,
                                           const std::string& flag) {
  std::vector<std::int64_t> dims;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t end = std::min(text.find(separator, at), text.size());
    const auto value = to_integer(text.substr(at, end - at));
    if (!value || *value < 1) fail_argument(flag, fmt::format("'{}' is no list of sizes", text));
    dims.push_back(*value);
    at = end + 1;
  }
  return dims;
}

Arguments::Arguments(const Command& command)
    : command_(command),
      app_(std::string(command.summary), "batchwise " + std::string(command.name)) {
  app_.footer("Example:\n  " + std::string(command.example));
  app_.get_formatter()->column_width(30);
  app_.allow_extras();
  app_.add_flag("--quiet", quiet_, "no progress");
  app_.add_option("--json", json_, "the result as JSON, to standard output or FILE")
      ->type_name("[FILE]")
      ->expected(0, 1);
}

void Arguments::add_data(bool required) {
  app_.add_option("--data", data_, "the data: a path, :train or :test at its end for a split")
      ->type_name("DATA")
      ->required(required);
  app_.footer(fmt::format("{}\n{}", kDataHelp, app_.get_footer()));
  app_.add_option("--limit", limit_,
                  "only the first N samples; of class folders the first of each class in turn")
      ->type_name("N");
  app_.add_option("--label", label_, "column or array with the labels; none: there is none")
      ->type_name("NAME");
}

void Arguments::add_resources() {
  app_.add_option("--threads", threads_, "default: the cores this process may use")->type_name("N");
  app_.add_option("--memory-limit", memory_limit_,
                  "for the whole process (512MiB, 2GiB); default: what the system has left")
      ->type_name("SIZE");
  app_.add_option("--isa", isa_, "widest instruction set: auto, avx512, avx2, sse4")
      ->type_name("NAME")
      ->envname("BATCHWISE_ISA");
}

void Arguments::add_seed() { app_.add_option("--seed", seed_, "default 0")->type_name("N"); }

std::string Arguments::suggest(const std::string& word) const {
  std::vector<std::string> known;
  for (const CLI::Option* option : app_.get_options()) {
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  }
  const std::string near = nearest_word(word.substr(0, word.find('=')), known);
  if (!near.empty()) return fmt::format("did you mean {}?", near);
  return fmt::format("batchwise {} --help lists the flags", command_.name);
}

bool Arguments::parse(std::vector<std::string> words) {
  settle_json(app_, words);
  std::reverse(words.begin(), words.end());
  const std::string name(command_.name);
  try {
    app_.parse(words);
  } catch (const CLI::CallForHelp&) {
    fmt::print("{}", app_.help());
    return false;
  } catch (const CLI::RequiredError& error) {
    // What is not understood explains what is missing: "--dta" for "--data".
    for (const std::string& word : app_.remaining()) {
      if (word.size() > 1 && word[0] == '-')
        fail_argument(name, "unknown flag " + word, suggest(word));
    }
    fail_argument(name, error.what(), fmt::format("batchwise {} {}", name, command_.usage));
  } catch (const CLI::ParseError& error) {
    fail_argument(name, error.what(), fmt::format("batchwise {} --help", name));
  }
  for (const std::string& word : app_.remaining()) {
    const bool flag = word.size() > 1 && word[0] == '-';
    fail_argument(name, fmt::format("unknown {} {}", flag ? "flag" : "argument", word),
                  flag ? suggest(word) : fmt::format("batchwise {} {}", name, command_.usage));
  }
  if (!threads_.empty() && threads_ != "auto") {
    const auto threads = to_integer(threads_);
    if (!threads || *threads < 1 || *threads > 1024) {
      fail_argument("--threads", fmt::format("'{}' is no number from 1 to 1024", threads_));
    }
  }
  if (!memory_limit_.empty()) parse_size(memory_limit_, "--memory-limit");
  if (!seed_.empty()) {
    const auto seed = to_integer(seed_);
    if (!seed || *seed < 0) fail_argument("--seed", fmt::format("'{}' is no number from 0", seed_));
  }
  if (!json_.empty() && json_ != "-") {  // asked before the work
    keep_data(json_);
    require_writable(json_);
  }
  cap_instruction_set(isa_);
  return true;
}

std::uint64_t Arguments::seed() const {
  return static_cast<std::uint64_t>(to_integer(seed_).value_or(0));
}

Resources Arguments::resources(bool training) const {
  Resources resources;
  const auto threads = to_integer(threads_);
  resources.threads = threads ? static_cast<int>(*threads) : usable_threads();
  if (!memory_limit_.empty()) {
    resources.memory_limit_bytes = parse_size(memory_limit_, "--memory-limit");
  }
  resources.base = measure_memory_base(resources.threads, training);
  return resources;
}

DatasetOptions Arguments::data_options(const std::string& preferred_split) const {
  if (limit_ == 0 || limit_ < -1) fail_argument("--limit", fmt::format("{} is below 1", limit_));
  DatasetOptions options;
  options.preferred_split = preferred_split;
  options.limit = limit_;
  options.label = label_;
  return options;
}

Dataset Arguments::open_data(const std::string& preferred_split) const {
  return Dataset::open(data_, data_options(preferred_split));
}

void Arguments::keep_data(const std::string& output) const {
  std::string path = data_;
  for (const std::string_view split : {":train", ":test"}) {
    if (path.ends_with(split)) path.resize(path.size() - split.size());
  }
  std::error_code error;  // of what is not there
  if (!output.empty() && std::filesystem::equivalent(output, path, error)) {
    fail_argument(output, "is the data: it would be written over");
  }
}

void Arguments::write_json(const std::string& json) const {
  if (json_.empty()) return;
  if (json_ == "-") {
    fmt::print("{}\n", json);
    return;
  }
  write_text_file(json_, json + "\n");
}

}  // namespace batchwise
