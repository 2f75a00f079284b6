// SPDX-License-Identifier: Apache-2.0
// How the page is built: elements from names, attributes and children, brought up to date without losing the focus.

const handlers = ["onclick", "onchange", "oninput", "onsubmit"];
const svgTags = new Set(["svg", "path", "line", "g", "rect", "circle", "text", "title"]);

/** h makes an element. Attributes that are functions are handlers; null, undefined and false are left out. */
export function h(name, attributes = {}, ...children) {
  const [tag, ...classes] = name.split(".");
  const e = svgTags.has(tag) && attributes.svg !== false ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  if (classes.length) e.setAttribute("class", classes.join(" "));
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "svg" || value === null || value === undefined || value === false) continue;
    if (typeof value === "function") e[key] = value;
    else if (key === "value") { e.value = value; e.dataset.value = value; }
    else e.setAttribute(key, value === true ? "" : value);
  }
  e.append(...children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false).map((c) => (c instanceof Node ? c : String(c))));
  return e;
}

/** update makes the children of an element like others, and leaves what is alike where it is. */
export function update(parent, ...children) {
  const wanted = children.flat(Infinity).filter((c) => c !== null && c !== undefined && c !== false).map((c) => (c instanceof Node ? c : document.createTextNode(c)));
  const have = [...parent.childNodes];
  wanted.forEach((w, i) => {
    if (i >= have.length) parent.append(w);
    else morph(have[i], w);
  });
  have.slice(wanted.length).forEach((n) => n.remove());
}

function morph(have, want) {
  if (have === want) return;
  if (have.nodeType !== want.nodeType || have.nodeName !== want.nodeName || keyOf(have) !== keyOf(want)) {
    have.replaceWith(want);
    return;
  }
  if (have.nodeType === Node.TEXT_NODE) {
    if (have.data !== want.data) have.data = want.data;
    return;
  }
  for (const { name } of [...have.attributes]) {
    if (!want.hasAttribute(name) && name !== "open") have.removeAttribute(name);
  }
  for (const { name, value } of want.attributes) {
    if (have.getAttribute(name) !== value) {
      have.setAttribute(name, value);
      if (name === "data-value") have.value = value; // it was set anew; otherwise what somebody has typed stays
    }
  }
  for (const on of handlers) have[on] = want[on];
  update(have, ...want.childNodes);
}

function keyOf(n) {
  return n.dataset ? n.dataset.key : undefined;
}

// Numbers, as people read them.

const grouped = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

export function number(n) {
  return n === null || n === undefined || n < 0 ? "–" : grouped.format(n);
}

export function short(n, unit = "") {
  if (n === null || n === undefined || n < 0) return "–";
  for (const [size, name] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (n >= size) return `${digits(n / size)} ${name}${unit}`;
  }
  return `${digits(n)} ${unit}`.trim();
}

export function bytes(n) {
  if (n === null || n === undefined || n < 0) return "–";
  for (const [size, name] of [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]]) {
    if (n >= size) return `${digits(n / size)} ${name}`;
  }
  return `${digits(n)} B`;
}

function digits(n) {
  return n >= 100 || Number.isInteger(n) ? n.toFixed(0) : n.toFixed(1);
}

export function millis(n) {
  if (n === null || n === undefined || n < 0) return "–";
  return n >= 1000 ? `${digits(n / 1000)} s` : `${n >= 10 ? n.toFixed(0) : n.toFixed(1)} ms`;
}

export function age(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

export function time(ms) {
  const d = new Date(ms);
  const two = (n, w = 2) => String(n).padStart(w, "0");
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())} ${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}.${two(d.getMilliseconds(), 3)}`;
}

export function clock(ms) {
  return time(ms).slice(11, 19);
}

export function plural(n, one, many = `${one}s`) {
  return `${number(n)} ${n === 1 ? one : many}`;
}
