// SPDX-License-Identifier: Apache-2.0
#include "serve/model_repository.h"

#include <algorithm>
#include <chrono>

#include "base/check.h"
#include "serve/log.h"

namespace batchwise::serve {
namespace {

Refusal refusal_of(const Error& error) {
  switch (error.code()) {
    case ErrorCode::kInvalidInput:
      return {Status::kInvalid, error.what(), 0};
    case ErrorCode::kInternal:
      return {Status::kInternal, error.what(), 0};
    default:
      return {Status::kUnavailable, error.what(), 0};
  }
}

Refusal unknown_model(std::string_view name) {
  return {Status::kNotFound, fmt::format("there is no model {}", name), 0};
}

}  // namespace

ModelRepository::ModelRepository(LoadVersion load, Housekeeping housekeeping, double poll_files_s)
    : load_(std::move(load)),
      housekeeping_(std::move(housekeeping)),
      poll_files_s_(poll_files_s),
      thread_([this] { work(); }) {}

ModelRepository::~ModelRepository() { stop(); }

void ModelRepository::stop() {
  {
    const std::lock_guard lock(jobs_mutex_);
    stopping_ = true;
  }
  jobs_changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

void ModelRepository::push(std::function<void()> job) {
  {
    const std::lock_guard lock(jobs_mutex_);
    jobs_.push_back(std::move(job));
  }
  jobs_changed_.notify_all();
}

void ModelRepository::work() {
  using std::chrono::duration;
  // Housekeeping comes as often as files are looked at, or each second.
  const duration<double> pause(poll_files_s_ > 0 ? poll_files_s_ : 1);
  auto next_poll = std::chrono::steady_clock::now() + pause;
  std::unique_lock lock(jobs_mutex_);
  while (!stopping_) {
    if (!jobs_.empty()) {
      const std::function<void()> job = std::move(jobs_.front());
      jobs_.pop_front();
      lock.unlock();
      job();
      lock.lock();
      continue;
    }
    lock.unlock();
    const bool prepared = prepare_one();
    lock.lock();
    if (!prepared && jobs_.empty() && !stopping_) {
      jobs_changed_.wait_until(
          lock, std::chrono::time_point_cast<std::chrono::steady_clock::duration>(next_poll));
    }
    if (std::chrono::steady_clock::now() < next_poll) continue;
    lock.unlock();
    housekeeping_();
    if (poll_files_s_ > 0) poll_files();
    next_poll = std::chrono::steady_clock::now() + pause;
    lock.lock();
  }
}

void ModelRepository::add(const std::string& name, const std::string& repository,
                          const std::string& file) {
  if (!is_model_name(name)) fail_input("serve", "'{}' is no name of a model", name);
  {
    const std::lock_guard lock(entries_mutex_);
    const auto [entry, is_new] = entries_.try_emplace(name);
    if (!is_new) fail_input("serve", "there are two models {}", name);
    entry->second.repository = repository;
    entry->second.file = file;
  }
  {
    const std::lock_guard lock(jobs_mutex_);
    ++first_loads_;
  }
  push([this, name] {
    const std::exception_ptr failure = load_now(name) ? last_failure_ : nullptr;
    const std::lock_guard lock(jobs_mutex_);
    if (failure && !first_failure_) first_failure_ = failure;
    --first_loads_;
    loaded_.notify_all();
  });
}

void ModelRepository::add_file(const std::string& name, const std::string& path) {
  add(name, {}, path);
}

void ModelRepository::add_folder(const std::string& path) {
  const std::vector<std::string> names = model_names(path);
  {
    const std::lock_guard lock(entries_mutex_);
    folders_.push_back(path);
  }
  for (const std::string& name : names) add(name, path, {});
}

void ModelRepository::wait_loaded() {
  std::unique_lock lock(jobs_mutex_);
  loaded_.wait(lock, [this] { return first_loads_ == 0; });
  if (first_failure_) std::rethrow_exception(first_failure_);
}

bool ModelRepository::is_loaded() const {
  const std::lock_guard lock(jobs_mutex_);
  return first_loads_ == 0 && !first_failure_;
}

std::shared_ptr<ModelVersion> ModelRepository::find(std::string_view name, std::string_view version,
                                                    Refusal& why) const {
  const std::shared_lock lock(entries_mutex_);
  const auto found = entries_.find(name);
  if (found == entries_.end()) {
    why = unknown_model(name);
    return nullptr;
  }
  const Entry& entry = found->second;
  if (!entry.ready) {
    why = {Status::kUnavailable,
           fmt::format("model {} is not ready: {}", name,
                       entry.reason.empty() ? model_state_name(entry.state) : entry.reason),
           0};
    return nullptr;
  }
  if (!version.empty() && version != entry.ready->version) {
    why = {
        Status::kNotFound,
        fmt::format("model {} has no version {}, there is {}", name, version, entry.ready->version),
        0};
    return nullptr;
  }
  return entry.ready;
}

std::vector<std::shared_ptr<ModelVersion>> ModelRepository::ready() const {
  const std::shared_lock lock(entries_mutex_);
  std::vector<std::shared_ptr<ModelVersion>> versions;
  for (const auto& [name, entry] : entries_) {
    if (entry.ready) versions.push_back(entry.ready);
  }
  return versions;
}

std::vector<IndexEntry> ModelRepository::index(bool ready_only) const {
  const std::shared_lock lock(entries_mutex_);
  std::vector<IndexEntry> rows;
  for (const auto& [name, entry] : entries_) {
    const ModelState state = entry.ready ? ModelState::kReady : entry.state;
    if (ready_only && state != ModelState::kReady) continue;
    rows.push_back({name, entry.ready ? entry.ready->version : entry.version, state, entry.reason});
  }
  return rows;
}

void ModelRepository::load(const std::string& name, Server::Done done) {
  push([this, name, done = std::move(done)] { done(load_now(name)); });
}

void ModelRepository::unload(const std::string& name, Server::Done done) {
  push([this, name, done = std::move(done)] {
    bool known = false;
    {
      const std::shared_lock lock(entries_mutex_);
      known = entries_.find(name) != entries_.end();
    }
    if (!known) {
      done(unknown_model(name));
      return;
    }
    unload_now(name);
    done(std::nullopt);
  });
}

void ModelRepository::unload_now(const std::string& name) {
  std::shared_ptr<ModelVersion> old;
  {
    const std::lock_guard lock(entries_mutex_);
    Entry& entry = entries_.find(name)->second;
    entry.state = ModelState::kUnavailable;
    entry.reason = "unloaded";
    entry.is_wanted = false;
    entry.ready.swap(old);
  }
  log_event(LogLevel::kInfo, "model_unloaded", {{"model", name}});
}

std::optional<ModelSource> ModelRepository::source_of(const std::string& name) const {
  std::string repository, file;
  {
    const std::shared_lock lock(entries_mutex_);
    const auto found = entries_.find(name);
    if (found == entries_.end()) return std::nullopt;
    repository = found->second.repository;
    file = found->second.file;
  }
  if (!repository.empty()) return find_source(repository, name);
  return ModelSource{name, "1", file, {}};
}

bool ModelRepository::begin_load(const std::string& name) {
  const std::lock_guard lock(entries_mutex_);
  // One may have come into a repository since.
  for (const std::string& folder : folders_) {
    if (entries_.find(name) == entries_.end() && find_source(folder, name)) {
      entries_[name].repository = folder;
    }
  }
  const auto found = entries_.find(name);
  if (found == entries_.end()) return false;
  found->second.is_wanted = true;
  found->second.state = ModelState::kLoading;
  return true;
}

std::optional<Refusal> ModelRepository::load_now(const std::string& name) {
  std::optional<ModelSource> source;
  try {
    if (!is_model_name(name) || !begin_load(name)) return unknown_model(name);
    source = source_of(name);
    if (!source) {
      throw Error(ErrorCode::kEnvironment, fmt::format("[{}] its files are gone", name));
    }
    {
      const auto stamp = stamp_of(source->path);
      const std::lock_guard lock(entries_mutex_);
      entries_.find(name)->second.tried = stamp;
    }
    note_loaded(name, load_(*source));
    return std::nullopt;
  } catch (const Error& error) {
    last_failure_ = std::current_exception();
    note_failed(name, source, error.what());
    return refusal_of(error);
  } catch (const std::exception& error) {
    last_failure_ = std::current_exception();
    note_failed(name, source, error.what());
    return Refusal{Status::kInternal, error.what(), 0};
  }
}

void ModelRepository::note_loaded(const std::string& name, std::shared_ptr<ModelVersion> version) {
  log_event(LogLevel::kInfo, "model_ready",
            {{"model", name},
             {"version", version->version},
             {"max_batch_rows", version->max_batch_rows},
             {"planned_bytes", version->bytes().own()}});
  unprepared_.push_back(version);
  const std::lock_guard lock(entries_mutex_);
  Entry& entry = entries_.find(name)->second;
  entry.version = version->version;
  entry.state = ModelState::kReady;
  entry.reason.clear();
  entry.ready.swap(version);  // the old one goes when the lock has
}

void ModelRepository::note_failed(const std::string& name, const std::optional<ModelSource>& source,
                                  const std::string& reason) {
  log_event(LogLevel::kError, "model_failed", {{"model", name}, {"reason", reason}});
  const std::lock_guard lock(entries_mutex_);
  const auto found = entries_.find(name);
  if (found == entries_.end()) return;
  Entry& entry = found->second;
  if (source) entry.version = source->version;
  entry.state = ModelState::kUnavailable;
  entry.reason = reason;
}

bool ModelRepository::prepare_one() {
  while (!unprepared_.empty()) {
    if (const auto version = unprepared_.front().lock()) {
      const std::vector<std::int64_t> missing = version->missing_sizes();
      if (!missing.empty()) {
        version->prepare(missing.front());
        return true;
      }
    }
    unprepared_.pop_front();
  }
  return false;
}

bool ModelRepository::has_changed(const std::string& name) {
  std::optional<ModelSource> source;
  try {
    source = source_of(name);
  } catch (const Error&) {
    // A configuration that is being written, or is wrong: what is there goes on.
  }
  const std::optional<FileStamp> now = source ? stamp_of(source->path) : std::nullopt;
  const std::lock_guard lock(entries_mutex_);
  Entry& entry = entries_.find(name)->second;
  // A file that is being written looks different each time: it is taken once it stays as it is.
  const bool is_stable = now && entry.seen == now;
  entry.seen = now;
  return entry.is_wanted && is_stable && entry.tried != now;
}

void ModelRepository::poll_files() {
  find_new_models();
  std::vector<std::string> names;
  {
    const std::shared_lock lock(entries_mutex_);
    for (const auto& [name, entry] : entries_) names.push_back(name);
  }
  for (const std::string& name : names) {
    if (has_changed(name)) load_now(name);
  }
}

void ModelRepository::find_new_models() {
  std::vector<std::string> folders;
  {
    const std::shared_lock lock(entries_mutex_);
    folders = folders_;
  }
  for (const std::string& folder : folders) {
    std::vector<std::string> names;
    try {
      names = model_names(folder);
    } catch (const Error& error) {
      log_event(LogLevel::kWarning, "folder_unreadable", {{"reason", error.what()}});
    }
    const std::lock_guard lock(entries_mutex_);
    for (const std::string& name : names) {
      const auto [entry, is_new] = entries_.try_emplace(name);
      if (is_new) entry->second.repository = folder;
    }
  }
}

}  // namespace batchwise::serve
