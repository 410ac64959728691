// SPDX-License-Identifier: Apache-2.0
// Writes what the history holds into the page.
import {by_id, element, set_text} from "./elements.js";
import {bytes, count, duration, figure, micros, percent} from "./numbers.js";
import {key_of} from "./history.js";
import {BatchChart, TimeChart} from "./charts.js";

const DECISIONS = 24;

export const show_status = (state, text, detail = "") => {
  by_id("status").dataset.state = state;
  set_text(by_id("status_text"), text);
  set_text(by_id("status_detail"), detail);
  // What is shown is old, and looks it.
  document.body.classList.toggle("stale", state === "gone" || state === "key");
};

// One sentence on how the server stands: [state, text, detail].
export const status_of = (snapshot) => {
  const loading = snapshot.repository.filter((entry) => entry.state === "LOADING").map((entry) => entry.name);
  const broken = snapshot.repository.filter((entry) => entry.state === "UNAVAILABLE" && entry.reason);
  const up = `Up ${duration(snapshot.up_s)}`;
  const trouble = broken.map((entry) => `${entry.name} could not be loaded: ${entry.reason}`).join("; ");
  if (loading.length > 0) return ["loading", "Loading", `${loading.join(", ")}. ${up}.`];
  if (!snapshot.ready) return ["not_ready", "Not ready", trouble || "It is being started or stopped: no new requests are taken."];
  if (snapshot.models.length === 0) return ["ready", "Ready, without a model", trouble || up + "."];
  return ["ready", "Ready", trouble ? `${up}. ${trouble}` : up + "."];
};

export const show_facts = (snapshot) => {
  const rows = [
    ["Policy", snapshot.policy],
    ["Instances", `${figure(snapshot.instances)}, with ${count(snapshot.threads, "thread", "threads")}`],
    ["Connections", figure(snapshot.connections)],
    ["Process", bytes(snapshot.resident_bytes)],
    ["Planned", snapshot.memory_limit_bytes > 0
      ? `${bytes(snapshot.planned_bytes)} of ${bytes(snapshot.memory_limit_bytes)}` : bytes(snapshot.planned_bytes)],
  ];
  const list = by_id("facts");
  if (list.children.length === 0) {
    list.append(...rows.map(([name]) => element("div", {}, element("dt", {}, name), element("dd"))));
  }
  rows.forEach(([, value], i) => set_text(list.children[i].lastChild, value));
};

// ---- the table of models ----

const STATES = {READY: "ready", LOADING: "loading", UNLOADING: "unloading", UNAVAILABLE: "unavailable"};

const model_cells = (entry, point, statistics) => {
  const cells = [STATES[entry.state] || entry.state];
  if (!statistics) return cells.concat(Array(6).fill("–"));
  return cells.concat([
    figure(point.answered_per_s), micros(point.p99_us), percent(point.in_time_share ?? NaN), figure(point.mean_batch),
    figure(statistics.pending), bytes(statistics.planned_bytes)]);
};

// The index's rows, and models that it does not list.
const entries_of = (snapshot) => {
  const listed = new Map(snapshot.repository.map((entry) => [key_of(entry), entry]));
  for (const model of snapshot.models) {
    if (!listed.has(key_of(model))) listed.set(key_of(model), {name: model.name, version: model.version, state: "READY", reason: ""});
  }
  return [...listed.values()];
};

export class ModelTable {
  constructor(on_choose) {
    this.on_choose = on_choose;
    this.shown = "";
    this.body = element("tbody");
    const head = ["model", "state", "answers/s", "p99", "in time", "mean batch", "waiting", "planned"];
    by_id("models").append(element("thead", {}, element("tr", {}, ...head.map((title) => element("th", {scope: "col"}, title)))), this.body);
  }

  update(snapshot, history, chosen) {
    const entries = entries_of(snapshot);
    const statistics = new Map(snapshot.models.map((model) => [key_of(model), model]));
    const shape = JSON.stringify(entries.map((entry) => [key_of(entry), entry.reason, statistics.has(key_of(entry))]));
    if (shape !== this.shown) this.build(entries, statistics);
    this.shown = shape;
    entries.forEach((entry, i) => {
      const key = key_of(entry), row = this.body.children[i];
      model_cells(entry, history.latest(key), statistics.get(key)).forEach(
          (cell, j) => set_text(row.children[j + 1], cell));
      const button = row.querySelector("button");
      if (button) button.setAttribute("aria-pressed", String(key === chosen));
    });
  }

  build(entries, statistics) {
    // Whoever was on a row's button with the keyboard stays there.
    const focused = this.body.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    this.body.replaceChildren(...entries.map((entry) => {
      const key = key_of(entry), name = `${entry.name}${entry.version ? ", version " + entry.version : ""}`;
      const label = statistics.has(key)
        ? element("button", {type: "button", "data-key": key, onclick: () => this.on_choose(key)}, name)
        : element("span", {}, name);
      const reason = entry.reason ? element("span", {class: "reason"}, entry.reason) : null;
      return element("tr", {}, element("th", {scope: "row"}, label, reason), ...Array(7).fill().map(() => element("td")));
    }));
    if (focused) this.body.querySelectorAll("button").forEach((button) => { if (button.dataset.key === focused) button.focus(); });
  }
}

// ---- one model ----

