// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "cli/arguments.h"

namespace batchwise {

int run_compare(const Command& self, std::vector<std::string> words) {
  Arguments arguments(self);
  std::string a, b;
  arguments.app().add_option("A", a, "outputs: .npy, .npz or .csv")->required();
  arguments.app().add_option("B", b, "outputs to compare with")->required();
  if (!arguments.parse(std::move(words))) return 0;
  const OutputDifference found = compare_output_files(a, b);
  if (arguments.wants_json()) {
    arguments.write_json(to_json(found));
  } else {
    fmt::print(
        "{} samples, {} differ: largest absolute error {:g}, relative {:g}, {} units in the last "
        "place, {} changed classes\n",
        found.samples, found.differing_samples, found.max_abs_error, found.max_rel_error,
        found.max_ulp, found.changed_classes);
  }
  return found.differing_samples > 0 ? 1 : 0;
}

}  // namespace batchwise
