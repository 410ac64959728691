// SPDX-License-Identifier: Apache-2.0
#include "serve/config/server_config.h"

#include <toml++/toml.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <optional>

#include "base/check.h"

namespace batchwise::serve {
namespace {

int line_of(const toml::node& node) { return static_cast<int>(node.source().begin.line); }

template <typename... Args>
[[noreturn]] void fail_at(const std::string& where, const toml::node& node,
                          fmt::format_string<Args...> format, Args&&... args) {
  fail_input(fmt::format("{}:{}", where, line_of(node)), format, std::forward<Args>(args)...);
}

// A value as it would be typed; nothing for what is no value.
std::optional<std::string> text_of(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return fmt::format("{}", number->get());
  if (const auto* number = node.as_floating_point()) return fmt::format("{}", number->get());
  return std::nullopt;
}

std::string flag_of(std::string_view key) {
  std::string flag(key);
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

std::vector<std::string> values_of(const std::string& where, std::string_view key,
                                   const toml::array& array) {
  std::vector<std::string> values;
  for (const toml::node& node : array) {
    std::optional<std::string> text = text_of(node);
    if (!text) fail_at(where, node, "{}: a list of texts or numbers is expected", key);
    values.push_back(std::move(*text));
  }
  return values;
}

ConfigEntry read_model(const std::string& where, const toml::node& node) {
  const toml::table* table = node.as_table();
  if (table == nullptr) fail_at(where, node, "[[model]] has `path` and maybe `name`");
  std::string name, path;
  for (const auto& [key, value] : *table) {
    const auto* text = value.as_string();
    const bool is_known = key.str() == "name" || key.str() == "path";
    if (!is_known || text == nullptr) {
      fail_at(where, value, "[[model]] has `path` and maybe `name`, both texts: {}", key.str());
    }
    (key.str() == "name" ? name : path) = text->get();
  }
  if (path.empty()) fail_at(where, node, "[[model]] without `path`");
  return {"model", {name.empty() ? path : name + "=" + path}, line_of(node)};
}

void read_entry(const std::string& where, std::string_view key, const toml::node& node,
                std::vector<ConfigEntry>& entries) {
  const toml::array* array = node.as_array();
  if (key == "model" && array != nullptr && array->is_array_of_tables()) {
    for (const toml::node& model : *array) entries.push_back(read_model(where, model));
    return;
  }
  ConfigEntry entry{flag_of(key), {}, line_of(node)};
  if (const auto* is_on = node.as_boolean()) {
    if (is_on->get()) entries.push_back(std::move(entry));
    return;
  }
  if (array != nullptr) {
    entry.values = values_of(where, key, *array);
    if (entry.values.empty()) return;
  } else if (std::optional<std::string> text = text_of(node)) {
    entry.values.push_back(std::move(*text));
  } else {
    fail_at(where, node, "{}: a text, a number, true, false or a list is expected", key);
  }
  entries.push_back(std::move(entry));
}

}  // namespace

std::vector<ConfigEntry> parse_server_config(std::string_view text, const std::string& where) {
  std::vector<ConfigEntry> entries;
  try {
    const toml::table table = toml::parse(text, where);
    for (const auto& [key, node] : table) read_entry(where, key.str(), node, entries);
  } catch (const toml::parse_error& error) {
    fail_input(fmt::format("{}:{}", where, error.source().begin.line), "{}", error.description());
  }
  // As in the file, so that a complaint is about the first fault.
  std::stable_sort(entries.begin(), entries.end(),
                   [](const ConfigEntry& a, const ConfigEntry& b) { return a.line < b.line; });
  return entries;
}

std::vector<ConfigEntry> read_server_config(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail_input(path, "cannot be read");
  return parse_server_config(std::string(std::istreambuf_iterator<char>(file), {}), path);
}

}  // namespace batchwise::serve
