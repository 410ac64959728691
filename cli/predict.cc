// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "cli/arguments.h"
#include "cli/progress.h"

namespace batchwise {
namespace {

struct SizeFlags {
  std::string batch_size = "auto", micro_batch = "auto", output_name;

  void add(CLI::App& app) {
    app.add_option("--batch-size", batch_size, "samples a call; changes memory and speed only")
        ->type_name("N|auto");
    app.add_option("--micro-batch", micro_batch, "samples a pass; changes memory and speed only")
        ->type_name("N|auto");
    app.add_option("--output", output_name, "one of the model's outputs; default: the first")
        ->type_name("NAME");
  }
  std::int64_t batch() const { return parse_count(batch_size, "--batch-size"); }
  std::int64_t micro() const { return parse_count(micro_batch, "--micro-batch"); }
};

std::string memory_line(const MemoryParts& planned, std::int64_t measured) {
  return fmt::format("memory: {} planned, {} measured above the base", format_size(planned.total()),
                     format_size(measured));
}

std::function<bool(std::int64_t, std::int64_t)> show_in(Progress& progress) {
  return [&progress](std::int64_t done, std::int64_t of) {
    progress.show(done, of, "samples");
    return !interrupted();
  };
}

void print_control(const PredictReport::Control& control, std::int64_t samples) {
  fmt::print(
      "control: {} of {} samples differ from every sample alone (largest error {:g}, {} units in "
      "the last place, {} changed classes)\n",
      control.differing_samples, samples, control.max_abs_error, control.max_ulp,
      control.changed_classes);
}

}  // namespace

int run_predict(const Command& self, std::vector<std::string> words) {
  Arguments arguments(self);
  std::string model_path, output;
  SizeFlags sizes;
  PredictOptions options;
  arguments.app().add_option("MODEL", model_path, "an ONNX file")->required();
  arguments.add_data();
  arguments.app()
      .add_option("-o", output, "the file to write: .npy, .npz or .csv")
      ->type_name("OUT")
      ->required();
  sizes.add(arguments.app());
  arguments.app().add_flag("--control", options.control,
                           "run every sample alone too, and compare the bits");
  arguments.add_resources();
  arguments.add_seed();
  if (!arguments.parse(std::move(words))) return 0;
  arguments.keep_data(output);
  options.batch_size = sizes.batch();
  options.micro_batch = sizes.micro();
  options.output_name = sizes.output_name;
  options.resources = arguments.resources(false);
  Progress progress(arguments.quiet());
  options.on_progress = show_in(progress);
  const Model model = Model::load(model_path);
  const PredictReport report = predict_to_file(model, arguments.open_data("test"), output, options);
  progress.clear();
  if (arguments.wants_json()) {
    arguments.write_json(to_json(report));
  } else {
    fmt::print("{}: {} samples, {:.0f} samples/s, micro-batch {} (batch {}), {} threads\n", output,
               report.samples, report.samples_per_s, report.micro_batch, report.batch_size,
               report.threads);
    fmt::print("{}\n", memory_line(report.planned, report.measured_peak_rss_bytes));
    if (report.control) print_control(*report.control, report.samples);
  }
  return report.control && report.control->differing_samples > 0 ? 1 : 0;
}

int run_evaluate(const Command& self, std::vector<std::string> words) {
  Arguments arguments(self);
  std::string model_path;
  SizeFlags sizes;
  EvaluateOptions options;
  arguments.app().add_option("MODEL", model_path, "an ONNX file")->required();
  arguments.add_data();
  arguments.app()
      .add_option("--loss", options.loss, "cross-entropy or mse; default: by the labels")
      ->type_name("NAME");
  sizes.add(arguments.app());
  arguments.add_resources();
  arguments.add_seed();
  if (!arguments.parse(std::move(words))) return 0;
  options.batch_size = sizes.batch();
  options.micro_batch = sizes.micro();
  options.output_name = sizes.output_name;
  options.resources = arguments.resources(false);
  Progress progress(arguments.quiet());
  options.on_progress = show_in(progress);
  const Model model = Model::load(model_path);
  const EvaluateReport report = evaluate(model, arguments.open_data("test"), options);
  progress.clear();
  if (arguments.wants_json()) {
    arguments.write_json(to_json(report));
  } else {
    fmt::print("{} samples: loss {:.6f}, {} {:.4f}\n", report.samples, report.loss,
               report.metric_name, report.metric);
  }
  return 0;
}

}  // namespace batchwise
