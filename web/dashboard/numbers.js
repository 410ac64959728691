// SPDX-License-Identifier: Apache-2.0
// Numbers as people read them: three significant digits, with units.

export const figure = (value) => {
  if (value === null || value === undefined || !isFinite(value)) return "–";
  if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e12)) return value.toExponential(1);
  return new Intl.NumberFormat("en", {maximumSignificantDigits: 3}).format(value);
};

const scaled = (value, step, names) => {
  if (value === null || value === undefined || !isFinite(value)) return "–";
  let i = 0;
  while (i + 1 < names.length && Math.abs(value) >= step) { value /= step; i++; }
  return figure(value) + "\u00a0" + names[i];
};

export const bytes = (value) => scaled(value, 1024, ["B", "KiB", "MiB", "GiB", "TiB"]);
export const micros = (value) => scaled(value, 1000, ["µs", "ms", "s"]);
export const percent = (share) => share === null || !isFinite(share) ? "–" : figure(100 * share) + "\u00a0%";
export const count = (value, one, many) => `${figure(value)} ${value === 1 ? one : many}`;

export const duration = (seconds) => {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h ${Math.floor(seconds % 3600 / 60)} min`;
  return `${Math.floor(seconds / 86400)} d ${Math.floor(seconds % 86400 / 3600)} h`;
};
