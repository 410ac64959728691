// SPDX-License-Identifier: Apache-2.0
// Makes elements. Whatever comes from the server goes in as text and never as markup.

export const by_id = (id) => document.getElementById(id);

export const element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === false) continue;
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null).map(
      (child) => child instanceof Node ? child : document.createTextNode(String(child))));
  return made;
};

// Changes text only where it differs, so that a selection and a screen reader's place survive.
export const set_text = (target, text) => {
  if (target.textContent !== text) target.textContent = text;
};

export const table_of = (caption, head, rows) => element("table", {},
    element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...head.map((title) => element("th", {scope: "col"}, title)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map(
        (cell, i) => i === 0 ? element("th", {scope: "row"}, cell) : element("td", {}, cell))))));
