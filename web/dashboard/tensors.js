// SPDX-License-Identifier: Apache-2.0
// Values for a model's inputs, and what its outputs say.

export const is_float = (datatype) => /^(FP|BF)/.test(datatype);
const product = (numbers) => numbers.reduce((a, b) => a * b, 1);
export const MOST_VALUES = 4_000_000;

// A shape with its rows and free dimensions filled in.
export const filled_shape = (shape, rows, free) => shape.map((size, i) => i === 0 ? (size > 0 ? size : rows) : size > 0 ? size : free);

export const made_values = (datatype, size, random) => {
  const value = !random ? () => datatype === "BOOL" ? false : 0
    : datatype === "BOOL" ? () => Math.random() < 0.5
    : is_float(datatype) ? () => Number(Math.random().toFixed(6)) : () => Math.floor(Math.random() * 10);
  return Array.from({length: size}, value);
};

// {data, shape} of numbers that were pasted, nested or flat; throws an Error that says what is wrong.
export const pasted_values = (text, name, shape, free) => {
  let parsed;
  try { parsed = JSON.parse(text); } catch (error) { throw new Error(`${name}: this is not JSON: ${error.message}`); }
  const data = [parsed].flat(Infinity);
  const wrong = data.find((value) => typeof value !== "number" && typeof value !== "boolean");
  if (wrong !== undefined) throw new Error(`${name}: only numbers can be sent, not ${JSON.stringify(wrong)}`);
  const row = product(filled_shape(shape, 1, free).slice(1));
  if (data.length === 0 || data.length % row !== 0) {
    throw new Error(`${name}: a row has ${row} values, and ${data.length} were given`);
  }
  return {data, shape: filled_shape(shape, data.length / row, free)};
};

export const value_count = (shape) => product(shape);

// JSON has no word for NaN, and the server writes it all the same: such values become strings.
export const parse_answer = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return JSON.parse(text.replace(/([[,])(NaN|-?Infinity)(?=[\],])/g, '$1"$2"'));
  }
};

// The largest values of a row: [{index, value, share}], with the share that a softmax gives.
export const top_classes = (row, most = 5) => {
  const values = row.map(Number);
  const largest = Math.max(...values);
  const total = values.reduce((sum, value) => sum + Math.exp(value - largest), 0);
  return values.map((value, index) => ({index, value, share: Math.exp(value - largest) / total}))
      .sort((a, b) => b.value - a.value).slice(0, most);
};

// Whether a row is a distribution already: then no softmax is wanted.
export const is_distribution = (row) => row.every((value) => value >= 0) &&
    Math.abs(row.reduce((sum, value) => sum + Number(value), 0) - 1) < 1e-3;
