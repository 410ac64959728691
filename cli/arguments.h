// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "batchwise/batchwise.h"
#include "cli/command.h"

namespace batchwise {

// The flags that every command has, and how a command's words are read. One for each command run.
class Arguments {
 public:
  explicit Arguments(const Command& command);

  CLI::App& app() { return app_; }
  // Flags for data: --data, --limit, --label.
  void add_data(bool required = true);
  // --threads, --memory-limit, --isa.
  void add_resources();
  void add_seed();

  // False where help was asked for and given. Throws Error for what it does not understand.
  bool parse(std::vector<std::string> words);

  bool has_threads() const { return !threads_.empty() && threads_ != "auto"; }
  bool has_data() const { return !data_.empty(); }
  bool quiet() const { return quiet_; }
  std::uint64_t seed() const;
  // Measures the base with these threads, once; call it before a model is loaded.
  Resources resources(bool training) const;
  Dataset open_data(const std::string& preferred_split) const;
  const std::string& data_path() const { return data_; }
  DatasetOptions data_options(const std::string& preferred_split) const;
  bool wants_json() const { return !json_.empty(); }
  // Throws Error where a file to be written is the data that is read.
  void keep_data(const std::string& output) const;
  // Writes the result where --json says; does nothing without it.
  void write_json(const std::string& json) const;

 private:
  std::string suggest(const std::string& word) const;

  const Command& command_;
  CLI::App app_;
  bool quiet_ = false;
  std::string json_;  // "-": standard output
  std::string threads_, memory_limit_, isa_ = "auto", seed_;
  std::string data_, label_;
  std::int64_t limit_ = -1;
};

// "auto" (0) or a number from 1; throws Error naming the flag.
std::int64_t parse_count(const std::string& text, const std::string& flag);
// "1,2,8", "1..512" in powers of two, "auto" (0), or all of them.
std::vector<std::int64_t> parse_count_list(const std::string& text, const std::string& flag);
// "1x28x28" or "784".
std::vector<std::int64_t> parse_dimensions(const std::string& text, char separator,
                                           const std::string& flag);
// "500/s", "500" or "30/min": a second; throws Error naming --rate.
double parse_rate(const std::string& text);
// "4" or "1..16"; throws Error naming --rows.
void parse_rows(const std::string& text, std::int64_t& low, std::int64_t& high);
// The word of `known` that `word` was most likely meant to be; empty where none is near.
std::string nearest_word(const std::string& word, const std::vector<std::string>& known);

}  // namespace batchwise
