// SPDX-License-Identifier: Apache-2.0
import { h, number, bytes, plural } from "./dom.js";
import { title as head, state, table, filter, alert, say, empty } from "./parts.js";
import { dialog, field, input } from "./form.js";
import { ask, change } from "./api.js";

export const title = "Topics";

export function load(_query, signal) {
  return ask("topics", {}, signal);
}

export function draw(d, { view, again, reload }) {
  const part = (view.filter || "").toLowerCase();
  const list = d.topics.filter((t) => t.name.toLowerCase().includes(part));
  return [
    head("Topics", h("button.primary", { type: "button", onclick: () => create(d, reload) }, "Create a topic")),
    alert(d.offsetsError ? `Some offsets aren't known: ${d.offsetsError}` : null),
    d.topics.length ? h("div.above", {}, filter("Filter by name", view.filter || "", (text) => { view.filter = text; again(); }), h("span.hint", {}, `${plural(list.length, "topic")}${part ? ` of ${d.topics.length}` : ""}`)) : null,
    d.topics.length ? table("Topics", [
      { name: "Topic", by: (t) => t.name, of: (t) => [link(t.name), t.internal ? h("span.tag", {}, "internal") : null] },
      { name: "State", by: (t) => -t.leaderless * 1e6 - t.underReplicated, of: stateOf },
      { name: "Partitions", num: true, by: (t) => t.partitions, of: (t) => number(t.partitions) },
      { name: "Replicas", num: true, by: (t) => t.replicas, of: (t) => number(t.replicas) },
      { name: "Records", num: true, by: (t) => t.records, of: (t) => number(t.records) },
      { name: "On disks", num: true, by: (t) => t.bytes, of: (t) => bytes(t.bytes) },
    ], list, { key: (t) => t.name, again, none: "No topic has that in its name." })
      : empty("There are no topics yet, or none that you may see.", "Create one here, or let a client write to one."),
  ];
}

export function link(name) {
  return h("a", { href: `#/topic?name=${encodeURIComponent(name)}` }, name);
}

function stateOf(t) {
  if (t.leaderless) return state("bad", `${t.leaderless} without a leader`);
  return t.underReplicated ? state("warn", `${t.underReplicated} not all in sync`) : state("good", "in sync");
}

function create(d, reload) {
  const settings = h("textarea", { name: "configs", rows: "3", spellcheck: "false", placeholder: "retention.ms=604800000" });
  dialog("Create a topic", [
    field("Name", input("name", "", { required: true, pattern: "[a-zA-Z0-9._\\-]{1,249}", autofocus: true }), "Letters, digits, dots, hyphens and underscores."),
    h("div.row", {},
      field("Partitions", input("partitions", "6", { type: "number", min: "1", max: "100000", required: true })),
      field("Replicas", input("replicas", String(Math.min(3, d.brokers)), { type: "number", min: "1", max: String(d.brokers), required: true }))),
    field("Settings", settings, "One in a line, name=value. What isn't named has its default."),
  ], "Create", async (f) => {
    await change("topics", { name: f.name, partitions: Number(f.partitions), replicas: Number(f.replicas), configs: settingsOf(f.configs) });
    say(`Topic ${f.name} is there.`);
    location.hash = `#/topic?name=${encodeURIComponent(f.name)}`;
    reload();
  });
}

function settingsOf(text) {
  const configs = {};
  for (const line of text.split("\n").map((l) => l.trim()).filter(Boolean)) {
    const i = line.indexOf("=");
    if (i < 1) throw new Error(`“${line}” isn't name=value.`);
    configs[line.slice(0, i).trim()] = line.slice(i + 1).trim();
  }
  return configs;
}
