// SPDX-License-Identifier: Apache-2.0
// What every chart of the report is drawn with: how numbers are written, axes, lines and intervals.
// Needs Chart.js 3.
const drawing = (() => {
  "use strict";
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

  return {color, faded, figure, bytes, micros, short, axis, batch_axis, log_axis, linear_axis,
          line, band, base, points, size_of};
})();
