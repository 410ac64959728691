// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "cli/arguments.h"

namespace batchwise {

int run_new(const Command& self, std::vector<std::string> words) {
  Arguments arguments(self);
  Architecture architecture;
  std::string input, hidden, output;
  CLI::App& app = arguments.app();
  app.add_option("ARCH", architecture.name,
                 fmt::format("{}", fmt::join(Model::architectures(), ", ")))
      ->required();
  app.add_option("-o,--output", output, "the ONNX file to write")
      ->type_name("MODEL.onnx")
      ->required();
  app.add_option("--input", input, "a sample's shape: 1x28x28 or 784 (default 1x28x28)")
      ->type_name("SHAPE");
  app.add_option("--classes", architecture.classes, "default 10")->type_name("N");
  app.add_option("--hidden", hidden, "mlp: units of each hidden layer, 512,512")->type_name("LIST");
  arguments.add_seed();
  if (!arguments.parse(std::move(words))) return 0;
  architecture.seed = arguments.seed();
  architecture.input = parse_dimensions(input.empty() ? "1x28x28" : input, 'x', "--input");
  if (!hidden.empty()) architecture.hidden = parse_dimensions(hidden, ',', "--hidden");
  const Model model = Model::make(architecture);
  model.save(output);
  if (arguments.wants_json()) {
    arguments.write_json(fmt::format("{{\"parameters\": {}}}", model.num_parameters()));
  } else {
    fmt::print("{}: {} with {} parameters, input {}, {} classes\n", output, architecture.name,
               model.num_parameters(), fmt::join(architecture.input, "x"), architecture.classes);
  }
  return 0;
}

}  // namespace batchwise
