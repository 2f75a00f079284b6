// SPDX-License-Identifier: Apache-2.0
import { h, number, plural } from "./dom.js";
import { title as head, section, state, table, filter, alert, hint } from "./parts.js";
import { ask } from "./api.js";

export const title = "Raft";

export function load(_query, signal) {
  return ask("raft", {}, signal);
}

export function draw(d, { view, again }) {
  const groups = d.brokers.flatMap((b) => (b.page ? b.page.groups.map((g) => ({ ...g, broker: b.id, name: g.topic ? `${g.topic}-${g.partition}` : g.group === 0 ? "catalog" : "coordinator" })) : []));
  const part = (view.filter || "").toLowerCase();
  const list = groups.filter((g) => g.name.toLowerCase().includes(part));
  const total = d.brokers.reduce((n, b) => n + (b.page ? b.page.total : 0), 0);
  const of = (b, f) => (b.self ? number(b.self[f]) : "–");
  return [
    head("Raft"),
    section("Brokers", table("Raft by broker", [
      { name: "Broker", by: (b) => b.id, of: (b) => [h("strong", {}, b.id), d.controller === b.id ? h("span.tag", {}, "controller") : null] },
      { name: "Groups", num: true, of: (b) => of(b, "groups") },
      { name: "Leads", num: true, of: (b) => of(b, "leading") },
      { name: "Highest term", num: true, of: (b) => of(b, "maxTerm") },
      { name: "Not committed", num: true, of: (b) => of(b, "commitLag") },
      { name: "Not applied", num: true, of: (b) => of(b, "applyLag") },
      { name: "Elections", num: true, of: (b) => of(b, "elections") },
      { name: "Cold reads", num: true, of: (b) => of(b, "coldReads") },
      { name: "Checkpoints", num: true, of: (b) => of(b, "checkpoints") },
      { name: "Sent", num: true, of: (b) => of(b, "snapshotsSent") },
      { name: "Taken", num: true, of: (b) => of(b, "snapshotsGot") },
      { name: "State", of: (b) => (b.self ? state(b.self.state === "ready" ? "good" : "warn", b.self.state) : h("span.hint", {}, b.error || "–")) },
    ], d.brokers, { key: (b) => b.id }),
    hint("Elections, cold reads and checkpoints are since each broker's start; checkpoints are made here, sent to followers and taken from leaders.")),
    section("Replicas of groups",
      h("div.above", {}, filter("Filter by partition", view.filter || "", (text) => { view.filter = text; again(); }), h("span.hint", {}, plural(list.length, "replica"))),
      total > groups.length ? alert(`Shown are the ${number(groups.length)} with the greatest lag of ${number(total)}.`) : null,
      table("Replicas of groups", [
        { name: "Group", by: (g) => g.name, of: (g) => [g.name, " ", h("span.hint", {}, `g${g.group}`)] },
        { name: "Broker", num: true, by: (g) => g.broker, of: (g) => g.broker },
        { name: "Role", by: (g) => g.role, of: (g) => (g.closed ? state("bad", "damaged") : state(g.leader < 0 ? "bad" : g.role === "leader" ? "good" : "plain", g.leader < 0 ? "no leader" : g.role)) },
        { name: "Term", num: true, by: (g) => g.term, of: (g) => number(g.term) },
        { name: "Log from", num: true, by: (g) => g.first, of: (g) => number(g.first) },
        { name: "to", num: true, by: (g) => g.last, of: (g) => number(g.last) },
        { name: "Committed", num: true, by: (g) => g.commit, of: (g) => number(g.commit) },
        { name: "Applied", num: true, by: (g) => g.applied, of: (g) => number(g.applied) },
        { name: "Behind", num: true, by: (g) => g.last - g.applied, of: (g) => (g.last > g.applied ? h("strong", {}, number(g.last - g.applied)) : "0") },
      ], list, { key: (g) => `${g.broker}.${g.group}`, again, limit: 300, none: "No group is called that." })),
  ];
}
