// SPDX-License-Identifier: Apache-2.0
import { h, number, plural } from "./dom.js";
import { title as head, state, table, filter, alert, empty } from "./parts.js";
import { ask } from "./api.js";

export const title = "Groups";

export function load(_query, signal) {
  return ask("groups", {}, signal);
}

export function draw(d, { view, again }) {
  const part = (view.filter || "").toLowerCase();
  const list = d.groups.filter((g) => g.name.toLowerCase().includes(part));
  return [
    head("Consumer groups"),
    alert(d.error ? `Not all groups are known: ${d.error}` : null),
    d.groups.length ? h("div.above", {}, filter("Filter by name", view.filter || "", (text) => { view.filter = text; again(); }), h("span.hint", {}, `${plural(list.length, "group")}${part ? ` of ${d.groups.length}` : ""}`)) : null,
    d.groups.length ? table("Consumer groups", [
      { name: "Group", by: (g) => g.name, of: (g) => h("a", { href: `#/group?name=${encodeURIComponent(g.name)}` }, g.name) },
      { name: "State", by: (g) => g.state, of: (g) => groupState(g.state) },
      { name: "Protocol", by: (g) => g.type, of: (g) => g.type || "–" },
      { name: "Lag", num: true, by: (g) => g.lag, of: (g) => (g.error ? h("span.hint", { title: g.error }, "unknown") : number(g.lag)) },
      { name: "Partitions", num: true, by: (g) => g.partitions, of: (g) => number(g.partitions) },
      { name: "Coordinator", num: true, by: (g) => g.coordinator, of: (g) => number(g.coordinator) },
    ], list, { key: (g) => g.name, again, none: "No group has that in its name." })
      : empty("There are no consumer groups, or none that you may see.", "A group appears with its first consumer."),
  ];
}

export function groupState(s) {
  const kind = { Stable: "good", Empty: "plain", Dead: "bad" }[s] || "warn";
  return state(kind, s || "unknown");
}
