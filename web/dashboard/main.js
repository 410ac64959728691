// SPDX-License-Identifier: Apache-2.0
// Joins the parts: polls, keeps, shows.
import {Poller, has_key, keep_key} from "./connection.js";
import {by_id, set_text} from "./elements.js";
import {History, key_of} from "./history.js";
import {TryForm} from "./try_form.js";
import {ModelCharts, ModelTable, show_decisions, show_empty, show_facts, show_status, show_tiles, status_of} from "./view.js";

const history = new History();
let chosen = null, charts = null;

const render = () => {
  const snapshot = history.snapshot;
  show_status(...status_of(snapshot));
  show_facts(snapshot);
  const has_models = snapshot.models.length > 0;
  by_id("empty").hidden = has_models;
  by_id("content").hidden = !has_models;
  document.title = (has_models ? "" : "no model – ") + "Batchwise";
  if (!has_models) { show_empty(snapshot); return; }
  const model = snapshot.models.find((one) => key_of(one) === chosen) || snapshot.models[0];
  chosen = key_of(model);
  // Made when there is something to show: a canvas without a size cannot be drawn on.
  if (!charts) charts = new ModelCharts(by_id("figures"));
  table.update(snapshot, history, chosen);
  set_text(by_id("model_title"), `${model.name}${model.version ? ", version " + model.version : ""}`);
  show_tiles(history.latest(chosen), model, snapshot);
  charts.update(history, chosen);
  show_decisions(snapshot);
  try_form.choose(model, chosen);
};

const table = new ModelTable((key) => { chosen = key; render(); });
const try_form = new TryForm();

const dialog = by_id("key_dialog");
const poller = new Poller({
  snapshot(value) {
    history.add(value);
    render();
  },
  key_needed() {
    show_status("key", "A key is needed");
    set_text(by_id("key_note"), has_key() ? "The key that was given is not one of the server's." : "Its operator has it.");
    if (!dialog.open) dialog.showModal();
  },
  gone(why) {
    history.break_lines();
    show_status("gone", "The server does not answer", (why ? `It was there, but ${why}. ` : "") + "Trying again every few seconds.");
  },
});

by_id("key_form").addEventListener("submit", (event) => {
  event.preventDefault();
  keep_key(by_id("key").value.trim());
  by_id("key").value = "";
  dialog.close();
  show_status("connecting", "Asking the server");
});
// Escape closes it too: then it is asked again, and says so again.
dialog.addEventListener("close", () => poller.start());

const pause = by_id("pause");
pause.addEventListener("click", () => {
  const paused = pause.getAttribute("aria-pressed") !== "true";
  pause.setAttribute("aria-pressed", String(paused));
  set_text(pause, paused ? "Go on" : "Pause");
  if (paused) poller.stop(); else poller.start();
});
// A tab that nobody sees asks for nothing.
document.addEventListener("visibilitychange", () => {
  if (pause.getAttribute("aria-pressed") === "true") return;
  if (document.hidden) poller.stop(); else poller.start();
});
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { if (charts) charts.rebuild(); });

poller.start();
