// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "serve/model_loader.h"

namespace batchwise::serve {

// True for a name that a model may have: a file's name and nothing that leads elsewhere.
bool is_model_name(std::string_view name);

// What a file looked like; another one, or one that was written to, looks different.
struct FileStamp {
  std::string path;
  std::int64_t inode = 0, bytes = 0, mtime_ns = 0;
  bool operator==(const FileStamp&) const = default;
};
// Nothing where there is no such file.
std::optional<FileStamp> stamp_of(const std::string& path);

// The newest version in a model's folder, as Triton lays it out: name/7/model.onnx, beside it
// name/config.pbtxt, which may name another file and choose among versions. Nothing where there is
// none.
std::optional<ModelSource> newest_version(const std::string& name, const std::string& folder);
// The models of a repository: folders with a version in them, and ONNX files, in order of names.
// Throws Error where it is no folder.
std::vector<std::string> model_names(const std::string& repository);
// A model of a repository by its name. Requires: is_model_name(name).
std::optional<ModelSource> find_source(const std::string& repository, const std::string& name);

}  // namespace batchwise::serve
