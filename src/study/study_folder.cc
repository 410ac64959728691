// SPDX-License-Identifier: Apache-2.0
#include "study/study_folder.h"

#include <algorithm>
#include <system_error>

#include "base/check.h"

namespace batchwise {
namespace {

// A store and what SQLite keeps beside it, named after it.
constexpr const char* kEndings[] = {"", "-journal", "-wal", "-shm"};

void remove_store(const std::string& store) {
  std::error_code ignored;  // what cannot be removed is not in the way
  for (const char* ending : kEndings) std::filesystem::remove(store + ending, ignored);
}

std::error_code move_store(const std::string& from, const std::string& to) {
  std::error_code first;
  for (const char* ending : kEndings) {
    std::error_code error;
    if (!std::filesystem::exists(std::filesystem::symlink_status(from + ending, error))) continue;
    std::filesystem::rename(from + ending, to + ending, error);
    if (error && !first) first = error;
  }
  return first;
}

}  // namespace

StudyFolder::StudyFolder(const std::string& path, bool resume) : path_(path) {
  try {
    make_folders();
    std::error_code ignored;
    if (!resume || !std::filesystem::exists(store(), ignored)) put_aside();
  } catch (...) {
    restore();
    throw;
  }
}

StudyFolder::~StudyFolder() {
  if (!kept_) restore();
}

std::string StudyFolder::store() const { return (path_ / "study.sqlite").string(); }

std::string StudyFolder::aside() const { return (path_ / ".study.sqlite.before").string(); }

void StudyFolder::make_folders() {
  std::error_code error;
  std::vector<std::filesystem::path> missing;
  for (auto at = path_; !at.empty() && !std::filesystem::exists(at, error); at = at.parent_path()) {
    missing.push_back(at);
  }
  std::reverse(missing.begin(), missing.end());
  for (const std::filesystem::path& folder : missing) {
    // False without an error: "report/" comes after "report".
    if (std::filesystem::create_directory(folder, error)) made_.push_back(folder);
    if (error) fail_environment(path_.string(), "the folder cannot be made: {}", error.message());
  }
}

void StudyFolder::put_aside() {
  remove_store(aside());  // of a study that was killed
  if (const std::error_code error = move_store(store(), aside())) {
    move_store(aside(), store());
    fail_environment(store(), "cannot write: {}", error.message());
  }
  is_aside_ = true;
}

void StudyFolder::restore() noexcept {
  if (is_aside_) {
    remove_store(store());
    move_store(aside(), store());
  }
  std::error_code ignored;  // not empty: then it is not ours alone
  for (auto at = made_.rbegin(); at != made_.rend(); ++at) std::filesystem::remove(*at, ignored);
}

void StudyFolder::keep() {
  kept_ = true;
  remove_store(aside());
}

}  // namespace batchwise
