// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "study/report_chapters.h"
#include "study/report_text.h"

namespace batchwise {
namespace {

std::string layout_table(const ServeChapter& serve) {
  TextTable table({"layout", "batch", "median a batch", "95 % interval", "repeats", "rows/s",
                   "memory an instance"});
  for (const ServeLayout& layout : serve.layouts) {
    for (const ServeBatchRow& row : layout.rows) {
      const auto rows = static_cast<double>(layout.instances * row.batch_size);
      table.add({layout_text(layout.instances, layout.threads), format_count(row.batch_size),
                 format_us(row.us.median),
                 fmt::format("{} – {}", format_us(row.us.low), format_us(row.us.high)),
                 format_count(row.repeats), format_interval(reciprocal(row.us, 1e6 * rows)),
                 format_bytes(row.bytes)});
    }
  }
  return table.html("Serve: a batch in every layout");
}

std::string limit_table(const ServeChapter& serve) {
  TextTable table({"layout", "largest batch", "largest rate", "of it all batches full", "p50 there",
                   "p99 there", "mean batch there"});
  const auto add = [&table](const ServeLayout& layout, const ServeLimit& limit) {
    std::vector<std::string> cells{layout_text(layout.instances, layout.threads),
                                   format_count(limit.max_batch)};
    if (limit.at.rate_per_s > 0) {
      for (const std::string& cell :
           {format_figure(limit.at.rate_per_s) + "/s", format_figure(limit.capacity_per_s) + "/s",
            format_us(limit.at.p50_us), format_us(limit.at.p99_us),
            format_figure(limit.at.mean_batch)}) {
        cells.push_back(cell);
      }
    } else {
      cells.insert(cells.end(), {"none", "–", "–", "–", "–"});
    }
    table.add(cells);
  };
  for (const ServeLimit& size : serve.sizes) add(serve.layout(), size);
  for (std::size_t i = 0; i < serve.layouts.size(); ++i) {
    if (i != serve.chosen || serve.sizes.empty()) add(serve.layouts[i], serve.layouts[i].answer);
  }
  return table.html("Serve: the largest rates");
}

std::string measured_and_simulated(double measured, double simulated,
                                   std::string (*format)(double)) {
  return fmt::format("{} / {}", format(measured), format(simulated));
}

std::string run_table(const ServeChapter& serve) {
  TextTable table(
      {"policy", "load", "requests/s", "p50", "p99", "mean batch", "refused or late", "requests"});
  for (const ServeRun& run : serve.runs) {
    const ServePoint &real = run.measured, &simulated = run.simulated;
    table.add({run.policy, fmt::format("{:.0f} %", 100 * run.share), format_figure(real.rate_per_s),
               measured_and_simulated(real.p50_us, simulated.p50_us, format_us),
               measured_and_simulated(real.p99_us, simulated.p99_us, format_us),
               measured_and_simulated(real.mean_batch, simulated.mean_batch, format_figure),
               format_count(run.refused + run.late), format_count(run.requests)});
  }
  return table.html("Serve: real load / simulated");
}

std::string curve_table(const ServeChapter& serve) {
  TextTable table({"policy", "requests/s", "p50", "p99", "mean batch", "in time a second"});
  for (const ServeCurve& curve : serve.curves) {
    for (const ServePoint& point : curve.points) {
      table.add({curve.policy, format_figure(point.rate_per_s), format_us(point.p50_us),
                 format_us(point.p99_us), format_figure(point.mean_batch),
                 format_figure(point.goodput_per_s)});
    }
  }
  return table.html("Serve: every policy, simulated");
}

// The best of the other layouts, for a comparison; null where there is none.
const ServeLayout* runner_up(const ServeChapter& serve) {
  const ServeLayout* best = nullptr;
  for (std::size_t i = 0; i < serve.layouts.size(); ++i) {
    const ServeLayout& layout = serve.layouts[i];
    if (i != serve.chosen &&
        (best == nullptr || layout.answer.at.rate_per_s > best->answer.at.rate_per_s)) {
      best = &layout;
    }
  }
  return best;
}

std::string finding_text(const ServeChapter& serve) {
  const ServeLayout& layout = serve.layout();
  std::string text = fmt::format(
      "With a p99 below {}, {} and at most {} rows a batch serve {} requests/s in the simulator",
      format_us(serve.p99_limit_us), layout_text(layout.instances, layout.threads),
      format_count(layout.answer.max_batch), format_figure(layout.answer.at.rate_per_s));
  if (const ServeLayout* other = runner_up(serve)) {
    text += fmt::format("; {} would serve {}", layout_text(other->instances, other->threads),
                        format_figure(other->answer.at.rate_per_s));
  }
  return text + ".";
}

// By how much the simulator is off, in the median over the runs.
std::string distance_text(const ServeChapter& serve) {
  std::vector<double> p50, p99, batch;
  for (const ServeRun& run : serve.runs) {
    const auto off = [](double simulated, double real) {
      return real > 0 ? std::abs(simulated / real - 1) : 0;
    };
    p50.push_back(off(run.simulated.p50_us, run.measured.p50_us));
    p99.push_back(off(run.simulated.p99_us, run.measured.p99_us));
    batch.push_back(off(run.simulated.mean_batch, run.measured.mean_batch));
  }
  if (p50.empty()) return "";
  return fmt::format(
      " Against real load the simulator is off by {:.0f} % of p50, {:.0f} % of p99 and {:.0f} % of "
      "the mean batch, in the median over {} runs.",
      100 * median_interval(p50).median, 100 * median_interval(p99).median,
      100 * median_interval(batch).median, serve.runs.size());
}

std::string note_text(const ServeChapter& serve) {
  const ServeLayout& layout = serve.layout();
  std::string text = fmt::format(
      "Batches were measured with all instances of a layout running at once; the server itself "
      "spends {} a batch and {} a request beside them. Rates come from the simulator, certified "
      "over simulated Poisson arrivals of a row each, and were then run: the server and its client "
      "in one process, without sockets, latency from the scheduled time. The policy delay waits up "
      "to {}.",
      format_us(layout.batch_us), format_us(layout.request_us), format_us(serve.queue_delay_us));
  if (!serve.note.empty()) text += " " + serve.note + ".";
  return text;
}

}  // namespace

ReportChapter serve_report_chapter(const ModelStudy& study) {
  const std::string& absent = study.for_serve.absent_reason;
  ReportChapter chapter{"Serve", absent.empty() ? "This chapter was not run." : absent, "", {}};
  if (!study.serve || study.serve->layouts.empty()) return chapter;
  const ServeChapter& serve = *study.serve;
  const std::string layouts = layout_table(serve);
  chapter.figures.push_back({"serve-layouts", "Rows a second by layout",
                             "All instances run a batch of this size at once: a batch on all "
                             "cores, or one on each.",
                             layouts, "half", "", true});
  if (!serve.has_answer()) return chapter;
  chapter.finding = finding_text(serve);
  chapter.note = note_text(serve) + distance_text(serve);
  const std::string curves = curve_table(serve);
  chapter.figures.push_back({"serve-rates", "Largest rate",
                             fmt::format("With 99 of 100 answers within {}, from the simulator.",
                                         format_us(serve.p99_limit_us)),
                             limit_table(serve), "half", "", true});
  chapter.figures.push_back({"serve-p50", "Median latency",
                             "Dashed: simulated. Points: real load, with the range of its blocks.",
                             curves, "half", ""});
  chapter.figures.push_back({"serve-p99", "99th percentile",
                             "Dashed: simulated. Points: real load, with the range of its blocks.",
                             run_table(serve), "half", "", true});
  chapter.figures.push_back({"serve-batch", "Mean batch",
                             "Rows that run together: a policy that waits gathers more.", curves,
                             "wide", ""});
  return chapter;
}

}  // namespace batchwise
