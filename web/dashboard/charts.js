// SPDX-License-Identifier: Apache-2.0
// Charts with their legends and tables. Needs Chart.js 3.
import {element, set_text, table_of} from "./elements.js";
import {WINDOW_S} from "./history.js";

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
// Told apart without colour too.
const DASHES = {c1: [], c2: [7, 4], c3: [2, 3], c4: []};
const TABLE_ROWS = 15;

const axis = (more = {}) => ({
  grid: {color: color("grid"), borderColor: color("line"), drawTicks: false},
  ...more,
  ticks: {color: color("soft"), padding: 6, maxRotation: 0, font: {size: 11}, ...(more.ticks || {})},
});

// The room that numbers get does not change with them.
const keep_width = (scale) => { scale.width = 66; };

const options = (scales) => ({
  responsive: true, maintainAspectRatio: false, animation: false, normalized: true,
  interaction: {mode: "nearest", axis: "x", intersect: false},
  plugins: {legend: {display: false}, tooltip: {enabled: false}},
  scales,
});

// A point without neighbours has no line to be seen by.
const radius = ({dataIndex: i, dataset: {data}}) => {
  const drawn = (at) => data[at] && data[at].y !== null;
  return drawn(i) && !drawn(i - 1) && !drawn(i + 1) ? 2.5 : 0;
};

// A figure of fixed height: title, legend with the current values, canvas, and a table.
class Figure {
  constructor(parent, {title, note, series, wide}) {
    this.title = title;
    this.values = series.map(() => element("b", {}, "–"));
    const canvas = element("canvas", {role: "img", "aria-label": title});
    this.table = element("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": title + ", as a table"});
    this.details = element("details", {ontoggle: () => this.draw_table()}, element("summary", {}, "As a table"), this.table);
    const legend = element("ul", {class: "legend"}, ...series.map((one, i) => element(
        "li", {}, element("i", {class: one.hue, "aria-hidden": "true"}), one.label, this.values[i])));
    parent.append(element("figure", {class: wide ? "wide" : null},
        element("figcaption", {}, element("h3", {}, title), element("p", {}, note)),
        legend, element("div", {class: "chart"}, canvas), this.details));
    this.canvas = canvas;
  }

  say(texts, series) {
    texts.forEach((text, i) => set_text(this.values[i], text));
    this.canvas.setAttribute("aria-label", `${this.title}: ` + series.map((one, i) => `${one.label} ${texts[i]}`).join(", "));
  }

  // Only where somebody looks: a table is dear to lay out.
  draw_table() {
    if (this.details.open && this.rows) this.table.replaceChildren(table_of(this.title, this.head, this.rows()));
  }
}

// Lines over the last two minutes. A series is {label, field, hue, format}; one that dwarfs the
// others (`aside`) is told in the legend and drawn only where it is near.
export class TimeChart extends Figure {
  constructor(parent, chart) {
    super(parent, chart);
    this.series = chart.series;
    this.format = chart.format;
    this.whole = chart.whole;
    this.binary = chart.binary;
    this.points = [];
    this.head = ["seconds ago", ...chart.series.map((one) => one.label)];
    this.rows = () => {
      const shown = this.points.filter((point) => point[this.series[0].field] !== undefined).slice(-TABLE_ROWS).reverse();
      return shown.map((point) => [Math.round(this.now_s - point.at_s),
                                   ...this.series.map((one) => this.format(point[one.field]))]);
    };
    this.chart = null;
    this.build();
  }

  build() {
    if (this.chart) this.chart.destroy();
    const x = axis({type: "linear", min: -30, max: 0, ticks: {
      callback: (value) => value === 0 ? "now" : `−${-value} s`}});
    const y = axis({type: "linear", beginAtZero: true, suggestedMax: this.whole ? 4 : undefined, ticks: {
      maxTicksLimit: 5, precision: this.whole ? 0 : undefined, callback: (value) => this.format(value)}});
    y.afterFit = keep_width;
    this.chart = new Chart(this.canvas, {type: "line", options: options({x, y}), data: {datasets: this.series.map((one) => ({
      label: one.label, data: [], borderColor: color(one.hue), backgroundColor: color(one.hue),
      borderDash: DASHES[one.hue], borderWidth: 2, pointRadius: radius, stepped: this.whole ? "after" : false, tension: 0}))}});
    this.draw();
  }

  update(points, now_s) {
    this.points = points;
    this.now_s = now_s;
    const last = points.length > 0 ? points[points.length - 1] : {};
    this.say(this.series.map((one) => this.format(last[one.field])), this.series);
    this.draw();
    this.draw_table();
  }

  draw() {
    const largest = Math.max(...this.points.flatMap((point) => this.series.filter((one) => !one.aside)
        .map((one) => point[one.field] || 0)), 0);
    // A server that was just opened has little to show: not in a corner of two minutes.
    const age = this.points.length > 0 ? this.now_s - this.points[0].at_s : 0;
    const shown_s = Math.min(WINDOW_S, 30 * Math.max(1, Math.ceil(age / 30)));
    this.chart.options.scales.x.min = -shown_s;
    this.chart.options.scales.x.ticks.stepSize = shown_s / 3;
    if (this.binary) this.chart.options.scales.y.ticks.stepSize = 2 ** Math.max(0, Math.ceil(Math.log2(largest / 4 || 1)));
    this.series.forEach((one, i) => {
      const near = !one.aside || this.points.every((point) => !(point[one.field] > 2 * largest));
      this.chart.data.datasets[i].data = near ? this.points.map((point) => ({
        x: point.at_s - this.now_s, y: point[one.field] === undefined ? null : point[one.field]})) : [];
    });
    this.chart.update("none");
  }
}

// A bar for each batch size that ran.
export class BatchChart extends Figure {
  constructor(parent, chart) {
    super(parent, {...chart, series: [{label: "batches", hue: "c1"}]});
    this.format = chart.format;
    this.micros = chart.micros;
    this.batches = [];
    this.head = ["rows", "batches", "share", "mean compute time"];
    this.rows = () => this.batches.map((batch) => [
      batch.rows, batch.count, (100 * batch.count / this.total).toFixed(1) + " %", this.micros(batch.us / batch.count)]);
    this.build();
  }

  build() {
    if (this.chart) this.chart.destroy();
    const x = axis({grid: {display: false}, ticks: {autoSkip: true, autoSkipPadding: 4}});
    const y = axis({beginAtZero: true, suggestedMax: 4, ticks: {maxTicksLimit: 5, precision: 0, callback: (value) => this.format(value)}});
    y.afterFit = keep_width;
    this.chart = new Chart(this.canvas, {type: "bar", options: options({x, y}), data: {labels: [], datasets: [{
      label: "batches", data: [], backgroundColor: color("c1"), maxBarThickness: 36, categoryPercentage: 0.9}]}});
    this.draw();
  }

  update(batches) {
    this.batches = batches;
    this.total = batches.reduce((sum, batch) => sum + batch.count, 0);
    this.say([this.format(this.total)], [{label: "batches"}]);
    this.draw();
    this.draw_table();
  }

  draw() {
    this.chart.data.labels = this.batches.map((batch) => String(batch.rows));
    this.chart.data.datasets[0].data = this.batches.map((batch) => batch.count);
    this.chart.update("none");
  }
}
