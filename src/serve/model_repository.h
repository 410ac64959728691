// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "serve/model_files.h"
#include "serve/model_version.h"
#include "serve/server.h"

namespace batchwise::serve {

// The models by name: which version answers, and a thread that loads, follows files that change
// and prepares programs, one thing at a time. Whoever has found a version keeps it for as long as
// it holds it, so that a swap loses nothing. Thread-safe.
class ModelRepository {
 public:
  // Loads, and makes known to the instances, a version; may throw Error. Of the loading thread.
  using LoadVersion = std::function<std::shared_ptr<ModelVersion>(const ModelSource&)>;
  // Called now and then by the loading thread, when it has nothing to do.
  using Housekeeping = std::function<void()>;
  ModelRepository(LoadVersion load, Housekeeping housekeeping, double poll_files_s);
  ~ModelRepository();
  ModelRepository(const ModelRepository&) = delete;
  ModelRepository& operator=(const ModelRepository&) = delete;

  // See BatchingServer.
  void add_file(const std::string& name, const std::string& path);
  void add_folder(const std::string& path);
  void wait_loaded();
  bool is_loaded() const;

  std::shared_ptr<ModelVersion> find(std::string_view name, std::string_view version,
                                     Refusal& why) const;
  // All that are ready.
  std::vector<std::shared_ptr<ModelVersion>> ready() const;
  std::vector<IndexEntry> index(bool ready_only) const;
  void load(const std::string& name, Server::Done done);
  void unload(const std::string& name, Server::Done done);
  // Nothing is loaded any more; what is ready stays so. Not to be called by two threads at once.
  void stop();

 private:
  struct Entry {
    std::string repository;  // the folder it is looked for in; empty: `file` is it
    std::string file;
    ModelState state = ModelState::kLoading;
    std::string version, reason;
    std::shared_ptr<ModelVersion> ready;  // answers, whatever the state
    bool is_wanted = true;                // not unloaded: its file is followed
    // Of the loading thread.
    std::optional<FileStamp> tried, seen;
  };
  using Entries = std::map<std::string, Entry, std::less<>>;

  void work();
  void add(const std::string& name, const std::string& repository, const std::string& file);
  void push(std::function<void()> job);
  bool begin_load(const std::string& name);
  std::optional<Refusal> load_now(const std::string& name);
  std::optional<ModelSource> source_of(const std::string& name) const;
  void note_loaded(const std::string& name, std::shared_ptr<ModelVersion> version);
  void note_failed(const std::string& name, const std::optional<ModelSource>& source,
                   const std::string& reason);
  void unload_now(const std::string& name);
  void poll_files();
  void find_new_models();
  bool has_changed(const std::string& name);
  bool prepare_one();

  const LoadVersion load_;
  const Housekeeping housekeeping_;
  const double poll_files_s_;

  mutable std::shared_mutex entries_mutex_;
  Entries entries_;                   // guarded by entries_mutex_
  std::vector<std::string> folders_;  // guarded by entries_mutex_

  mutable std::mutex jobs_mutex_;
  std::condition_variable jobs_changed_, loaded_;
  std::deque<std::function<void()>> jobs_;  // guarded by jobs_mutex_, and what follows
  bool stopping_ = false;
  int first_loads_ = 0;  // of those added that have not come to an end
  std::exception_ptr first_failure_;

  // Of the loading thread:
  std::deque<std::weak_ptr<ModelVersion>> unprepared_;
  std::exception_ptr last_failure_;
  std::thread thread_;
};

}  // namespace batchwise::serve
