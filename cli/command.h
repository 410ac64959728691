// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace batchwise {

// One row of the command table. `run` gets the words after the command's name and returns the exit
// code; it throws Error.
struct Command {
  std::string_view name;
  std::string_view usage;    // after the name
  std::string_view summary;  // one line
  std::string_view example;  // runs in a clone, after those of the rows above
  int (*run)(const Command& self, std::vector<std::string> words);
};

int run_new(const Command& self, std::vector<std::string> words);
int run_fit(const Command& self, std::vector<std::string> words);
int run_predict(const Command& self, std::vector<std::string> words);
int run_evaluate(const Command& self, std::vector<std::string> words);
int run_explain(const Command& self, std::vector<std::string> words);
int run_study(const Command& self, std::vector<std::string> words);
int run_simulate(const Command& self, std::vector<std::string> words);
int run_serve(const Command& self, std::vector<std::string> words);
int run_load(const Command& self, std::vector<std::string> words);
int run_compare(const Command& self, std::vector<std::string> words);

}  // namespace batchwise
