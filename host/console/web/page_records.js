// SPDX-License-Identifier: Apache-2.0
import { h, number, bytes, time, plural } from "./dom.js";
import { title as head, alert, empty } from "./parts.js";
import { ask } from "./api.js";

export const title = "Records";
export const live = false;

export async function load(q, signal) {
  const { topics } = await ask("topics", {}, signal);
  if (!q.topic) return { topics, q };
  const found = await ask("records", { topic: q.topic, partition: q.partition, from: q.from || "newest", value: valueOf(q), limit: q.limit || 50 }, signal);
  return { topics, q, ...found };
}

function valueOf(q) {
  if (q.from === "offset") return q.offset || 0;
  return q.from === "time" && q.time ? new Date(q.time).getTime() : undefined;
}

export function draw(d, { query, view, again, reload }) {
  return [
    head("Records"),
    form(d, query, view, again, reload),
    d.records ? list(d, view, again) : empty("Choose a topic.", "Its records are shown as they are kept, whatever they are compressed with."),
  ];
}

function form(d, q, view, again, reload) {
  const from = view.from || q.from || "newest";
  const topic = d.topics.find((t) => t.name === q.topic);
  const option = (value, text, now) => h("option", { value, selected: value === now }, text);
  const box = (label, control) => h("label.control", {}, h("span", {}, label), control);
  const submit = (e) => {
    e.preventDefault();
    const f = Object.fromEntries([...new FormData(e.target)].filter(([, v]) => v !== ""));
    const hash = `#/records?${new URLSearchParams(f)}`;
    if (hash === location.hash) reload();
    else location.hash = hash;
  };
  return h("form.bar-form", { onsubmit: submit, "aria-label": "Which records" },
    box("Topic", h("select", { name: "topic", required: true }, option("", "Choose…", q.topic || ""), d.topics.map((t) => option(t.name, t.name, q.topic)))),
    box("Partition", h("select", { name: "partition" }, option("", "all", q.partition || ""), Array.from({ length: topic ? topic.partitions : 0 }, (_, i) => option(String(i), String(i), q.partition)))),
    box("From", h("select", { name: "from", onchange: (e) => { view.from = e.target.value; again(); } },
      option("newest", "the newest", from), option("oldest", "the oldest", from), option("offset", "an offset", from), option("time", "a time", from))),
    from === "offset" ? box("Offset", h("input", { name: "offset", type: "number", min: "0", value: q.offset || "0" })) : null,
    from === "time" ? box("Time", h("input", { name: "time", type: "datetime-local", step: "1", value: q.time || "" })) : null,
    box("At most", h("select", { name: "limit" }, ["20", "50", "200", "500"].map((n) => option(n, n, q.limit || "50")))),
    box("Shown as", h("select", { onchange: (e) => { view.as = e.target.value; again(); } }, ["auto", "text", "JSON", "hex"].map((n) => option(n, n, view.as || "auto")))),
    h("button.primary", { type: "submit" }, "Show"));
}

function list(d, view, again) {
  const notes = [];
  if (d.missing) notes.push(`${plural(d.missing, "partition has", "partitions have")} no leader and can't be read.`);
  if (!d.complete) notes.push("There is more than came in time.");
  if (!d.records.length) return [alert(d.error || notes.join(" ") || null), empty("There are no records there.", "Try another partition, or from the oldest.")];
  view.open = view.open || new Set();
  const as = view.as || "auto";
  return [
    alert(d.error || notes.join(" ") || null),
    h("p.hint", {}, `${plural(d.records.length, "record")}. Open one for its headers and the whole value.`),
    h("ol.records", { "aria-label": "Records" }, d.records.map((r) => one(r, as, view, again, d.q))),
  ];
}

