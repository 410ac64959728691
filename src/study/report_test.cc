// SPDX-License-Identifier: Apache-2.0
#include "study/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "study/recommend.h"
#include "study/report_text.h"

namespace batchwise {
namespace {

using testing::HasSubstr;
using testing::Not;

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t found = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++found;
  }
  return found;
}

TEST(EscapeHtml, LeavesNoMarkupAndNoBrokenText) {
  EXPECT_EQ(escape_html("<b a=\"1\" c='2'>&amp;"),
            "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;amp;");
  EXPECT_EQ(escape_html("é µ 漢 😀"), "é µ 漢 😀");
  const std::string bad = "\xEF\xBF\xBD";
  EXPECT_EQ(escape_html("a\xff"
                        "b"),
            "a" + bad + "b");
  EXPECT_EQ(escape_html("\xC0\xAF"), bad + bad);            // overlong "/"
  EXPECT_EQ(escape_html("\xED\xA0\x80"), bad + bad + bad);  // a surrogate
  EXPECT_EQ(escape_html("\xE2\x82"), bad + bad);            // cut short
  EXPECT_EQ(escape_html(std::string_view("\0\x1b", 2)), bad + bad);
}

TEST(Format, FiguresHaveThreeDigitsThatMatter) {
  EXPECT_EQ(format_figure(0.01234), "0.0123");
  EXPECT_EQ(format_figure(1.234), "1.23");
  EXPECT_EQ(format_figure(12.34), "12.3");
  EXPECT_EQ(format_figure(123.4), "123");
  EXPECT_EQ(format_figure(1234567), "1,230,000");
  EXPECT_EQ(format_figure(-12345), "-12,300");
  EXPECT_EQ(format_figure(0), "0");
  EXPECT_EQ(format_figure(3e-7), "3e-07");
  EXPECT_EQ(format_figure(NAN), "–");
  EXPECT_EQ(format_count(1797), "1,797");
  EXPECT_EQ(format_count(-123), "-123");
  EXPECT_EQ(format_bytes(1 << 20), "1.00 MiB");
  EXPECT_EQ(format_bytes(900), "900 B");
  EXPECT_EQ(format_us(1234), "1.23 ms");
  EXPECT_EQ(format_duration(0.0705), "70.5 ms");
  EXPECT_EQ(format_duration(161), "2 min 41 s");
}

TEST(TextTable, AlignsByWhatIsSeen) {
  TextTable table({"", "µs"});
  table.add({"a", "1"});
  table.add({"bb", "12345"});
  EXPECT_EQ(table.terminal(" "), "        µs\n a       1\n bb  12345\n");
}

StudyResult study() {
  StudyResult result;
  result.models.resize(1);
  ModelStudy& model = result.models[0];
  model.model.name = "</script><script>alert(1)</script>";
  model.predict.emplace();
  for (std::int64_t batch : {1, 8}) {
    PredictRow row;
    row.batch_size = row.micro_batch = batch;
    row.us = {90, 100, 110};
    model.predict->rows.push_back(row);
  }
  model.for_serve.absent_reason = "There is no room to serve";
  model.for_predict = recommend_predict(*model.predict);
  model.for_predict.command = "batchwise predict \"$(x)\" & <y>";
  return result;
}

TEST(Report, IsOneFileWithoutANetwork) {
  const std::string html = render_report(study());
  EXPECT_THAT(html, HasSubstr("default-src 'none'"));
  EXPECT_THAT(html, Not(HasSubstr("<script src")));
  EXPECT_THAT(html, Not(HasSubstr("<link rel=\"stylesheet")));
  EXPECT_THAT(html, HasSubstr("Chart.js v3"));
}

TEST(Report, DeclaresTheChartsItHas) {
  const StudyResult result = study();
  const std::string html = render_report(result);
  EXPECT_EQ(num_report_charts(result), 3);
  EXPECT_THAT(html, HasSubstr("<meta name=\"batchwise-canvases\" content=\"3\">"));
  EXPECT_EQ(count(html, "<canvas "), 3u);
  EXPECT_EQ(count(html, "<table>"), 3u);
}

TEST(Report, SaysWhichChaptersAreAbsent) {
  const std::string html = render_report(study());
  EXPECT_THAT(html, HasSubstr("<h3>Serve</h3>"));
  EXPECT_THAT(html, HasSubstr("There is no room to serve"));
  EXPECT_THAT(html, HasSubstr("This chapter was not run."));
}

TEST(Report, EscapesTheUsersStringsInTextAndScript) {
  const std::string html = render_report(study());
  EXPECT_THAT(html, Not(HasSubstr("<script>alert")));
  EXPECT_THAT(html, HasSubstr("&lt;/script&gt;&lt;script&gt;alert(1)"));
  EXPECT_THAT(html, HasSubstr("\\u003c/script>"));
  EXPECT_THAT(html, HasSubstr("<span>&amp;</span> <span>&lt;y&gt;</span>"));
  EXPECT_EQ(count(html, "</script>"), 3u);
}

TEST(Report, AnEmptyStudyIsStillAPage) {
  const std::string html = render_report(StudyResult());
  EXPECT_THAT(html, HasSubstr("content=\"0\""));
  EXPECT_THAT(html, HasSubstr("</html>"));
}

}  // namespace
}  // namespace batchwise
