// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "cli/arguments.h"
#include "cli/fit_flags.h"
#include "cli/progress.h"

namespace batchwise {
namespace {

// "predict,serve,fit"
void choose_uses(const std::string& list, StudySettings& settings) {
  settings.for_predict = settings.for_serve = settings.for_fit = false;
  for (std::size_t at = 0; at <= list.size();) {
    const std::size_t end = std::min(list.find(',', at), list.size());
    const std::string use = list.substr(at, end - at);
    if (use == "predict") {
      settings.for_predict = true;
    } else if (use == "serve") {
      settings.for_serve = true;
    } else if (use == "fit") {
      settings.for_fit = true;
    } else {
      throw Error(ErrorCode::kInvalidInput,
                  fmt::format("[--for] {} is unknown; there are predict, serve and fit", use));
    }
    at = end + 1;
  }
}

std::string command_line(const Command& self, const std::vector<std::string>& words) {
  std::string text = fmt::format("batchwise {}", self.name);
  for (const std::string& word : words) {
    text += word.find(' ') == std::string::npos ? " " + word : " '" + word + "'";
  }
  return text;
}

StudyEvents make_events(Progress& progress) {
  StudyEvents events;
  events.on_progress = [&progress, last = std::string()](const StudyStatus& s) mutable {
    const std::string chapter = fmt::format("{}: {}", s.model, s.chapter);
    if (chapter != last) progress.line(chapter);
    last = chapter;
    constexpr double kParts = 1000;
    progress.show(static_cast<std::int64_t>(s.of > 0 ? kParts * s.done / s.of : 0),
                  static_cast<std::int64_t>(kParts), fmt::format("{} {}", chapter, s.what));
  };
  events.should_stop = interrupted;
  return events;
}

}  // namespace

int run_study(const Command& self, std::vector<std::string> words) {
  Arguments arguments(self);
  StudySettings settings;
  settings.command = command_line(self, words);
  std::string uses, budget, p99, predict_sizes, fit_sizes;
  CLI::App& app = arguments.app();
  app.add_option("MODEL", settings.models, "ONNX files; several make one report")->required();
  arguments.add_data();
  app.add_option("-o", settings.output, "the folder for the report")->type_name("DIR")->required();
  app.add_option("--for", uses, "predict, serve, fit (default: all)")->type_name("LIST");
  app.add_option("--budget", budget, "the time it may take: 90s, 5min")->type_name("TIME");
  app.add_option("--p99", p99, "what a server is to keep: 99 of 100 answers within; default 100ms")
      ->type_name("TIME");
  app.add_flag("--resume", settings.resume, "go on with an interrupted study");
  app.add_option("--batch-size", predict_sizes,
                 "sizes to predict and serve with: 1..512 by default")
      ->type_name("LIST");
  app.add_option("--fit-batch-size", fit_sizes, "sizes to fit with: 1,8,32,128,512 by default")
      ->type_name("LIST");
  app.add_option("--seeds", settings.seeds, "fits of each size; default 3")->type_name("N");
  app.add_option("--epochs", settings.epochs, "of each fit; default: as the time allows")
      ->type_name("N");
  add_fit_flags(app, settings.fit);
  arguments.add_resources();
  arguments.add_seed();
  if (!arguments.parse(std::move(words))) return 0;
  if (!uses.empty()) choose_uses(uses, settings);
  if (!budget.empty()) settings.budget_seconds = parse_duration(budget, "--budget");
  if (!p99.empty()) settings.p99_us = parse_duration(p99, "--p99") * 1e6;
  if (!predict_sizes.empty()) {
    settings.predict_batch_sizes = parse_count_list(predict_sizes, "--batch-size");
  }
  if (!fit_sizes.empty())
    settings.fit_batch_sizes = parse_count_list(fit_sizes, "--fit-batch-size");
  settings.data = arguments.data_path();
  settings.data_options = arguments.data_options("train");
  settings.fit.seed = arguments.seed();
  settings.resources = arguments.resources(true);
  Progress progress(arguments.quiet());
  const StudyReport report = study(settings, make_events(progress));
  progress.clear();
  if (arguments.wants_json()) {
    arguments.write_json(report.json);
  } else {
    fmt::print("{}\n{}\n", report.summary, report.path);
  }
  return 0;
}

}  // namespace batchwise
