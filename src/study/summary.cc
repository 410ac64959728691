// SPDX-License-Identifier: Apache-2.0
#include "study/summary.h"

#include <fmt/format.h>

#include "study/report_text.h"

namespace batchwise {
namespace {

// Control characters of a model's name must not reach the terminal.
std::string printable(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = '?';
  }
  return text;
}

// Breaks text at blanks into lines of at most `width`.
std::vector<std::string> wrapped(const std::string& text, std::size_t width) {
  std::vector<std::string> lines{""};
  std::size_t at = 0;
  while (at < text.size()) {
    const std::size_t end = std::min(text.find(' ', at), text.size());
    const std::string word = text.substr(at, end - at);
    if (!lines.back().empty() && display_width(lines.back()) + 1 + display_width(word) > width) {
      lines.emplace_back();
    }
    if (!lines.back().empty()) lines.back() += ' ';
    lines.back() += word;
    at = end + 1;
  }
  return lines;
}

void add_answer(StudyUse use, const Recommendation& answer, TextTable* table) {
  constexpr std::size_t kWidth = 62;  // of the last column, so that all fit into 80
  std::string first{name_of(use)};
  std::string size = answer.batch_size ? format_count(*answer.batch_size) : "–";
  const std::string why = !answer.batch_size && answer.why.empty()
                              ? (answer.absent_reason.empty() ? "no answer" : answer.absent_reason)
                              : answer.why;
  for (const std::string& line : wrapped(printable(why), kWidth)) {
    table->add({first, size, line});
    first.clear();
    size.clear();
  }
  for (const Neighbour& neighbour : answer.neighbours) {
    const std::string text =
        fmt::format("instead {}: {}", format_count(neighbour.batch_size), neighbour.what);
    for (const std::string& line : wrapped(printable(text), kWidth)) table->add({"", "", line});
  }
}

}  // namespace

std::string render_summary(const StudyResult& result) {
  std::string text;
  for (const ModelStudy& study : result.models) {
    text += fmt::format("{} ({} parameters) on {}\n", printable(study.model.name),
                        format_count(study.model.parameters), printable(result.data.name));
    TextTable table({"", "batch", "why"});
    add_answer(StudyUse::kPredict, study.for_predict, &table);
    add_answer(StudyUse::kServe, study.for_serve, &table);
    add_answer(StudyUse::kFit, study.for_fit, &table);
    text += table.terminal("  ", true);
    for (const Recommendation* answer : {&study.for_predict, &study.for_serve, &study.for_fit}) {
      if (answer->batch_size && !answer->command.empty()) {
        text += "  $ " + printable(answer->command) + "\n";
      }
    }
    text += "\n";
  }
  return text + fmt::format("{}, {} cores; {}\n", printable(result.machine.cpu_model),
                            result.machine.cores, format_duration(result.seconds_spent));
}

}  // namespace batchwise
