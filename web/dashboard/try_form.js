// SPDX-License-Identifier: Apache-2.0
// The form that sends one request to a model, and shows what came back.
import {ask} from "./connection.js";
import {by_id, element, table_of} from "./elements.js";
import {figure, micros, percent} from "./numbers.js";
import {MOST_VALUES, filled_shape, is_distribution, is_float, made_values, parse_answer, pasted_values, top_classes,
        value_count} from "./tensors.js";

const SHOWN_ROWS = 5, SHOWN_VALUES = 60;
const model_path = (model) => `v2/models/${encodeURIComponent(model.name)}` +
    (model.version ? `/versions/${encodeURIComponent(model.version)}` : "");

// The server's own words where it has some.
const failure_of = async (answer) => {
  try { return (await answer.json()).error || `${answer.status}`; } catch { return `${answer.status}`; }
};

const number_field = (label, name, value, min) => element("label", {}, label,
    element("input", {type: "number", name, value, min, step: "any", inputmode: "decimal"}));

const shape_text = (shape) => "[" + shape.map((size) => size < 0 ? "any" : size).join(", ") + "]";

export class TryForm {
  constructor() {
    this.form = by_id("try");
    this.answer = by_id("answer");
    this.key = null;
    this.form.addEventListener("submit", (event) => { event.preventDefault(); this.send(); });
  }

  // Asks for the model's inputs and makes a field for each.
  async choose(model, key) {
    if (this.key === key) return;
    this.key = key;
    this.model = model;
    this.answer.hidden = true;
    this.form.replaceChildren(element("p", {class: "soft"}, "Asking for the model's inputs."));
    try {
      const answer = await ask(model_path(model));
      if (!answer.ok) throw new Error(await failure_of(answer));
      const metadata = await answer.json();
      if (this.key === key) this.build(metadata);
    } catch (error) {
      if (this.key !== key) return;
      this.key = null;  // the next look tries again
      this.form.replaceChildren(element("p", {}, `The model's inputs are not to be had: ${error.message}`));
    }
  }

  build(metadata) {
    this.inputs = metadata.inputs;
    this.class_names = metadata.class_names || [];
    const has_free = this.inputs.some((input) => input.shape.slice(1).some((size) => size < 0));
    this.button = element("button", {type: "submit", class: "primary"}, "Send");
    this.form.replaceChildren(
        element("div", {class: "row"}, number_field("Rows", "rows", 1, 1),
                has_free ? number_field("Size of free dimensions", "free", 8, 1) : null,
                number_field("Deadline, ms (none if empty)", "deadline_ms", "", 0)),
        ...this.inputs.map((input, i) => this.input_fields(input, i)), this.button);
  }

  input_fields(input, i) {
    const pasted = element("label", {hidden: true}, "Values, row by row",
        element("textarea", {name: `values_${i}`, spellcheck: "false", placeholder: "[0.1, 0.2, …]"}));
    const fill = element("select", {name: `fill_${i}`, onchange: () => { pasted.hidden = fill.value !== "json"; }},
        element("option", {value: "random"}, is_float(input.datatype) ? "Random, 0 to 1" : "Random"),
        element("option", {value: "zeros"}, "Zeros"), element("option", {value: "json"}, "JSON"));
    return element("fieldset", {}, element("legend", {}, input.name + " ", element("code", {}, `${input.datatype} ${shape_text(input.shape)}`)),
                   element("div", {class: "row"}, element("label", {}, "Fill with", fill)), pasted);
  }

  body() {
    const fields = new FormData(this.form);
    const rows = Number(fields.get("rows")), free = Number(fields.get("free") || 8);
    if (!(Number.isInteger(rows) && rows >= 1)) throw new Error(`Rows: a whole number from 1, not '${fields.get("rows")}'`);
    if (!(Number.isInteger(free) && free >= 1)) throw new Error(`Size of free dimensions: a whole number from 1, not '${fields.get("free")}'`);
    const inputs = this.inputs.map((input, i) => {
      const fill = fields.get(`fill_${i}`), named = {name: input.name, datatype: input.datatype};
      if (fill === "json") return {...named, ...pasted_values(fields.get(`values_${i}`), input.name, input.shape, free)};
      const shape = filled_shape(input.shape, rows, free), size = value_count(shape);
      if (size > MOST_VALUES) throw new Error(`${input.name}: ${size} values are more than this form sends (${MOST_VALUES})`);
      return {...named, shape, data: made_values(input.datatype, size, fill === "random")};
    });
    const deadline_ms = Number(fields.get("deadline_ms"));
    return {...(deadline_ms > 0 ? {parameters: {timeout: Math.ceil(deadline_ms * 1000)}} : {}), inputs};
  }

