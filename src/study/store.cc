// SPDX-License-Identifier: Apache-2.0
#include "study/store.h"

#include <sqlite3.h>
#include <memory>

#include <filesystem>
#include <functional>
#include <utility>

#include "base/check.h"

namespace batchwise {
namespace {

constexpr int kSchemaVersion = 2;
constexpr const char* kSchema = R"sql(
CREATE TABLE fact(name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE experiment(
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE,
  chapter TEXT NOT NULL,
  model TEXT NOT NULL,
  outcome TEXT NOT NULL,
  seconds REAL NOT NULL,
  finished_at TEXT NOT NULL DEFAULT (datetime('now')));
CREATE TABLE measurement(
  experiment INTEGER NOT NULL REFERENCES experiment(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  repeat INTEGER NOT NULL,
  value REAL,
  unit TEXT NOT NULL,
  PRIMARY KEY(experiment, name, repeat)) WITHOUT ROWID;
CREATE TABLE latency(
  experiment INTEGER NOT NULL REFERENCES experiment(id) ON DELETE CASCADE,
  repeat INTEGER NOT NULL,
  us REAL NOT NULL,
  requests INTEGER NOT NULL,
  PRIMARY KEY(experiment, repeat, us)) WITHOUT ROWID;
CREATE TABLE curve_point(
  experiment INTEGER NOT NULL REFERENCES experiment(id) ON DELETE CASCADE,
  batch_size INTEGER NOT NULL,
  seed INTEGER NOT NULL,
  learning_rate REAL NOT NULL,
  samples_seen INTEGER NOT NULL,
  steps INTEGER NOT NULL,
  seconds REAL NOT NULL,
  loss REAL,
  val_loss REAL,
  val_accuracy REAL);
)sql";

}  // namespace

// The connection. Owns it; every failure of SQLite becomes an Error with the file's name.
struct StudyStore::Database {
  explicit Database(const std::string& file) : path(file) {
    // A connection that failed to open is there all the same, and must be closed.
    const int code = sqlite3_open(file.c_str(), &handle);
    owner.reset(handle);
    if (code != SQLITE_OK) fail();
    sqlite3_busy_timeout(handle, 1000);
  }
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  [[noreturn]] void fail() const {
    const int code = sqlite3_extended_errcode(handle) & 0xff;
    const std::string what = sqlite3_errmsg(handle);
    if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT) {
      fail_input(path, "is not a study: {}", what);
    }
    fail_environment(path, "the study cannot be kept: {}", what);
  }
  void run(const char* sql) {
    if (sqlite3_exec(handle, sql, nullptr, nullptr, nullptr) != SQLITE_OK) fail();
  }

  struct Close {
    void operator()(sqlite3* connection) const { sqlite3_close(connection); }
  };
  std::string path;
  sqlite3* handle = nullptr;
  std::unique_ptr<sqlite3, Close> owner;
};

namespace {

// One prepared statement with its values; rows are read with next().
class Statement {
 public:
  template <typename Database>
  Statement(const Database& database, const char* sql)
      : handle_(database.handle), fail_([&database] { database.fail(); }) {
    if (sqlite3_prepare_v2(handle_, sql, -1, &statement_, nullptr) != SQLITE_OK) fail_();
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  template <typename... Values>
  Statement& bind(const Values&... values) {
    sqlite3_reset(statement_);
    int place = 0;
    (bind_one(++place, values), ...);
    return *this;
  }
  // False after the last row.
  bool next() {
    const int code = sqlite3_step(statement_);
    if (code != SQLITE_ROW && code != SQLITE_DONE) fail_();
    return code == SQLITE_ROW;
  }
  std::string text(int column) const {
    const auto* bytes = sqlite3_column_text(statement_, column);
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(statement_, column));
    return bytes == nullptr ? std::string()
                            : std::string(reinterpret_cast<const char*>(bytes), size);
  }
  double real(int column) const { return sqlite3_column_double(statement_, column); }
  std::int64_t integer(int column) const { return sqlite3_column_int64(statement_, column); }

 private:
  void bind_one(int place, std::string_view value) {
    check(sqlite3_bind_text64(statement_, place, value.data(), value.size(), SQLITE_TRANSIENT,
                              SQLITE_UTF8));
  }
  void bind_one(int place, double value) { check(sqlite3_bind_double(statement_, place, value)); }
  void bind_one(int place, std::int64_t value) {
    check(sqlite3_bind_int64(statement_, place, value));
  }
  void bind_one(int place, const std::optional<double>& value) {
    check(value ? sqlite3_bind_double(statement_, place, *value)
                : sqlite3_bind_null(statement_, place));
  }
  void check(int code) {
    if (code != SQLITE_OK) fail_();
  }

