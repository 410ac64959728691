// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "study/recommend.h"
#include "study/report_text.h"

namespace batchwise {
namespace {

std::string rate_text(const ServeLimit& limit, const ServeLimit& chosen) {
  if (limit.at.rate_per_s <= 0) return "serves no rate: " + limit.why_not;
  return fmt::format("{} requests/s, {:.0f} % of it", format_figure(limit.at.rate_per_s),
                     100 * limit.at.rate_per_s / chosen.at.rate_per_s);
}

void add_neighbour(const ServeLayout& layout, const ServeLimit& limit, const ServeLimit& chosen,
                   Recommendation* answer) {
  const std::string what = fmt::format("on {}: {}", layout_text(layout.instances, layout.threads),
                                       rate_text(limit, chosen));
  answer->neighbours.push_back({limit.max_batch, what, layout.instances, layout.threads});
}

// What real load near the largest rate says of it.
std::string confirmation(const ServeChapter& chapter) {
  const ServeRun* nearest = nullptr;
  for (const ServeRun& run : chapter.runs) {
    if (run.policy == "deadline" && (nearest == nullptr || run.share > nearest->share)) {
      nearest = &run;
    }
  }
  if (nearest == nullptr) return "";
  std::string text = fmt::format("; under real load at {:.0f} % of it, p99 was {}",
                                 100 * nearest->share, format_us(nearest->measured.p99_us));
  if (nearest->measured.p99_us <= chapter.p99_limit_us) return text;
  const ServeRun* held = nullptr;
  for (const ServeRun& run : chapter.runs) {
    if (run.policy != "deadline" || run.measured.p99_us > chapter.p99_limit_us) continue;
    if (held == nullptr || run.share > held->share) held = &run;
  }
  if (held == nullptr) return text + ", and above the limit at every rate tried";
  return text + fmt::format(", above the limit, which held at {} requests/s",
                            format_figure(held->measured.rate_per_s));
}

}  // namespace

Recommendation recommend_serve(const ServeChapter& chapter) {
  Recommendation answer;
  answer.use = StudyUse::kServe;
  if (!chapter.has_answer()) {
    answer.absent_reason =
        fmt::format("No layout keeps a p99 of {}", format_us(chapter.p99_limit_us));
    if (!chapter.layouts.empty()) {
      answer.absent_reason += ": " + chapter.layout().answer.why_not;
    }
    return answer;
  }
  const ServeLayout& layout = chapter.layout();
  const ServeLimit& chosen = layout.answer;
  answer.batch_size = chosen.max_batch;
  answer.instances = layout.instances;
  answer.threads = layout.threads;
  answer.why = fmt::format(
      "At most {} rows a batch on {}: {} requests/s with a p99 below {}, simulated{}",
      format_count(chosen.max_batch), layout_text(layout.instances, layout.threads),
      format_figure(chosen.at.rate_per_s), format_us(chapter.p99_limit_us), confirmation(chapter));
  for (const ServeLimit& size : chapter.sizes) {
    if (size.max_batch != chosen.max_batch) add_neighbour(layout, size, chosen, &answer);
  }
  for (std::size_t i = 0; i < chapter.layouts.size(); ++i) {
    if (i == chapter.chosen) continue;
    add_neighbour(chapter.layouts[i], chapter.layouts[i].answer, chosen, &answer);
  }
  return answer;
}

}  // namespace batchwise
