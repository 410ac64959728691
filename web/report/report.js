// SPDX-License-Identifier: Apache-2.0
// Draws the charts of a study from the values in the page. Needs Chart.js 3; no network.
(() => {
  "use strict";
  const study = JSON.parse(document.getElementById("study").textContent);
  const charts = [];

  const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
  const faded = (hex, alpha) => hex + Math.round(alpha * 255).toString(16).padStart(2, "0");

  // ---- numbers ----
  const figure = (value) => {
    if (value === null || !isFinite(value)) return "–";
    if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e12)) return value.toExponential(1);
    return new Intl.NumberFormat("en", {maximumSignificantDigits: 3}).format(value);
  };
  const scaled = (value, steps, names) => {
    let i = 0;
    while (i + 1 < names.length && Math.abs(value) >= steps) { value /= steps; i++; }
    return figure(value) + " " + names[i];
  };
  const bytes = (value) => scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);
  const micros = (value) => scaled(value, 1000, ["µs", "ms", "s"]);
  const short = (value) => value >= 1e6 ? figure(value / 1e6) + "M" : value >= 1e4 ? figure(value / 1e3) + "k" : figure(value);

  // ---- what Chart.js lacks: intervals as bars with caps, and reference lines ----
  const intervals = {
    id: "intervals",
    afterDatasetsDraw(chart) {
      const context = chart.ctx;
      chart.data.datasets.forEach((dataset, index) => {
        if (!dataset.intervals || !chart.isDatasetVisible(index)) return;
        context.save();
        context.strokeStyle = dataset.borderColor;
        context.lineWidth = 1.6;
        chart.getDatasetMeta(index).data.forEach((element, i) => {
          const interval = dataset.intervals[i];
          if (!interval) return;
          const low = chart.scales.y.getPixelForValue(interval[0]);
          const high = chart.scales.y.getPixelForValue(interval[1]);
          // Narrower than its point: nothing to see, and the band shows it anyway.
          if (Math.abs(low - high) < 9) return;
          context.beginPath();
          context.moveTo(element.x, low);
          context.lineTo(element.x, high);
          context.moveTo(element.x - 5, low);
          context.lineTo(element.x + 5, low);
          context.moveTo(element.x - 5, high);
          context.lineTo(element.x + 5, high);
          context.stroke();
        });
        context.restore();
      });
    },
  };
  const rules = {
    id: "rules",
    afterDatasetsDraw(chart, args, options) {
      const {ctx: context, chartArea: area} = chart;
      (options.lines || []).forEach((line) => {
        const across = line.axis === "y";
        const at = chart.scales[line.axis].getPixelForValue(line.value);
        if (!(at >= (across ? area.top : area.left) - 1 && at <= (across ? area.bottom : area.right) + 1)) return;
        context.save();
        context.strokeStyle = context.fillStyle = line.color || color("soft");
        context.lineWidth = 1.4;
        context.setLineDash([5, 4]);
        context.beginPath();
        if (across) { context.moveTo(area.left, at); context.lineTo(area.right, at); }
        else { context.moveTo(at, area.top); context.lineTo(at, area.bottom); }
        context.stroke();
        context.font = "600 12px " + Chart.defaults.font.family;
        if (across) {
          context.textAlign = "right";
          context.fillText(line.label, area.right - 4, at - 6 < area.top + 10 ? at + 14 : at - 6);
        } else {
          const room = area.right - at > context.measureText(line.label).width + 10;
          context.textAlign = room ? "left" : "right";
          context.fillText(line.label, at + (room ? 6 : -6), line.low ? area.bottom - 8 : area.top + 12);
        }
        context.restore();
      });
    },
  };
  Chart.register(intervals, rules);

  // ---- axes ----
  const axis = (title, more = {}) => ({
    title: {display: true, text: title, color: color("soft"), font: {size: 12}},
    grid: {color: color("grid"), borderColor: color("line"), drawTicks: false},
    ...more,
    ticks: {color: color("soft"), padding: 6, maxRotation: 0, ...(more.ticks || {})},
  });
  const batch_axis = (sizes, title = "batch size") => axis(title, {
    type: "logarithmic",
    min: Math.min(...sizes) / 1.15,
    max: Math.max(...sizes) * 1.15,
    afterBuildTicks: (scale) => { scale.ticks = [...new Set(sizes)].map((value) => ({value})); },
    ticks: {autoSkip: true, autoSkipPadding: 6, callback: (value) => figure(value)},
  });
  const log_axis = (title, values, format, more = {}) => {
    const positive = values.filter((value) => value > 0 && isFinite(value));
    if (positive.length === 0) positive.push(1, 10);
    const low = Math.min(...positive), high = Math.max(...positive);
    // As few heads of a decade as give three ticks.
    const all = [[1], [1, 2, 5], [1, 2, 3, 4, 5, 6, 7, 8, 9]];
    const ticks_of = (heads, min, max) => {
      const ticks = [];
      for (let power = Math.floor(Math.log10(min)); power <= Math.log10(max); power++) {
        heads.forEach((head) => {
          const value = head * Math.pow(10, power);
          if (value >= min && value <= max) ticks.push({value});
        });
      }
      return ticks;
    };
    return axis(title, {
      type: "logarithmic",
      min: low / 1.25, max: high * 1.25,
      afterBuildTicks: (scale) => {
        const found = all.map((heads) => ticks_of(heads, scale.min, scale.max));
        const ticks = found.find((ticks) => ticks.length > 2) || found[2];
        if (ticks.length > 1) scale.ticks = ticks;
      },
      ...more,
      ticks: {callback: (value) => format(value), ...(more.ticks || {})},
    });
  };
  const linear_axis = (title, format, more = {}) =>
    axis(title, {type: "linear", ...more, ticks: {maxTicksLimit: 7, includeBounds: false, callback: (value) => format(value)}});

  const line = (label, points, hue, more = {}) => ({
    label, data: points, borderColor: hue, backgroundColor: hue, borderWidth: 2.2, pointRadius: 3,
    pointHoverRadius: 5, tension: 0, ...more,
  });
  // A band between two curves: an invisible upper edge, and a lower edge filled up to it.
  const band = (low, high, hue) => [
    {label: "", data: high, borderWidth: 0, pointRadius: 0, pointHitRadius: 0, fill: false, band: true},
    {label: "", data: low, borderWidth: 0, pointRadius: 0, pointHitRadius: 0, fill: "-1",
     backgroundColor: faded(hue, 0.22), band: true},
  ];

  const base = (scales, format, more = {}) => ({
    responsive: true, maintainAspectRatio: false, animation: false, normalized: true,
    devicePixelRatio: Math.max(window.devicePixelRatio || 1, 2),
    interaction: {mode: "nearest", axis: "x", intersect: false},
    ...more,
    scales,
    plugins: {
      legend: {
        position: "bottom", align: "start",
        labels: {color: color("ink"), usePointStyle: true, boxWidth: 20, boxHeight: 8, padding: 14, font: {size: 12},
                 // A line's sample is a line; points that stand alone show themselves.
                 generateLabels: (chart) => Chart.defaults.plugins.legend.labels.generateLabels(chart)
                   .filter((item) => !chart.data.datasets[item.datasetIndex].band)
                   .map((item) => chart.data.datasets[item.datasetIndex].showLine === false ? item
                     : {...item, pointStyle: "line", lineWidth: 2.2})},
      },
      tooltip: {
        filter: (item) => !item.dataset.band,
        callbacks: {
          title: (items) => items.length ? (more.title_of || ((x) => "batch " + figure(x)))(items[0].parsed.x, items[0]) : "",
          label: (item) => {
            const interval = item.dataset.intervals && item.dataset.intervals[item.dataIndex];
            const range = interval ? ` (${format(interval[0])} – ${format(interval[1])})` : "";
            return ` ${item.dataset.label}: ${format(item.dataset.bars ? item.raw : item.parsed.y)}${range}`;
          },
        },
      },
      ...(more.plugins || {}),
    },
  });
  const points = (rows, x, y) => rows.map((row) => ({x: x(row), y: y(row)}));
  const size_of = (row) => row.batch_size;

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
