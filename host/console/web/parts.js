// SPDX-License-Identifier: Apache-2.0
// What several pages are made of.

import { h } from "./dom.js";

export function title(text, ...beside) {
  return h("div.title", {}, h("h1", {}, text), beside.length ? h("div.actions", {}, ...beside) : null);
}

export function section(text, ...content) {
  return h("section", {}, h("h2", {}, text), ...content); // its table is what has a name
}

export function empty(text, hint) {
  return h("div.empty", {}, h("p", {}, text), hint ? h("p.hint", {}, hint) : null);
}

export function alert(text) {
  return text ? h("div.alert", { role: "alert" }, text) : null;
}

export function hint(text) {
  return text ? h("p.hint", {}, text) : null;
}

/** state is a word with a colour, and never the colour alone. */
export function state(kind, text) {
  return h(`span.state.${kind}`, {}, text);
}

export function tile(name, value, beside) {
  return h("div.tile", {}, h("div.name", {}, name), h("div.value", {}, value), h("div.beside", {}, beside || "\u00a0"));
}

const sorted = new Map(); // by the name of a table: how somebody wants it

/**
 * table makes a table. Columns are {name, of(row) -> what is shown, by(row) -> what is sorted by, num, wide}; again is called when
 * somebody sorts.
 */
export function table(name, columns, rows, { key, none = "There is nothing here.", again, limit = 500 } = {}) {
  const order = sorted.get(name);
  const column = order && columns.find((c) => c.name === order.column);
  if (column) {
    const by = (r) => column.by(r);
    rows = [...rows].sort((a, b) => order.down * (by(a) < by(b) ? -1 : by(a) > by(b) ? 1 : 0));
  }
  if (!rows.length) return empty(none);
  const head = columns.map((c) => {
    const now = order && order.column === c.name ? order.down : 0;
    const sort = () => {
      sorted.set(name, { column: c.name, down: now === 1 ? -1 : 1 });
      again();
    };
    const label = c.by && again ? h("button.sort", { type: "button", onclick: sort }, c.name, h("span", { "aria-hidden": "true" }, now === 1 ? " ↑" : now === -1 ? " ↓" : "")) : c.name;
    return h(c.num ? "th.num" : "th", { scope: "col", "aria-sort": now === 1 ? "ascending" : now === -1 ? "descending" : null }, label);
  });
  const shown = rows.slice(0, limit);
  return h("div.scroll", { tabindex: "0", role: "region", "aria-label": name },
    h("table", {},
      h("thead", {}, h("tr", {}, head)),
      h("tbody", {}, shown.map((r) => h("tr", { "data-key": key ? key(r) : null }, columns.map((c) => h(c.num ? "td.num" : "td", {}, c.of(r))))))),
    rows.length > limit ? h("p.hint", {}, `The first ${limit} of ${rows.length}.`) : null);
}

/** filter is a box for a part of a name. */
export function filter(label, value, oninput) {
  return h("label.filter", {}, h("span.unseen", {}, label), h("input", { type: "search", placeholder: label, value, oninput: (e) => oninput(e.target.value) }));
}

/** bar shows a share of a whole. */
export function bar(share, label) {
  const kind = share > 0.9 ? "bad" : share > 0.75 ? "warn" : "good";
  return h("svg.bar", { viewBox: "0 0 100 8", preserveAspectRatio: "none", role: "img", "aria-label": label },
    h("rect.bed", { x: 0, y: 0, width: 100, height: 8, rx: 2 }), h(`rect.${kind}`, { x: 0, y: 0, width: Math.max(1, Math.min(100, share * 100)), height: 8, rx: 2 }));
}

/** tabs are links that look like it. */
export function tabs(label, list, now) {
  return h("nav.tabs", { "aria-label": label }, list.map(([name, link]) => h("a", { href: link, "aria-current": name === now ? "page" : null }, name)));
}

let note;
/** say tells that something was done. */
export function say(text) {
  const box = document.getElementById("note");
  box.textContent = text;
  clearTimeout(note);
  note = setTimeout(() => { box.textContent = ""; }, 6000);
}