  async send() {
    if (!this.inputs || this.button.disabled) return;
    const model = this.model;
    this.button.disabled = true;
    try {
      const body = JSON.stringify(this.body());
      const begin = performance.now();
      const answer = await ask(`${model_path(model)}/infer`, {method: "POST", headers: {"Content-Type": "application/json"}, body});
      const text = await answer.text();
      const took_us = (performance.now() - begin) * 1000;
      this.show(answer, text, took_us);
    } catch (error) {
      this.show_failure(error.name === "TypeError" ? "The server does not answer." : error.message);
    }
    this.button.disabled = false;
  }

  show_failure(message, detail = "") {
    this.answer.hidden = false;
    this.answer.dataset.ok = "false";
    this.answer.replaceChildren(element("p", {}, element("strong", {}, message)), element("p", {class: "soft"}, detail));
  }

  show(answer, text, took_us) {
    const timing = `${answer.status} after ${micros(took_us)}, there and back` + this.server_timing(answer);
    let parsed;
    try { parsed = parse_answer(text); } catch { return this.show_failure(`The answer is not JSON: ${text.slice(0, 200)}`, timing); }
    if (!answer.ok) return this.show_failure(String(parsed.error || text.slice(0, 200)), timing);
    this.answer.hidden = false;
    this.answer.dataset.ok = "true";
    this.answer.replaceChildren(element("p", {id: "timing"}, element("strong", {}, timing)),
                                ...parsed.outputs.map((output) => this.output_of(output)));
  }

  // "queue;dur=0.1, compute;dur=0.3" where the server gives it.
  server_timing(answer) {
    const parts = (answer.headers.get("Server-Timing") || "").split(",").map((part) => /^\s*([\w-]+);dur=([\d.]+)/.exec(part)).filter(Boolean);
    return parts.map(([, name, ms]) => `; ${name} ${micros(Number(ms) * 1000)}`).join("");
  }

  output_of(output) {
    const rows = output.shape[0] || 1, data = output.data.flat(Infinity), row = data.length / rows;
    const parts = [element("h3", {}, output.name + " ", element("code", {}, `${output.datatype} ${shape_text(output.shape)}`))];
    if (is_float(output.datatype) && output.shape.length === 2 && row >= 2 && row <= 100_000) {
      for (let i = 0; i < Math.min(rows, SHOWN_ROWS); i++) parts.push(this.classes_of(data.slice(i * row, (i + 1) * row), i));
      if (rows > SHOWN_ROWS) parts.push(element("p", {class: "soft"}, `and ${figure(rows - SHOWN_ROWS)} rows more`));
    }
    const more = data.length > SHOWN_VALUES ? `, … (${data.length} in all)` : "";
    parts.push(element("details", {}, element("summary", {}, "Values"), element("pre", {}, data.slice(0, SHOWN_VALUES).join(", ") + more)));
    if (parts.length === 2) parts[1].open = true;
    return element("div", {}, ...parts);
  }

  classes_of(values, row) {
    // Names are of one of the outputs: the one that has as many columns.
    const names = this.class_names.length === values.length ? this.class_names : [];
    const plain = is_distribution(values);
    const rows = top_classes(values).map((top) => [
      names[top.index] === undefined ? `class ${top.index}` : names[top.index], figure(top.value),
      ...(plain ? [] : [percent(top.share)])]);
    return element("div", {class: "scroll"}, table_of(`Top classes of row ${row}`, [`row ${row}`, "value", ...(plain ? [] : ["softmax"])], rows));
  }
}
