// SPDX-License-Identifier: Apache-2.0
#include "study/report.h"

#include <fmt/format.h>

#include <algorithm>

#include "study/report_assets.h"
#include "study/report_chapters.h"
#include "study/report_text.h"
#include "study/study_json.h"

namespace batchwise {
namespace {

// Inside a script element only "<" can end it; JSON may write it as an escape.
std::string json_for_script(const nlohmann::json& json) {
  const std::string text = json.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  std::string safe;
  for (char c : text) {
    if (c == '<') {
      safe += "\\u003c";
    } else {
      safe += c;
    }
  }
  return safe;
}

std::string fact_html(std::string_view term, std::string_view text, std::string_view more = {}) {
  std::string html = fmt::format("<div><dt>{}</dt><dd>{}", escape_html(term), escape_html(text));
  if (!more.empty()) html += fmt::format("<small>{}</small>", escape_html(more));
  return html + "</dd></div>\n";
}

std::string model_names(const StudyResult& result) {
  std::string names;
  for (std::size_t i = 0; i < result.models.size(); ++i) {
    if (i > 0) names += i + 1 == result.models.size() ? " and " : ", ";
    names += result.models[i].model.name;
  }
  return names.empty() ? "no model" : names;
}

std::string machine_detail(const Machine& machine) {
  return fmt::format("{} core{}, L2 {}, L3 {}, {} of memory; {}", machine.cores,
                     machine.cores == 1 ? "" : "s", format_bytes(machine.l2_bytes),
                     format_bytes(machine.l3_bytes), format_bytes(machine.memory_bytes),
                     machine.kernel);
}

std::string header_html(const StudyResult& result) {
  const DataInfo& data = result.data;
  std::string html = fmt::format(
      "<header class=\"masthead\"><p class=\"eyebrow\">Batchwise study</p>\n"
      "<h1>Which batch size for {}?</h1>\n<dl class=\"facts\">\n",
      escape_html(model_names(result)));
  html += fmt::format("<div><dt>{}</dt>", result.models.size() == 1 ? "Model" : "Models");
  for (const ModelStudy& study : result.models) {
    std::string inputs;
    for (const std::string& input : study.model.inputs) {
      inputs += (inputs.empty() ? "" : ", ") + input;
    }
    html +=
        fmt::format("<dd>{}<small>{} parameters; {}</small></dd>", escape_html(study.model.name),
                    format_count(study.model.parameters), escape_html(inputs));
  }
  html += "</div>\n";
  std::string samples =
      fmt::format("{} training samples, {} validation samples", format_count(data.train_samples),
                  format_count(data.validation_samples));
  if (data.classes > 0) samples += fmt::format(", {} classes", format_count(data.classes));
  html += fact_html("Data", data.name, samples);
  html += fact_html("Machine", result.machine.cpu_model, machine_detail(result.machine));
  std::string versions;
  for (const VersionRow& row : result.versions) {
    versions += (versions.empty() ? "" : ", ") + row.name + " " + row.version;
  }
  html += fact_html("Made", result.started_at + " UTC",
                    fmt::format("in {}; {}", format_duration(result.seconds_spent), versions));
  return html + "</dl></header>\n";
}

// Each word apart, so that a line never breaks at the hyphen of a flag.
std::string command_html(std::string_view command) {
  std::string html = "<code>";
  while (!command.empty()) {
    const std::size_t end = std::min(command.find(' '), command.size());
    html += "<span>" + escape_html(command.substr(0, end)) + "</span>";
    if (end < command.size()) html += ' ';
    command.remove_prefix(std::min(end + 1, command.size()));
  }
  return html + "</code>";
}

// What the number of a card counts.
const char* unit_text(const Recommendation& answer) {
  const bool one = *answer.batch_size == 1;
  if (answer.use == StudyUse::kServe) return one ? "row a batch" : "rows a batch at most";
  return one ? "sample a batch" : "samples a batch";
}

std::string card_html(const Recommendation& answer) {
  std::string use(name_of(answer.use));
  use[0] = static_cast<char>(use[0] - 'a' + 'A');
  if (!answer.batch_size) {
    return fmt::format(
        "<section class=\"card absent\"><h3>{}</h3><p class=\"answer\">–</p><p>{}</p></section>\n",
        use,
        escape_html(answer.absent_reason.empty() ? "There is no answer." : answer.absent_reason));
  }
  std::string html = fmt::format(
      "<section class=\"card {}\"><h3>{}</h3>\n<p class=\"answer\">{}<small> {}</small></p>\n"
      "<p>{}</p>\n",
      name_of(answer.use), use, format_count(*answer.batch_size), unit_text(answer),
      escape_html(answer.why));
  if (!answer.neighbours.empty()) {
    html += "<dl class=\"neighbours\"><dt class=\"lead\">Instead</dt>\n";
    for (const Neighbour& neighbour : answer.neighbours) {
      html += fmt::format("<div><dt>{}</dt><dd>{}</dd></div>\n", format_count(neighbour.batch_size),
                          escape_html(neighbour.what));
    }
    html += "</dl>\n";
  }
  if (!answer.command.empty()) {
    html += "<p class=\"next\">Run next</p><pre>" + command_html(answer.command) + "</pre>\n";
  }
  return html + "</section>\n";
}

std::string chapter_id(std::size_t model, const ReportChapter& chapter) {
  return fmt::format("model-{}-{}", model, chapter.name);
}

std::string answers_html(const StudyResult& result) {
  std::string html = "<main>\n<section class=\"answers\" aria-label=\"Recommendations\">\n";
  for (std::size_t i = 0; i < result.models.size(); ++i) {
    const ModelStudy& study = result.models[i];
    html += fmt::format("<div class=\"head\"><h2>{}</h2><nav aria-label=\"Chapters of {}\">",
                        escape_html(study.model.name), escape_html(study.model.name));
    for (const ReportChapter& chapter : report_chapters(study)) {
      if (chapter.figures.empty()) continue;
      html += fmt::format("<a href=\"#{}\">{}</a> ", chapter_id(i, chapter), chapter.name);
    }
    html += "</nav></div>\n<div class=\"cards\">\n";
    Recommendation answers[] = {study.for_predict, study.for_serve, study.for_fit};
    answers[1].use = StudyUse::kServe;
    answers[2].use = StudyUse::kFit;
    for (const Recommendation& answer : answers) html += card_html(answer);
    html += "</div>\n";
  }
  return html + "</section>\n";
}

std::string figure_html(const ReportFigure& figure, std::size_t model) {
  return fmt::format(
      "<figure class=\"{}\"><figcaption><h4>{}</h4><p>{}</p>{}</figcaption>\n"
      "<div class=\"chart\"><canvas data-chart=\"{}\" data-model=\"{}\" role=\"img\" "
      "aria-label=\"{}: the table below has the figures\"></canvas></div>\n"
      "<details{}><summary>Table</summary><div class=\"scroll\" tabindex=\"0\">{}</div></details>"
      "</figure>\n",
      escape_html(figure.shape), escape_html(figure.title), escape_html(figure.how_to_read),
      figure.controls, escape_html(figure.kind), model, escape_html(figure.title),
      figure.prints_table ? "" : " class=\"screen\"", figure.table_html);
}

std::string model_html(const ModelStudy& study, std::size_t model) {
  std::string html =
      fmt::format("<article id=\"model-{}\"><h2>{}</h2>\n", model, escape_html(study.model.name));
  for (const ReportChapter& chapter : report_chapters(study)) {
    html += fmt::format(
        "<section class=\"chapter\" id=\"{}\"><h3>{}</h3>\n<p class=\"finding\">{}</p>\n",
        chapter_id(model, chapter), chapter.name, escape_html(chapter.finding));
    if (!chapter.note.empty()) html += "<p class=\"note\">" + escape_html(chapter.note) + "</p>\n";
    if (!chapter.figures.empty()) {
      html += "<div class=\"figures\">\n";
      for (const ReportFigure& figure : chapter.figures) html += figure_html(figure, model);
      html += "</div>\n";
    }
    html += "</section>\n";
  }
  return html + "</article>\n";
}

std::string footer_html(const StudyResult& result) {
  std::string html = "</main>\n<footer>\n";
  if (!result.command.empty()) {
    html += "<p>Made by <code>" + escape_html(result.command) + "</code></p>\n";
  }
  if (!result.data.attribution.empty()) {
    html += "<p>Data: " + escape_html(result.data.attribution) + "</p>\n";
  }
  return html + fmt::format(
                    "<p>Every single measurement is in <code>study.sqlite</code>, every figure in "
                    "<code>study.json</code>. Machine key <code>{}</code>. Charts by Chart.js "
                    "(MIT licence).</p>\n</footer>\n",
                    escape_html(result.machine.key()));
}

}  // namespace

std::int64_t num_report_charts(const StudyResult& result) {
  std::size_t charts = 0;
  for (const ModelStudy& study : result.models) {
    for (const ReportChapter& chapter : report_chapters(study)) charts += chapter.figures.size();
  }
  return static_cast<std::int64_t>(charts);
}

std::string render_report(const StudyResult& result) {
  std::string html = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<meta name=\"color-scheme\" content=\"light dark\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:\">\n"
      "<meta name=\"batchwise-canvases\" content=\"{}\">\n"
      "<link rel=\"icon\" href=\"data:,\">\n<title>Batch size study: {}</title>\n<style>\n",
      num_report_charts(result), escape_html(model_names(result)));
  html += kReportStyle;
  html += "</style>\n</head>\n<body>\n" + header_html(result) + answers_html(result);
  for (std::size_t i = 0; i < result.models.size(); ++i) html += model_html(result.models[i], i);
  html += footer_html(result);
  html += "<script type=\"application/json\" id=\"study\">" + json_for_script(study_json(result));
  html += "</script>\n<script>";
  html += kChartScript;
  html += "</script>\n<script>\n";
  html += kDrawingScript;
  html += kServeScript;
  html += kReportScript;
  return html + "</script>\n</body>\n</html>\n";
}

}  // namespace batchwise
