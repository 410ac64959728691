// SPDX-License-Identifier: Apache-2.0
// Draws the charts of a study from the values in the page, with drawing.js; no network.
(() => {
  "use strict";
  const {color, faded, figure, bytes, micros, short, axis, batch_axis, log_axis, linear_axis,
         line, band, base, points, size_of} = drawing;
  const study = JSON.parse(document.getElementById("study").textContent);
  const charts = [];

  // ---- chapters; each function gives the configuration of one chart ----
  const PARTS = [
    ["weights_bytes", "weights", "c1"], ["packed_weights_bytes", "packed weights", "c6"],
    ["activation_bytes", "activations", "c2"], ["gradient_bytes", "gradients", "c3"],
    ["optimizer_bytes", "optimizer", "c5"], ["scratch_bytes", "scratch", "c4"],
    ["io_bytes", "inputs, outputs", "c8"], ["data_bytes", "data", "c7"], ["code_bytes", "code", "c9"],
  ];
  const memory = (use) => (model) => {
    const rows = model.memory.rows.filter((row) => row.use === use);
    const sizes = rows.map(size_of);
    const datasets = PARTS.filter(([name]) => rows.some((row) => row[name] > 0)).map(([name, label, hue], i) => ({
      ...line(label, points(rows, size_of, (row) => row[name]), color(hue)),
      backgroundColor: faded(color(hue), 0.55), borderWidth: 1, pointRadius: 0, fill: i === 0 ? "origin" : "-1",
    }));
    const most = Math.max(...rows.map((row) => row.peak_bytes));
    const room = model.memory.limit_bytes === null ? null : model.memory.limit_bytes - model.memory.base_bytes;
    // A limit far above the plan would flatten what is to be seen; it is then named, not drawn.
    const near = room !== null && room <= 4 * most;
    const step = (() => {
      const unit = Math.pow(1024, Math.floor(Math.log(most) / Math.log(1024)));
      const rough = most * (near ? Math.max(1, room / most) : 1) / unit / 5;
      const head = Math.pow(10, Math.floor(Math.log10(rough)));
      return unit * head * ([1, 2, 5, 10].find((m) => m * head >= rough) || 10);
    })();
    return {
      type: "line", data: {datasets},
      options: base({
        x: batch_axis(sizes),
        y: axis("peak", {stacked: true, beginAtZero: true,
                         max: near ? Math.max(most, room) * 1.16 : undefined,
                         ticks: {stepSize: step, includeBounds: false, callback: (value) => bytes(value)}}),
      }, bytes, {
        interaction: {mode: "index", intersect: false},
        plugins: {
          rules: {lines: near ? [{axis: "y", value: room, label: "limit " + bytes(room), color: color("c2")}] : []},
          ...(room !== null && !near ? {subtitle: {
            display: true, align: "end", color: color("soft"), font: {size: 12}, padding: {bottom: 12},
            text: `limit, above the chart: ${bytes(room)}`}} : {}),
          legend: {position: "bottom", align: "start",
                   labels: {color: color("ink"), boxWidth: 12, boxHeight: 12, padding: 10, font: {size: 12}}},
        },
      }),
    };
  };

  const predict_rows = (model) => model.measurements.filter((row) => !row.automatic);
  const automatic_rows = (model) => model.measurements.filter((row) => row.automatic);
  const auto_line = (model, y, format_low, format_high) => automatic_rows(model).length === 0 ? [] : [{
    ...line("auto micro-batch", points(automatic_rows(model), size_of, y), color("c2")),
    showLine: false, pointStyle: "rectRot", pointRadius: 7,
    intervals: automatic_rows(model).map((row) => [format_low(row), format_high(row)]),
  }];
  const knee_rule = (model) => ({lines: model.predict.knee === null ? [] :
    [{axis: "x", value: model.predict.knee, label: "knee " + figure(model.predict.knee), color: color("good"), low: true}]});
  const all_sizes = (model) => model.measurements.map(size_of);

  const predict_time = (model) => {
    const rows = predict_rows(model), hue = color("c1");
    const values = model.measurements.flatMap((row) => [row.low_us, row.p99_us]);
    return {
      type: "line",
      data: {datasets: [
        ...band(points(rows, size_of, (r) => r.low_us), points(rows, size_of, (r) => r.high_us), hue),
        line("median", points(rows, size_of, (r) => r.median_us), hue,
             {intervals: rows.map((r) => [r.low_us, r.high_us])}),
        line("p99", points(rows, size_of, (r) => r.p99_us), color("c4"), {borderDash: [5, 4], borderWidth: 1.6, pointRadius: 2}),
        ...auto_line(model, (r) => r.median_us, (r) => r.low_us, (r) => r.high_us),
      ]},
      options: base({x: batch_axis(all_sizes(model)), y: log_axis("time a call", values, micros)}, micros,
                    {plugins: {rules: {lines: []}}}),
    };
  };
  const predict_rate = (model) => {
    const rows = predict_rows(model), hue = color("c1");
    return {
      type: "line",
      data: {datasets: [
        ...band(points(rows, size_of, (r) => r.samples_per_s_low), points(rows, size_of, (r) => r.samples_per_s_high), hue),
        line("samples/s", points(rows, size_of, (r) => r.samples_per_s), hue,
             {intervals: rows.map((r) => [r.samples_per_s_low, r.samples_per_s_high])}),
        ...auto_line(model, (r) => r.samples_per_s, (r) => r.samples_per_s_low, (r) => r.samples_per_s_high),
      ]},
      options: base({x: batch_axis(all_sizes(model)), y: linear_axis("samples/s", short, {beginAtZero: true})},
                    figure, {plugins: {rules: knee_rule(model)}}),
    };
  };
  const predict_sample = (model) => {
    const rows = predict_rows(model), hue = color("c1");
    const low = (r) => r.low_us / r.batch_size, high = (r) => r.high_us / r.batch_size;
    return {
      type: "line",
      data: {datasets: [
        ...band(points(rows, size_of, low), points(rows, size_of, high), hue),
        line("µs a sample", points(rows, size_of, (r) => r.us_per_sample), hue,
             {intervals: rows.map((r) => [low(r), high(r)])}),
        ...auto_line(model, (r) => r.us_per_sample, low, high),
      ]},
      options: base({x: batch_axis(all_sizes(model)),
                     y: log_axis("µs a sample", model.measurements.flatMap((r) => [low(r), high(r)]), figure)},
                    (value) => figure(value) + " µs", {plugins: {rules: knee_rule(model)}}),
    };
  };

  const accuracy = (model) => {
    const rows = model.accuracy.rows;
    const bars = (label, share, hue) => ({
      label, data: rows.map(share), backgroundColor: hue, borderColor: hue, bars: true, maxBarThickness: 34,
      stack: "one", borderRadius: 2});
    return {
      type: "bar",
      data: {labels: rows.map((row) => figure(row.batch_size)), datasets: [
        bars("the same bits", (row) => 100 * (row.samples - row.differing_samples) / row.samples, color("c3")),
        bars("other bits, same class", (row) => 100 * (row.differing_samples - row.changed_classes) / row.samples, color("c5")),
        bars("another class", (row) => 100 * row.changed_classes / row.samples, color("c2")),
      ]},
      options: base({
        x: axis("batch size", {stacked: true}),
        y: axis("samples", {stacked: true, min: 0, max: 100, ticks: {stepSize: 25, callback: (value) => value + " %"}}),
      }, (value) => figure(value) + " %", {
        interaction: {mode: "index", intersect: false},
        title_of: (x, item) => "batch " + item.label,
        plugins: {legend: {position: "bottom", align: "start",
          labels: {color: color("ink"), boxWidth: 12, boxHeight: 12, padding: 12, font: {size: 12}}}},
      }),
    };
  };

  const STYLES = ["circle", "rect", "triangle", "rectRot", "cross", "star", "crossRot"];
  const curve = (field, title, format, logarithmic) => (model, state) => {
    const runs = model.fit.runs;
    const sizes = [...new Set(runs.map(size_of))].sort((a, b) => a - b);
    const datasets = runs.map((run) => {
      const i = sizes.indexOf(run.batch_size), hue = color("s" + (i % 7 + 1));
      const first = runs.find((other) => other.batch_size === run.batch_size) === run;
      return line(first ? "batch " + figure(run.batch_size) : "", 
                  run.points.filter((point) => point[field] !== null).map((point) => ({x: point[state.axis], y: point[field]})),
                  faded(hue, first ? 1 : 0.55),
                  {borderWidth: first ? 2 : 1.1, pointStyle: STYLES[i % 7], pointRadius: first ? 2.6 : 1.2, size: run.batch_size, seed: run.seed});
    });
    const values = datasets.flatMap((dataset) => dataset.data.map((point) => point.y));
    const xs = datasets.flatMap((dataset) => dataset.data.map((point) => point.x));
    const names = {samples_seen: "samples seen", steps: "steps", seconds: "seconds of training"};
    const x = state.axis === "samples_seen" ? linear_axis(names[state.axis], short)
                                            : log_axis(names[state.axis], xs, short);
    const y = logarithmic ? log_axis(title, values, figure) : linear_axis(title, format);
    return {
      type: "line", data: {datasets},
      options: base({x, y}, format, {
        interaction: {mode: "nearest", intersect: false},
        title_of: (value, item) => `batch ${figure(item.dataset.size)}, seed ${item.dataset.seed}, ${figure(value)} ${names[state.axis]}`,
        plugins: {legend: {
          position: "bottom", align: "start",
          // A batch size is one entry: it shows and hides all of its seeds.
          onClick: (event, item, legend) => {
            const chart = legend.chart, size = chart.data.datasets[item.datasetIndex].size;
            const visible = !chart.isDatasetVisible(item.datasetIndex);
            chart.data.datasets.forEach((dataset, i) => { if (dataset.size === size) chart.setDatasetVisibility(i, visible); });
            chart.update();
          },
          labels: {color: color("ink"), usePointStyle: true, boxWidth: 8, boxHeight: 8, padding: 12, font: {size: 12},
                   filter: (item) => item.text !== ""}}},
      }),
    };
  };

  const with_intervals = (rows, field, label, hue) => line(label, points(rows, size_of, (row) => row[field].median), hue, {
    intervals: rows.map((row) => row[field].covers || row[field].low !== row[field].high ? [row[field].low, row[field].high] : null)});
  const fit_sizes = (model) => model.fit.rows.map(size_of);
  const percent = (value) => new Intl.NumberFormat("en", {maximumFractionDigits: 2}).format(value * 100) + " %";
  const is_accuracy = (model) => model.fit.metric === "accuracy";
  const fit_final = (model) => {
    const rows = model.fit.rows, format = is_accuracy(model) ? percent : figure;
    const ends = rows.flatMap((row) => [row.final_metric.low, row.final_metric.high, row.final_metric.median]);
    const low = Math.min(...ends), high = Math.max(...ends), margin = Math.max((high - low) * 0.12, 1e-6);
    const dataset = with_intervals(rows, "final_metric", "mean over seeds", color("c1"));
    dataset.showLine = false;
    dataset.pointRadius = 5;
    dataset.pointBackgroundColor = rows.map((row) => row.good_enough ? color("c1") : color("surface"));
    dataset.borderWidth = 2;
    const answer = model.recommendation.fit;
    return {
      type: "line", data: {datasets: [dataset]},
      options: base({
        x: batch_axis(fit_sizes(model)),
        y: linear_axis("final " + model.fit.metric, format, {min: low - margin, max: high + margin}),
      }, format, {plugins: {
        legend: {display: false},
        rules: {lines: answer ? [{axis: "x", value: answer.batch_size, label: "answer " + figure(answer.batch_size), color: color("good"), low: true}] : []},
      }}),
    };
  };
  const fit_rate = (field, title) => (model) => ({
    type: "line",
    data: {datasets: [with_intervals(model.fit.rows, field, title, color("c1"))]},
    options: base({
      x: batch_axis(fit_sizes(model)),
      y: log_axis(title, model.fit.rows.flatMap((row) => [row[field].low, row[field].high]), short),
    }, figure, {plugins: {legend: {display: false}}}),
  });
  const fit_noise = (model) => {
    const rows = model.fit.noise;
    const noise = (row) => row.trace_sigma / row.batch_size;
    const positive = (get) => points(rows.filter((row) => get(row) > 0), size_of, get);
    const values = rows.flatMap((row) => [noise(row), row.grad_norm2]);
    const scale = rows.length > 0 ? rows[rows.length - 1].b_simple : null;
    return {
      type: "line",
      data: {datasets: [
        line("noise, tr(Σ)/B", positive(noise), color("c2")),
        line("signal, |G|²", positive((row) => row.grad_norm2), color("c1"), {pointStyle: "rect", borderDash: [6, 4]}),
      ]},
      options: base({x: batch_axis(rows.map(size_of)), y: log_axis("squared norm", values, figure)}, figure,
                    {plugins: {rules: {lines: scale === null ? [] :
                      [{axis: "x", value: scale, label: "noise scale " + figure(scale), color: color("good")}]}}}),
    };
  };

  const KINDS = {
    "memory-predict": memory("predict"), "memory-fit": memory("fit"),
    "predict-time": predict_time, "predict-rate": predict_rate, "predict-sample": predict_sample,
    "accuracy": accuracy,
    ...serve_charts,
    "fit-loss": curve("loss", "training loss", figure, true),
    "fit-val-loss": curve("val_loss", "validation loss", figure, true),
    "fit-accuracy": curve("val_accuracy", "validation accuracy", percent, false),
    "fit-final": fit_final,
    "fit-samples-per-s": fit_rate("samples_per_s", "samples/s"),
    "fit-steps-per-s": fit_rate("steps_per_s", "steps/s"),
    "fit-noise": fit_noise,
  };

  // ---- drawing, and drawing again when colours or the axis change ----
  const draw = (entry) => {
    if (entry.chart) entry.chart.destroy();
    entry.chart = new Chart(entry.canvas, KINDS[entry.canvas.dataset.chart](study.models[entry.canvas.dataset.model], entry.state));
  };
  const draw_all = () => charts.forEach(draw);
  Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
  document.querySelectorAll("canvas[data-chart]").forEach((canvas) => {
    const entry = {canvas, state: {axis: "samples_seen"}, chart: null};
    charts.push(entry);
    canvas.closest("figure").querySelectorAll(".switch button").forEach((button) => {
      button.addEventListener("click", () => {
        button.parentElement.querySelectorAll("button").forEach((other) =>
          other.setAttribute("aria-pressed", String(other === button)));
        entry.state.axis = button.dataset.axis;
        draw(entry);
      });
    });
    draw(entry);
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw_all);
  matchMedia("print").addEventListener("change", draw_all);
  // On paper a table cannot be opened: each is shown once.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not(.screen):not([open])")];
    opened.forEach((details) => { details.open = true; });
  });
  addEventListener("afterprint", () => opened.forEach((details) => { details.open = false; }));
})();
