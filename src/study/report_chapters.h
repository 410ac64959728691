// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "study/study_result.h"

namespace batchwise {

// A chart of a chapter with its table. `kind` names the function of report.js that draws it.
struct ReportFigure {
  std::string kind;
  std::string title;
  std::string how_to_read;
  std::string table_html;
  std::string shape = "half";  // of the width of the page; or "wide", "wide low"
  std::string controls;        // HTML of ours, not escaped
  bool prints_table = false;   // else the table is for the screen: long, or printed elsewhere
};

// A chapter: one finding in a sentence, then its figures. Without figures, `finding` says why.
struct ReportChapter {
  std::string name;  // "Memory"
  std::string finding;
  std::string note;  // how it was measured; may be empty
  std::vector<ReportFigure> figures;
};

// The chapter of what a server would do, or why there is none.
ReportChapter serve_report_chapter(const ModelStudy& study);

// Memory, Predict, Accuracy, Serve, Fit, in this order.
std::vector<ReportChapter> report_chapters(const ModelStudy& study);

}  // namespace batchwise