function one(r, as, view, again, q) {
  const id = `${r.partition}:${r.offset}`, open = view.open.has(id);
  const toggle = () => {
    if (open) view.open.delete(id);
    else view.open.add(id);
    again();
    if (!open && (r.value.size > decode(r.value).length || r.key.size > decode(r.key).length)) whole(r, q, again);
  };
  return h("li.record", { "data-key": id },
    h("button.line", { type: "button", "aria-expanded": String(open), onclick: toggle },
      h("span.at", {}, h("span.part", {}, r.partition), h("span.offset", {}, number(r.offset))),
      h("span.when", {}, time(r.time)),
      h("span.key", {}, r.control ? h("em", {}, "end of a transaction") : r.key.null ? h("em", {}, "no key") : firstLine(r.key)),
      h("span.value", {}, r.control ? "" : r.value.null ? h("em", {}, "no value (tombstone)") : firstLine(r.value))),
    open ? h("div.detail", {},
      h("dl", {},
        fact("Partition", r.partition), fact("Offset", number(r.offset)), fact("Time", time(r.time)), fact("Key", bytes(r.key.size)), fact("Value", bytes(r.value.size)),
        fact("Compression", r.codec), r.producer >= 0 ? fact("Producer", `${r.producer}${r.txn ? ", in a transaction" : ""}`) : null),
      r.headers.length ? [h("h2.sub", {}, "Headers"), h("dl.headers", {}, r.headers.map((x) => fact(x.name, x.value.null ? "null" : shown(x.value, "auto"))))] : null,
      r.key.null ? null : [h("h2.sub", {}, "Key"), h("pre", { tabindex: "0" }, shown(r.key, as))],
      h("h2.sub", {}, "Value"), h("pre", { tabindex: "0" }, r.value.null ? "null" : shown(r.value, as), r.value.size > decode(r.value).length ? `\n… ${bytes(r.value.size)} in all` : "")) : null);
}

/** whole asks for all of a record. */
async function whole(r, q, again) {
  const { records } = await ask("records", { topic: q.topic, partition: r.partition, from: "offset", value: r.offset, limit: 1, whole: 1 });
  if (records.length && records[0].offset === r.offset) Object.assign(r, records[0]);
  again();
}

function fact(name, value) {
  return h("div", {}, h("dt", {}, name), h("dd", {}, value));
}

const decoded = new WeakMap();
function decode(datum) {
  if (!datum.data) return new Uint8Array();
  let b = decoded.get(datum);
  if (!b || b.length !== datum.size) {
    b = Uint8Array.from(atob(datum.data), (c) => c.charCodeAt(0));
    decoded.set(datum, b);
  }
  return b;
}

/** text is what bytes say in UTF-8; null if they say nothing in it. A character that is cut off at the end is left out. */
function text(datum) {
  const b = decode(datum);
  try {
    const t = new TextDecoder("utf-8", { fatal: true }).decode(b, { stream: b.length < datum.size });
    // eslint-disable-next-line no-control-regex
    return /[\u0000-\u0008\u000e-\u001f]/.test(t) ? null : t;
  } catch {
    return null;
  }
}

function shown(datum, as) {
  const t = text(datum);
  if (as === "hex" || (t === null && as === "auto")) return hex(decode(datum));
  if (as === "text" || t === null) return new TextDecoder().decode(decode(datum));
  try {
    return as === "JSON" || /^\s*[[{]/.test(t) ? JSON.stringify(JSON.parse(t), null, 2) : t;
  } catch {
    return t;
  }
}

function firstLine(datum) {
  const t = text(datum);
  if (t === null) return [...decode(datum).slice(0, 48)].map((x) => x.toString(16).padStart(2, "0")).join(" ");
  return t.slice(0, 200).replace(/\s+/g, " ");
}

function hex(b) {
  const lines = [];
  for (let i = 0; i < b.length; i += 16) {
    const row = [...b.slice(i, i + 16)];
    const codes = row.map((x) => x.toString(16).padStart(2, "0")).join(" ").padEnd(47);
    lines.push(`${i.toString(16).padStart(6, "0")}  ${codes}  ${row.map((x) => (x > 31 && x < 127 ? String.fromCharCode(x) : "·")).join("")}`);
  }
  return lines.join("\n");
}
