// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <string_view>

#include "cli/arguments.h"

namespace batchwise {
namespace {

void print_batches(const Explanation& e) {
  fmt::print("{:>8} {:>8} {:>12} {:>12} {:>12} {:>12} {:>12} {:>12} {:>10}\n", "batch", "micro",
             "peak", "weights", "packed", "activations", "gradients", "optimizer", "MFLOP");
  for (const BatchSizePlan& row : e.batch_sizes) {
    fmt::print("{:>8} {:>8} {:>12} {:>12} {:>12} {:>12} {:>12} {:>12} {:>10.1f}{}\n",
               row.batch_size, row.micro_batch, format_size(row.peak_bytes),
               format_size(row.parts.weights_bytes), format_size(row.parts.packed_weights_bytes),
               format_size(row.parts.activation_bytes + row.parts.scratch_bytes +
                           row.parts.io_bytes + row.parts.data_bytes),
               format_size(row.parts.gradient_bytes), format_size(row.parts.optimizer_bytes),
               row.flops / 1e6, row.fits ? "" : "  does not fit");
  }
}

// The width of a column: that of its longest text.
template <typename Rows, typename TextOf>
std::size_t width_of(const Rows& rows, const TextOf& text_of) {
  std::size_t width = 0;
  for (const auto& row : rows) width = std::max(width, std::string_view(text_of(row)).size());
  return width;
}

void print_steps(const Explanation& e) {
  fmt::print("\nsteps of a micro-batch of {} ({}):\n", e.steps_micro_batch, e.isa);
  constexpr std::size_t kLongestName = 40;
  const auto name_of = [](const StepExplanation& step) {
    return std::string_view(step.name).substr(0, kLongestName);
  };
  const std::size_t names = width_of(e.steps, name_of);
  const std::size_t ops = width_of(
      e.steps, [](const auto& s) -> const auto& { return s.op; });
  const std::size_t kernels = width_of(
      e.steps, [](const auto& s) -> const auto& { return s.kernel; });
  for (const StepExplanation& step : e.steps) {
    fmt::print("  {:<{}} {:<{}} {:<{}} {:>10.3f} MFLOP {:>11}", name_of(step), names, step.op, ops,
               step.kernel, kernels, step.flops / 1e6, format_size(step.bytes));
    if (step.us) {
      fmt::print(" {:>9.1f} us {:>5.1f} % {:>5.1f} % of peak", *step.us, 100 * *step.share,
                 100 * *step.share_of_peak);
    }
    fmt::print("  {}\n", step.reason);
  }
}

void print_explanation(const Explanation& e, bool limited) {
  print_batches(e);
  if (limited) {
    fmt::print("\nlimit {}: largest batch size {}, largest micro-batch {}\n",
               format_size(e.memory_limit_bytes),
               e.largest_batch_size ? std::to_string(*e.largest_batch_size) : "any",
               e.largest_micro_batch);
  }
  print_steps(e);
  if (!e.passes.empty()) fmt::print("\npasses:\n");
  for (const PassExplanation& pass : e.passes) {
    fmt::print("  {:<20} {:>8.0f} us{}\n", pass.name, pass.us, pass.changed ? "  changed" : "");
  }
  if (e.use == Use::kFit) fmt::print("\ntrained:\n");
  const std::size_t names =
      std::max(width_of(
                   e.parameters, [](const auto& row) -> const auto& { return row.name; }),
               width_of(
                   e.statistics, [](const auto& name) -> const auto& { return name; }));
  for (const TrainedParameter& row : e.parameters) {
    fmt::print("  {:<{}} {}{}\n", row.name, names, fmt::join(row.shape, "x"),
               row.decays ? "" : "  (no weight decay)");
  }
  for (const std::string& name : e.statistics) {
    fmt::print("  {:<{}} running moment\n", name, names);
  }
  if (!e.mixes_samples.empty()) fmt::print("\nsamples are mixed: {}\n", e.mixes_samples);
}

Use parse_use(const std::string& name) {
  if (name == "predict") return Use::kPredict;
  if (name == "fit") return Use::kFit;
  throw Error(ErrorCode::kInvalidInput,
              fmt::format("[--for] {} is unknown; there are predict and fit", name));
}

}  // namespace

int run_explain(const Command& self, std::vector<std::string> words) {
  Arguments arguments(self);
  ExplainOptions options;
  std::string model_path, batch_sizes, micro_batch = "auto", use = "predict";
  CLI::App& app = arguments.app();
  app.add_option("MODEL", model_path, "an ONNX file")->required();
  app.add_option("--batch-size", batch_sizes,
                 "a number, auto, 1,2,8 or 1..512; default: 1,32,512, or what the model can have")
      ->type_name("LIST");
  app.add_option("--micro-batch", micro_batch, "samples a pass")->type_name("N|auto");
  app.add_option("--for", use, "predict (default) or fit")->type_name("USE");
  app.add_flag("--time", options.time, "run it, and add each step's time");
  app.add_flag("--control", options.control, "of predict: with every sample alone beside");
  app.add_option("--output", options.output_name, "of fit: the output that the loss is of");
  app.add_option("--optimizer", options.optimizer, "of fit: sgd (default) or adam");
  app.add_option("--loss", options.loss, "of fit: cross-entropy (default) or mse");
  app.add_option("--momentum", options.momentum, "of fit: default 0.9");
  app.add_option("--clip", options.clip_norm, "of fit: largest norm of the gradient");
  app.add_option("--ghost-batch", options.ghost_batch, "of fit: normalization over N samples");
  app.add_option("--train", options.train, "of fit: train only what matches")
      ->allow_extra_args(false)
      ->take_all();
  app.add_option("--freeze", options.freeze, "of fit: leave what matches as it is")
      ->allow_extra_args(false)
      ->take_all();
  app.add_option("--normalize", options.normalize, "of fit, with --data");
  app.add_option("--validation-split", options.validation_split, "of fit, with --data");
  arguments.add_data(false);
  arguments.add_resources();
  arguments.add_seed();
  if (!arguments.parse(std::move(words))) return 0;
  options.use = parse_use(use);
  if (app.count("--batch-size") > 0) {
    options.batch_sizes = parse_count_list(batch_sizes, "--batch-size");
  }
  options.micro_batch = parse_count(micro_batch, "--micro-batch");
  options.resources = arguments.resources(options.use == Use::kFit);
  const Model model = Model::load(model_path);
  Explanation explanation;
  if (arguments.has_data()) {
    const Dataset data = arguments.open_data(options.use == Use::kFit ? "train" : "test");
    explanation = model.explain(options, &data);
  } else {
    explanation = model.explain(options);
  }
  if (arguments.wants_json()) {
    arguments.write_json(to_json(explanation));
  } else {
    print_explanation(explanation, app.count("--memory-limit") > 0);
  }
  return 0;
}

}  // namespace batchwise
