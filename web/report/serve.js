// SPDX-License-Identifier: Apache-2.0
// The charts of the Serve chapter, by their kind, with drawing.js; report.js draws them.
const serve_charts = (() => {
  "use strict";
  const {color, figure, short, micros, points, line, band, axis, linear_axis, log_axis, batch_axis, base} = drawing;

  const HUES = {deadline: "c1", delay: "c5", greedy: "c2", aimd: "c3", adaptive: "c4"};
  const STYLES = {deadline: "circle", delay: "rect", greedy: "triangle", aimd: "rectRot", adaptive: "star"};
  const layout_name = (layout) => `${layout.instances} × ${layout.threads} thread${layout.threads === 1 ? "" : "s"}`;
  const rate_of = (point) => point.rate_per_s;

  const layouts = (model) => {
    const hues = ["c1", "c2", "c3", "c4", "c5", "c6"];
    const rows_per_s = (layout, row, us) => layout.instances * row.batch_size * 1e6 / us;
    const datasets = model.serve.layouts.flatMap((layout, i) => {
      const hue = color(hues[i % hues.length]);
      const rate = (field) => (row) => rows_per_s(layout, row, row[field]);
      const size = (row) => row.batch_size;
      return [
        ...band(points(layout.measurements, size, rate("high_us")), points(layout.measurements, size, rate("low_us")), hue),
        line(layout_name(layout), points(layout.measurements, size, rate("median_us")), hue, {
          intervals: layout.measurements.map((row) => [rate("high_us")(row), rate("low_us")(row)]),
          pointStyle: Object.values(STYLES)[i % 5]}),
      ];
    });
    const sizes = model.serve.layouts.flatMap((layout) => layout.measurements.map((row) => row.batch_size));
    const answer = model.recommendation.serve;
    return {
      type: "line", data: {datasets},
      options: base({x: batch_axis(sizes), y: linear_axis("rows/s", short, {beginAtZero: true})}, figure, {
        plugins: {rules: {lines: answer === null ? [] :
          [{axis: "x", value: answer.batch_size, label: "limit " + figure(answer.batch_size), color: color("good"), low: true}]}},
      }),
    };
  };

  const rates = (model) => {
    const serve = model.serve, chosen = serve.layouts[serve.chosen];
    const candidates = [
      ...serve.sizes.map((limit) => ({layout: chosen, limit})),
      ...serve.layouts.filter((layout) => layout !== chosen).map((layout) => ({layout, limit: layout.answer})),
    ];
    const is_answer = ({layout, limit}) => layout === chosen && limit.max_batch === serve.max_batch;
    const hues = candidates.map((one) => color(is_answer(one) ? "good" : one.layout === chosen ? "c6" : "c7"));
    return {
      type: "bar",
      data: {
        labels: candidates.map(({layout, limit}) => [`${layout.instances} × ${layout.threads}`, "≤ " + figure(limit.max_batch)]),
        datasets: [{label: "requests/s", data: candidates.map(({limit}) => limit.largest.rate_per_s), bars: true,
                    backgroundColor: hues, borderColor: hues, maxBarThickness: 46, borderRadius: 2}],
      },
      options: base({x: axis("instances × threads, rows a batch at most", {ticks: {autoSkip: false}}), y: linear_axis("requests/s", short, {beginAtZero: true})},
                    figure, {interaction: {mode: "index", intersect: false}, title_of: (x, item) => item.label.replace(",", ", "),
                             plugins: {legend: {display: false}}}),
    };
  };

  // Lines of the simulator and points of real load, by rate.
  const by_rate = (field, title, y_axis, format, rules) => (model) => {
    const serve = model.serve;
    const simulated = serve.policies.map((curve) =>
      line(curve.policy + ", simulated", points(curve.points, rate_of, (p) => p[field]), color(HUES[curve.policy]),
           {borderDash: [6, 4], pointRadius: 0, pointStyle: STYLES[curve.policy]}));
    const real = serve.policies.map((curve) => {
      const runs = serve.runs.filter((run) => run.policy === curve.policy);
      return line(curve.policy + ", real load", points(runs, (r) => r.measured.rate_per_s, (r) => r.measured[field]),
                  color(HUES[curve.policy]), {
                    showLine: false, pointRadius: 6, pointHoverRadius: 8, pointStyle: STYLES[curve.policy],
                    intervals: runs.map((r) => r[field] ? [r[field].low, r[field].high] : null)});
    });
    const values = [...serve.policies.flatMap((curve) => curve.points.map((p) => p[field])),
                    ...serve.runs.flatMap((r) => r[field] ? [r[field].low, r[field].high] : [r.measured[field]])];
    return {
      type: "line", data: {datasets: [...simulated, ...real]},
      options: base({x: linear_axis("requests/s", short, {beginAtZero: true}), y: y_axis(title, values)}, format, {
        title_of: (x) => figure(x) + " requests/s",
        plugins: {rules: {lines: rules(serve, values)}},
      }),
    };
  };
  const latency_axis = (title, values) => log_axis(title, values, micros);
  // A limit far above all that is seen would flatten it; the text names it.
  const p99_rule = (serve, values) => serve.p99_us > 3 * Math.max(...values) ? [] :
    [{axis: "y", value: serve.p99_us, label: "limit " + micros(serve.p99_us), color: color("c2")}];

  return {
    "serve-layouts": layouts,
    "serve-rates": rates,
    "serve-p50": by_rate("p50_us", "p50", latency_axis, micros, () => []),
    "serve-p99": by_rate("p99_us", "p99", latency_axis, micros, p99_rule),
    "serve-batch": by_rate("mean_batch", "rows", (title, values) => log_axis(title, values, figure), figure, () => []),
  };
})();
