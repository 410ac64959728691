// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <exception>
#include <new>
#include <string_view>

#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/progress.h"

namespace batchwise {
namespace {

constexpr std::array kCommands{
    Command{"new", "ARCH -o MODEL.onnx", "makes a model with fresh weights",
            "batchwise new mlp --input 64 --hidden 64,64 -o mlp.onnx", run_new},
    Command{"fit", "MODEL --data DATA -o OUT.onnx", "trains a model",
            "batchwise fit mlp.onnx --data data/digits.csv.gz --validation-split 0.2 --epochs 3 -o "
            "digits.onnx",
            run_fit},
    Command{"predict", "MODEL --data DATA -o OUT.npy", "runs a model over data",
            "batchwise predict digits.onnx --data data/digits.csv.gz -o digits.npy --control",
            run_predict},
    Command{"evaluate", "MODEL --data DATA", "loss and metric of a model on data",
            "batchwise evaluate digits.onnx --data data/digits.csv.gz", run_evaluate},
    Command{"explain", "MODEL", "kernels and why, memory at every batch size, before anything runs",
            "batchwise explain mlp.onnx --batch-size 1..512 --memory-limit 64MiB", run_explain},
    Command{"study", "MODEL... --data DATA -o DIR",
            "measures models at many batch sizes and writes the report",
            "batchwise study mlp.onnx --data data/digits.csv.gz -o study --budget 1min", run_study},
    Command{"serve", "MODEL... | --models DIR", "answers requests, in batches that meet deadlines",
            "batchwise serve digits.onnx --p99 20ms", run_serve},
    Command{"simulate", "--profile FILE --rate R",
            "the server's scheduler against simulated arrivals",
            "batchwise simulate --profile study/study.json --rate 5000/s --p99 5ms", run_simulate},
    Command{"load", "URL --model NAME", "sends load to any v2 server, and says how it was answered",
            "batchwise load http://127.0.0.1:8000 --model mlp --concurrency 32 --duration 5s",
            run_load},
    Command{"compare", "A B", "how far two files of outputs lie apart, sample by sample",
            "batchwise compare digits.npy digits.npy", run_compare},
};

// Planned, and asked for by whoever has read of them.
constexpr std::array<std::string_view, 6> kLaterCommands{"tune", "serve",   "certify",
                                                         "load", "convert", "check"};

void print_help() {
  fmt::print("Which batch size should I train with, predict with and deploy with?\n\n");
  fmt::print("Usage: batchwise COMMAND ...\n\n");
  for (const Command& command : kCommands)
    fmt::print("  {:<10}{}\n", command.name, command.summary);
  fmt::print("\nbatchwise COMMAND --help says more, with an example.\n");
}

// Flags before the command's name ("batchwise --json explain m.onnx") are the command's.
std::vector<std::string> with_command_first(std::vector<std::string> words) {
  const auto is_command = [](const std::string& word) {
    return std::any_of(kCommands.begin(), kCommands.end(),
                       [&](const Command& command) { return command.name == word; });
  };
  const auto name = std::find_if(words.begin(), words.end(), is_command);
  if (words.empty() || words[0].front() != '-' || name == words.end()) return words;
  const std::vector<std::string> flags(words.begin(), name);
  words.erase(words.begin(), name);
  words.insert(words.end(), flags.begin(), flags.end());
  return words;
}

int dispatch(int argc, char** argv) {
  const std::vector<std::string> words = with_command_first({argv + 1, argv + argc});
  if (words.empty()) {
    print_help();
    throw Error(ErrorCode::kInvalidInput, "[batchwise] a command is wanted, and there is none");
  }
  if (words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    print_help();
    return 0;
  }
  if (words[0] == "--version") {
    fmt::print("batchwise {}\n", version());
    return 0;
  }
  std::vector<std::string> names;
  for (const Command& command : kCommands) {
    if (command.name == words[0]) return command.run(command, {words.begin() + 1, words.end()});
    names.emplace_back(command.name);
  }
  if (std::find(kLaterCommands.begin(), kLaterCommands.end(), words[0]) != kLaterCommands.end()) {
    throw Error(ErrorCode::kInvalidInput,
                fmt::format("[batchwise] {} is not in version {}", words[0], version()),
                "batchwise --help lists the commands");
  }
  const std::string near = nearest_word(words[0], names);
  throw Error(
      ErrorCode::kInvalidInput, fmt::format("[batchwise] unknown command {}", words[0]),
      near.empty() ? "batchwise --help lists the commands" : fmt::format("did you mean {}?", near));
}

// The one place that makes exit codes of exceptions.
int report(ErrorCode code, const char* what, const std::string& hint) {
  fmt::print(stderr, "batchwise: {}\n", what);
  if (!hint.empty()) fmt::print(stderr, "  {}\n", hint);
  return static_cast<int>(code);
}

int run(int argc, char** argv) {
  try {
    catch_interrupts();
    const int code = dispatch(argc, argv);
    if (std::fflush(stdout) != 0) {
      return report(ErrorCode::kEnvironment, "[standard output] cannot write", {});
    }
    return code;
  } catch (const Error& error) {
    return report(error.code(), error.what(), error.hint());
  } catch (const std::bad_alloc&) {
    return report(ErrorCode::kEnvironment, "[memory] the system gave no more",
                  "lower --memory-limit");
  } catch (const std::exception& error) {
    return report(ErrorCode::kInternal, error.what(), "this is a bug of batchwise");
  } catch (...) {
    return report(ErrorCode::kInternal, "[main] an unknown exception",
                  "this is a bug of batchwise");
  }
}

}  // namespace
}  // namespace batchwise

int main(int argc, char** argv) { return batchwise::run(argc, argv); }
