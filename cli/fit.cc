// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "cli/arguments.h"
#include "cli/fit_flags.h"
#include "cli/progress.h"

namespace batchwise {
namespace {

void add_flags(CLI::App& app, FitSettings& s) {
  auto* epochs = app.add_option("--epochs", s.epochs, "default 10")->type_name("N");
  app.add_option("--steps", s.steps, "weight updates, in place of epochs")
      ->type_name("N")
      ->excludes(epochs);
  add_fit_flags(app, s);
  app.add_option("--log", s.log_path, "a JSON object an epoch")->type_name("FILE.jsonl");
}

std::string epoch_line(const FitEpoch& e) {
  const std::string& metric = e.metric_name;
  std::string line =
      fmt::format("epoch {}: loss {:.4f}, {} {:.4f}", e.epoch, e.loss, metric, e.metric);
  if (e.val_loss) {
    line += fmt::format(", val_loss {:.4f}, val_{} {:.4f}", *e.val_loss, metric, *e.val_metric);
  }
  return line + fmt::format(", {:.0f} samples/s", e.samples_per_s);
}

FitEvents make_events(Progress& progress) {
  FitEvents events;
  events.on_step = [&progress](const FitStatus& s) {
    progress.show(
        s.samples, s.samples_in_epoch,
        fmt::format("epoch {}{} loss {:.4f} {:.0f} samples/s", s.epoch,
                    s.epochs > 0 ? fmt::format("/{}", s.epochs) : "", s.loss, s.samples_per_s));
    return !interrupted();
  };
  events.on_epoch = [&progress](const FitEpoch& e) { progress.line(epoch_line(e)); };
  events.on_note = [&progress](const std::string& note) { progress.line(note); };
  return events;
}

void print_report(const FitReport& report, const std::string& output) {
  fmt::print("{}: {} steps of batch {} (micro-batch {}), {:.1f} s\n", output, report.steps,
             report.batch_size, report.micro_batch, report.seconds);
  if (!report.epochs.empty()) {
    const FitEpoch& last = report.epochs.back();
    fmt::print("loss {:.4f}, {} {:.4f}\n", last.loss, report.metric_name, last.metric);
    if (last.val_loss) {
      fmt::print("validation: loss {:.4f}, {} {:.4f}\n", *last.val_loss, report.metric_name,
                 *last.val_metric);
    }
  }
  fmt::print("memory: {} planned, {} measured above the base\n",
             format_size(report.planned.total()), format_size(report.measured_peak_rss_bytes));
}

}  // namespace

int run_fit(const Command& self, std::vector<std::string> words) {
  Arguments arguments(self);
  std::string model_path, output, batch_size = "32", micro_batch = "auto";
  FitSettings settings;
  CLI::App& app = arguments.app();
  app.add_option("MODEL", model_path, "an ONNX file")->required();
  arguments.add_data();
  app.add_option("-o", output, "the trained model to write")->type_name("OUT.onnx")->required();
  app.add_option("--batch-size", batch_size, "samples a weight update; default 32")->type_name("N");
  app.add_option("--micro-batch", micro_batch, "samples a pass; changes memory and speed only")
      ->type_name("N|auto");
  add_flags(app, settings);
  arguments.add_resources();
  arguments.add_seed();
  if (!arguments.parse(std::move(words))) return 0;
  for (const std::string& written : {output, settings.log_path}) arguments.keep_data(written);
  settings.batch_size = parse_count(batch_size, "--batch-size");
  if (settings.batch_size == 0) {
    throw Error(ErrorCode::kInvalidInput,
                "[--batch-size] auto: fit cannot choose the batch yet, it changes what is learned",
                "give a number; study measures several");
  }
  settings.micro_batch = parse_count(micro_batch, "--micro-batch");
  if (app.count("--steps") > 0 && settings.steps < 1) {
    throw Error(ErrorCode::kInvalidInput, fmt::format("[--steps] {} is below 1", settings.steps));
  }
  if (app.count("--lr") > 0 && !(settings.learning_rate > 0)) {
    throw Error(ErrorCode::kInvalidInput,
                fmt::format("[--lr] {} is not above 0", settings.learning_rate));
  }
  for (const char* flag : {"--momentum", "--nesterov"}) {
    if (settings.optimizer == "adam" && app.count(flag) > 0) {
      throw Error(ErrorCode::kInvalidInput, fmt::format("[{}] is of sgd, not of adam", flag));
    }
  }
  settings.seed = arguments.seed();
  settings.resources = arguments.resources(true);
  const Model model = Model::load(model_path);
  const Dataset data = arguments.open_data("train");
  Progress progress(arguments.quiet());
  const FitReport report = fit(model, data, output, settings, make_events(progress));
  progress.clear();
  if (arguments.wants_json()) {
    arguments.write_json(to_json(report));
  } else if (!report.diverged_step) {
    print_report(report, output);
  }
  if (report.diverged_step) {
    throw Error(
        ErrorCode::kNo,
        fmt::format("[fit] training diverged: the loss of step {} is not finite, at learning "
                    "rate {:g}; {} is not written",
                    *report.diverged_step, report.learning_rate, output),
        "a lower --lr helps, and so do --clip 1 and --normalize mean-std");
  }
  if (report.stopped) {
    throw Error(ErrorCode::kInterrupted,
                fmt::format("[fit] interrupted after step {}: {} has what was finished",
                            report.steps, output));
  }
  return 0;
}

}  // namespace batchwise