const tiles_of = (point, model, snapshot) => {
  const limit = snapshot.memory_limit_bytes, planned = snapshot.planned_bytes;
  return [
    ["Answers a second", figure(point.answered_per_s), point.failed_per_s > 0 ? `${figure(point.failed_per_s)}/s not answered`
      : point.answered_per_s > 0 ? "all answered" : "none came"],
    ["p99 latency", micros(point.p99_us), point.p50_us > 0 ? `p50 ${micros(point.p50_us)}` : ""],
    ["In time", percent(point.in_time_share ?? NaN), point.missed_per_s + point.refused_per_s > 0
      ? `${figure(point.missed_per_s)}/s late, ${figure(point.refused_per_s)}/s refused` : "no deadline missed"],
    ["Mean batch", figure(point.mean_batch), point.padded_per_s > 0 ? `${figure(point.padded_per_s)}/s rows of padding` : "no padding"],
    ["Waiting", figure(model.pending), point.queue_p99_us > 0 ? `${micros(point.queue_p99_us)} in the queue, p99` : ""],
    ["Memory", limit > 0 ? percent(planned / limit) : bytes(planned), limit > 0
      ? `${bytes(planned)} planned of ${bytes(limit)}` : "planned; no limit"],
  ];
};

export const show_tiles = (point, model, snapshot) => {
  const list = by_id("tiles"), rows = tiles_of(point, model, snapshot);
  if (list.children.length === 0) {
    list.append(...rows.map(([name]) => element("div", {}, element("dt", {}, name),
        element("dd", {class: "value"}), element("dd", {class: "more"}))));
  }
  rows.forEach(([, value, more], i) => {
    set_text(list.children[i].children[1], value);
    set_text(list.children[i].children[2], more);
  });
};

export class ModelCharts {
  constructor(parent) {
    const series = (label, field, hue, more = {}) => ({label, field, hue, ...more});
    this.times = [
      new TimeChart(parent, {title: "Latency", note: "From arrival to answer.", format: micros, series: [
        series("p50", "p50_us", "c1"), series("p90", "p90_us", "c2"), series("p99", "p99_us", "c3")]}),
      new TimeChart(parent, {title: "Requests", note: "A second, by what became of them.", format: figure, series: [
        series("answered", "answered_per_s", "c1"), series("not answered", "failed_per_s", "c2")]}),
      new TimeChart(parent, {title: "Goodput", note: "Answers a second that met their deadline, and the rest.", format: figure, series: [
        series("in time", "in_time_per_s", "c1"), series("missed", "missed_per_s", "c2"), series("refused", "refused_per_s", "c3")]}),
    ];
    this.batches = new BatchChart(parent, {title: "Batch sizes", note: "Batches of the last minute, by rows.", format: figure, micros});
    this.times.push(
      new TimeChart(parent, {title: "Queue", note: "Requests that wait for a batch.", format: figure, whole: true, series: [
        series("waiting", "pending", "c1")]}),
      new TimeChart(parent, {title: "Time in the queue", note: "From arrival to the start of the batch.", format: micros, series: [
        series("p50", "queue_p50_us", "c1"), series("p99", "queue_p99_us", "c2")]}));
    this.memory = new TimeChart(parent, {title: "Memory against plan", wide: true, format: bytes, binary: true,
      note: "Of the whole process; the limit is drawn where it is near.", series: [
        series("process", "resident", "c1"), series("planned", "planned", "c2"), series("limit", "limit", "c3", {aside: true})]});
  }

  rebuild() { [...this.times, this.batches, this.memory].forEach((chart) => chart.build()); }

  update(history, key) {
    const now_s = history.snapshot.now_us / 1e6;
    this.times.forEach((chart) => chart.update(history.points(key), now_s));
    this.batches.update(history.batches(key));
    this.memory.update(history.memory, now_s);
  }
}

// ---- decisions ----

const decision_item = (decision, now_us) => {
  const meta = [decision.model, `${duration(Math.max(0, (now_us - decision.at_us) / 1e6))} ago`,
                `expected ${micros(decision.expected_us)}`,
                decision.took_us > 0 ? `took ${micros(decision.took_us)}` : "still runs"];
  return element("li", {}, element("p", {}, decision.why),
                 element("p", {class: "meta"}, ...meta.map((text) => element("span", {}, text))));
};

export const show_decisions = (snapshot) => {
  const last = snapshot.decisions.slice(-DECISIONS).reverse();
  by_id("decisions").replaceChildren(...(last.length > 0 ? last.map((decision) => decision_item(decision, snapshot.now_us))
    : [element("li", {class: "soft"}, "No batch was decided on yet.")]));
};

export const show_empty = (snapshot) => {
  const loading = snapshot.repository.some((entry) => entry.state === "LOADING");
  const broken = snapshot.repository.filter((entry) => entry.reason);
  const lines = loading
    ? [element("p", {}, "A model is being loaded: its charts appear here when it is ready.")]
    : [element("p", {}, "No model is loaded. Start the server with one, or load one from its repository:"),
       element("pre", {}, "batchwise serve model.onnx\ncurl -X POST localhost:8000/v2/repository/models/NAME/load")];
  by_id("empty").replaceChildren(...lines, ...broken.map((entry) => element("p", {}, `${entry.name}: ${entry.reason}`)));
};
