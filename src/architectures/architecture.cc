// SPDX-License-Identifier: Apache-2.0
#include "architectures/architecture.h"

#include <fmt/ranges.h>

#include "architectures/network_builder.h"
#include "base/check.h"

namespace batchwise {
namespace {

using MakeFunction = ValueId (*)(NetworkBuilder&, ValueId input, const ArchitectureOptions&);

void require_image(const char* name, const ArchitectureOptions& options, std::int64_t least_size) {
  const auto& input = options.input;
  if (input.size() != 3 || input[1] < least_size || input[2] < least_size) {
    fail_input(name, "wants an image of channels x height x width, at least {}x{}, not {}",
               least_size, least_size, fmt::join(input, "x"));
  }
}

ValueId make_mlp(NetworkBuilder& build, ValueId x, const ArchitectureOptions& options) {
  if (options.input.size() > 1) x = build.flatten(x, "flatten");
  std::size_t layer = 1;
  for (const std::int64_t units : options.hidden) {
    x = build.dense(x, units, fmt::format("dense{}", layer));
    x = build.relu(x, fmt::format("relu{}", layer));
    ++layer;
  }
  return build.dense(x, options.classes, fmt::format("dense{}", layer));
}

ValueId make_cnn(NetworkBuilder& build, ValueId x, const ArchitectureOptions& options) {
  require_image("cnn", options, 4);
  const std::int64_t kernel = options.input[1] < 16 || options.input[2] < 16 ? 3 : 5;
  for (const int stage : {1, 2}) {
    x = build.conv(x, 32 * stage, kernel, 1, true, fmt::format("conv{}", stage));
    x = build.relu(x, fmt::format("relu{}", stage));
    x = build.max_pool_2x2(x, fmt::format("pool{}", stage));
  }
  x = build.flatten(x, "flatten");
  x = build.relu(build.dense(x, 1024, "dense1"), "relu3");
  return build.dense(x, options.classes, "dense2");
}

ValueId residual_block(NetworkBuilder& build, ValueId x, std::int64_t channels, std::int64_t stride,
                       bool project, const std::string& name) {
  ValueId y = build.conv(x, channels, 3, stride, false, name + ".conv1");
  y = build.relu(build.batch_norm(y, name + ".norm1"), name + ".relu1");
  y = build.conv(y, channels, 3, 1, false, name + ".conv2");
  y = build.batch_norm(y, name + ".norm2");
  ValueId shortcut = x;
  if (project) {
    shortcut = build.conv(x, channels, 1, stride, false, name + ".shortcut");
    shortcut = build.batch_norm(shortcut, name + ".shortcut_norm");
  }
  return build.relu(build.add(y, shortcut, name + ".add"), name + ".relu2");
}

ValueId make_resnet20(NetworkBuilder& build, ValueId x, const ArchitectureOptions& options) {
  require_image("resnet20", options, 4);
  x = build.conv(x, 16, 3, 1, false, "conv1");
  x = build.relu(build.batch_norm(x, "norm1"), "relu1");
  for (const int stage : {1, 2, 3}) {
    for (const int block : {1, 2, 3}) {
      const bool shrinks = stage > 1 && block == 1;
      x = residual_block(build, x, std::int64_t{16} << (stage - 1), shrinks ? 2 : 1, shrinks,
                         fmt::format("stage{}.block{}", stage, block));
    }
  }
  x = build.flatten(build.global_average_pool(x, "pool"), "flatten");
  return build.dense(x, options.classes, "dense");
}

struct ArchitectureDef {
  const char* name;
  MakeFunction make;
};
constexpr ArchitectureDef kArchitectures[] = {
    {"mlp", make_mlp}, {"cnn", make_cnn}, {"resnet20", make_resnet20}};

MakeFunction find_maker(const std::string& name) {
  std::vector<std::string> names;
  for (const ArchitectureDef& row : kArchitectures) {
    if (name == row.name) return row.make;
    names.emplace_back(row.name);
  }
  fail_input("new", "there is no architecture '{}'; there are {}", name, fmt::join(names, ", "));
}

// Sizes that no weight could have are told apart here, before their products overflow.
void require_sizes(const std::string& name, const char* what,
                   const std::vector<std::int64_t>& sizes) {
  constexpr std::int64_t kMost = std::int64_t{1} << 31;
  std::int64_t product = 1;
  for (const std::int64_t size : sizes) {
    if (size < 1 || size > kMost / product) {
      fail_input(name, "{} {} does not lie between 1 and {}", what, fmt::join(sizes, "x"), kMost);
    }
    product *= size;
  }
}

}  // namespace

Graph make_architecture(const std::string& name, const ArchitectureOptions& options) {
  const MakeFunction make = find_maker(name);
  if (options.input.empty()) fail_input(name, "wants an input shape, such as 784 or 1x28x28");
  require_sizes(name, "input", options.input);
  require_sizes(name, "classes", {options.classes});
  for (const std::int64_t units : options.hidden) require_sizes(name, "hidden", {units});
  Graph graph;
  graph.name = name;
  NetworkBuilder build(graph, options.seed);
  const ValueId logits = make(build, build.input(options.input), options);
  graph.value(logits).name = "logits";
  graph.outputs.push_back(logits);
  return graph;
}

}  // namespace batchwise
