// SPDX-License-Identifier: Apache-2.0
// Measures Batchwise and bare oneDNN for peers.py, which drives it over stdin and stdout, so that
// all engines run by turns in one run. One command a line, one answer a line; "worker help" lists
// them. Idle, it sleeps in a read and disturbs nobody.
#include <fmt/format.h>

#include <cstdio>
#include <fstream>
#include <functional>
#include <iostream>
#include <sstream>

#include "architectures/architecture.h"
#include "backend/cpu/isa.h"
#include "peers/bare_onednn.h"
#include "peers/step_profile.h"
#include "peers/workload.h"
#include "spread_threads.h"

namespace batchwise::bench {
namespace {

class Worker {
 public:
  std::string answer(const std::string& line) {
    std::istringstream words(line);
    std::string command;
    words >> command;
    if (command == "about") return about();
    if (command == "new") return make_model(words);
    if (command == "model") return add_model(words);
    if (command == "predict") return predict(words);
    if (command == "onednn") return onednn(words);
    if (command == "fit") return fit(words);
    if (command == "outputs") return write_outputs(words);
    if (command == "profile") return profile(words);
    if (command == "drop") return drop();
    return "error: commands are about, new ARCHITECTURE PATH, model NAME PATH, predict NAME BATCH "
           "MS, onednn NAME BATCH MS, fit NAME BATCH MS, outputs NAME BATCH PATH, profile "
           "predict|fit NAME BATCH, drop";
  }

 private:
  static std::string about() {
    return fmt::format("isa {} onednn {} threads {}", cpu::isa_name(cpu::current_isa()),
                       onednn_version(), kThreads);
  }
  static std::string make_model(std::istringstream& words) {
    std::string architecture, path;
    words >> architecture >> path;
    write_new_model(architecture, path);
    return "ok";
  }
  std::string add_model(std::istringstream& words) {
    std::string name, path;
    words >> name >> path;
    models_[name] = std::make_unique<LoadedModel>(path);
    return fmt::format("ok {}", models_[name]->input_floats());
  }
  LoadedModel& model(const std::string& name) { return *models_.at(name); }

  std::string predict(std::istringstream& words) {
    std::string name;
    std::int64_t batch = 0;
    double budget_ms = 0;
    words >> name >> batch >> budget_ms;
    auto& run = predictions_[{name, batch}];
    if (!run) run = std::make_unique<PredictRun>(model(name), batch);
    const double us = median_us([&] { run->call(); }, budget_ms);
    return fmt::format("{:.3f} {} {}", us, run->first_sample_matches(), run->micro_batch());
  }
  std::string onednn(std::istringstream& words) {
    std::string name;
    std::int64_t batch = 0;
    double budget_ms = 0;
    words >> name >> batch >> budget_ms;
    auto& run = vendors_[{name, batch}];
    if (!run) run = std::make_unique<BareOneDnn>(model(name), batch);
    const SpreadOmpThreads spread(kThreads);
    const double us = median_us([&] { run->call(); }, budget_ms);
    return fmt::format("{:.3f} {} {}", us, run->error(), run->form());
  }
  std::string fit(std::istringstream& words) {
    std::string name;
    std::int64_t batch = 0;
    double budget_ms = 0;
    words >> name >> batch >> budget_ms;
    auto& run = fits_[{name, batch}];
    if (!run) run = std::make_unique<FitRun>(model(name), batch);
    const double us = median_us([&] { run->step(); }, budget_ms);
    return fmt::format("{:.3f} {}", us, run->micro_batch());
  }
  std::string write_outputs(std::istringstream& words) {
    std::string name, path;
    std::int64_t batch = 0;
    words >> name >> batch >> path;
    PredictRun run(model(name), batch);
    run.call();
    std::ofstream(path, std::ios::binary)
        .write(reinterpret_cast<const char*>(run.outputs().data()),
               static_cast<std::streamsize>(run.outputs().size() * sizeof(float)));
    return "ok";
  }
  std::string profile(std::istringstream& words) {
    std::string what, name;
    std::int64_t batch = 0;
    words >> what >> name >> batch;
    const std::string table =
        what == "fit" ? profile_fit(model(name), batch) : profile_predict(model(name), batch);
    std::string one_line;  // the answer is one line: peers.py turns them back
    for (char c : table) one_line += c == '\n' ? '\t' : c;
    return one_line;
  }
  std::string drop() {
    predictions_.clear();
    vendors_.clear();
    fits_.clear();
    return "ok";
  }

  using Key = std::pair<std::string, std::int64_t>;
  std::map<std::string, std::unique_ptr<LoadedModel>> models_;
  std::map<Key, std::unique_ptr<PredictRun>> predictions_;
  std::map<Key, std::unique_ptr<BareOneDnn>> vendors_;
  std::map<Key, std::unique_ptr<FitRun>> fits_;
};

}  // namespace
}  // namespace batchwise::bench

int main() {
  batchwise::bench::Worker worker;
  std::string line;
  while (std::getline(std::cin, line)) {
    std::string answer;
    try {
      answer = worker.answer(line);
    } catch (const std::exception& e) {
      answer = std::string("error: ") + e.what();
    }
    std::cout << answer << std::endl;
  }
}
