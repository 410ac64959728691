// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <filesystem>
#include <string>
#include <vector>

namespace batchwise {

// The folder of a study while the study runs. Unless keep() was called, its end leaves the folder
// as it was found: an old study.sqlite, put aside at the beginning, comes back, and folders that
// were made go again. Not for several threads.
class StudyFolder {
 public:
  // Makes the folder where it is missing. With `resume` a study.sqlite that is there stays in
  // place. Throws Error{kEnvironment} where the folder cannot be made or changed.
  StudyFolder(const std::string& path, bool resume);
  ~StudyFolder();
  StudyFolder(const StudyFolder&) = delete;
  StudyFolder& operator=(const StudyFolder&) = delete;

  std::string store() const;  // the path of study.sqlite
  // What is in the folder now stays, and the old study.sqlite goes.
  void keep();

 private:
  std::string aside() const;  // where an old study.sqlite waits
  void make_folders();
  void put_aside();
  void restore() noexcept;

  std::filesystem::path path_;
  std::vector<std::filesystem::path> made_;  // innermost last
  bool is_aside_ = false;                    // study.sqlite, if there is one, is of this run
  bool kept_ = false;
};

}  // namespace batchwise