  sqlite3* handle_;
  std::function<void()> fail_;
  sqlite3_stmt* statement_ = nullptr;
};

}  // namespace

StudyStore::StudyStore(std::unique_ptr<Database> database) : database_(std::move(database)) {}
StudyStore::StudyStore(StudyStore&&) noexcept = default;
StudyStore& StudyStore::operator=(StudyStore&&) noexcept = default;
StudyStore::~StudyStore() = default;

StudyStore StudyStore::open(const std::string& path, bool resume) {
  if (!resume) {
    std::error_code ignored;  // opening says it better
    for (const char* ending : {"", "-journal", "-wal", "-shm"}) {
      std::filesystem::remove(path + ending, ignored);
    }
  }
  auto database = std::make_unique<Database>(path);
  // An exclusive lock from the first write on: two studies in one file would mix.
  database->run("PRAGMA locking_mode=EXCLUSIVE; PRAGMA foreign_keys=ON; BEGIN EXCLUSIVE;");
  Statement version(*database, "PRAGMA user_version");
  version.next();
  const std::int64_t found = version.integer(0);
  Statement tables(*database, "SELECT count(*) FROM sqlite_master");
  tables.next();
  if (tables.integer(0) == 0) {
    database->run(kSchema);
    database->run(fmt::format("PRAGMA user_version={}", kSchemaVersion).c_str());
  } else if (found != kSchemaVersion) {
    fail_input(path, "is a study of another version: its format is {}, this program's is {}", found,
               kSchemaVersion);
  }
  version.bind();
  tables.bind();
  database->run("COMMIT");
  return StudyStore(std::move(database));
}

bool StudyStore::has(std::string_view key) const { return load(key).has_value(); }

std::optional<std::string> StudyStore::load(std::string_view key) const {
  Statement statement(*database_, "SELECT outcome FROM experiment WHERE key=?");
  if (!statement.bind(key).next()) return std::nullopt;
  return statement.text(0);
}

void StudyStore::save(const FinishedExperiment& experiment) {
  database_->run("BEGIN");
  try {
    Statement remove(*database_, "DELETE FROM experiment WHERE key=?");
    remove.bind(experiment.key).next();
    Statement insert(*database_,
                     "INSERT INTO experiment(key,chapter,model,outcome,seconds) VALUES(?,?,?,?,?)");
    insert
        .bind(experiment.key, experiment.chapter, experiment.model, experiment.outcome,
              experiment.seconds)
        .next();
    const std::int64_t id = sqlite3_last_insert_rowid(database_->handle);
    Statement measurement(*database_, "INSERT INTO measurement VALUES(?,?,?,?,?)");
    for (const StoredMeasurement& row : experiment.measurements) {
      measurement.bind(id, row.name, row.repeat, row.value, row.unit).next();
    }
    Statement latency(*database_, "INSERT INTO latency VALUES(?,?,?,?)");
    for (const StoredLatency& row : experiment.latencies) {
      latency.bind(id, row.repeat, row.us, row.count).next();
    }
    Statement point(*database_, "INSERT INTO curve_point VALUES(?,?,?,?,?,?,?,?,?,?)");
    for (const FitRun& run : experiment.curves) {
      for (const FitPoint& at : run.points) {
        point
            .bind(id, run.batch_size, static_cast<std::int64_t>(run.seed), run.learning_rate,
                  at.samples_seen, at.steps, at.seconds, at.loss, at.val_loss, at.val_accuracy)
            .next();
      }
    }
    database_->run("COMMIT");
  } catch (...) {
    sqlite3_exec(database_->handle, "ROLLBACK", nullptr, nullptr, nullptr);
    throw;
  }
}

void StudyStore::set_fact(std::string_view name, std::string_view value) {
  Statement statement(*database_, "INSERT OR REPLACE INTO fact VALUES(?,?)");
  statement.bind(name, value).next();
}

std::optional<std::string> StudyStore::fact(std::string_view name) const {
  Statement statement(*database_, "SELECT value FROM fact WHERE name=?");
  if (!statement.bind(name).next()) return std::nullopt;
  return statement.text(0);
}

void StudyStore::require_fact(std::string_view name, std::string_view value) {
  const std::optional<std::string> kept = fact(name);
  if (kept && *kept != value) {
    fail_input(database_->path, "was made with another {}: '{}', now '{}'", name, *kept, value);
  }
  if (!kept) set_fact(name, value);
}

std::vector<double> StudyStore::values(std::string_view key, std::string_view name) const {
  Statement statement(*database_,
                      "SELECT value FROM measurement JOIN experiment ON experiment=id "
                      "WHERE key=? AND name=? ORDER BY repeat");
  statement.bind(key, name);
  std::vector<double> values;
  while (statement.next()) values.push_back(statement.real(0));
  return values;
}

std::int64_t StudyStore::num_measurements() const {
  Statement statement(*database_, "SELECT count(*) FROM measurement");
  statement.next();
  return statement.integer(0);
}

std::int64_t StudyStore::num_curve_points() const {
  Statement statement(*database_, "SELECT count(*) FROM curve_point");
  statement.next();
  return statement.integer(0);
}

std::int64_t StudyStore::num_latencies() const {
  Statement statement(*database_, "SELECT coalesce(sum(requests),0) FROM latency");
  statement.next();
  return statement.integer(0);
}

double StudyStore::seconds_spent() const {
  Statement statement(*database_, "SELECT coalesce(sum(seconds),0) FROM experiment");
  statement.next();
  return statement.real(0);
}

}  // namespace batchwise
