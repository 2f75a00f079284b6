// SPDX-License-Identifier: Apache-2.0
import { h, number, bytes, millis, age, short, plural } from "./dom.js";
import { title, section, state, tile, table, bar, hint } from "./parts.js";
import { chart, merge, sum, max, last, slotsOf, spark } from "./chart.js";
import { ask } from "./api.js";

const name = "Cluster";
export { name as title };

export function load(_query, signal) {
  return ask("cluster", {}, signal);
}

export function draw(c, { again }) {
  const slots = slotsOf(c.brokers);
  const series = (field, combine) => merge(c.brokers, field, combine, c.now, 10000, slots);
  const into = series("in", sum), out = series("out", sum), p50 = series("p50", max), p99 = series("p99", max), produces = series("produces", sum), fetches = series("fetches", sum);
  return [
    title("Cluster"),
    verdict(c),
    h("div.tiles", {},
      tile("In", perSecond(last(into)), `${short(last(produces))} writes/s`),
      tile("Out", perSecond(last(out)), `${short(last(fetches))} fetches/s`),
      tile("Write latency, p99", millis(last(p99)), `half within ${millis(last(p50))}`),
      tile("Partitions", number(c.partitions), `of ${plural(c.topics, "topic")}`)),
    h("div.charts", {},
      chart("Throughput", [{ name: "in", series: into, kind: "one" }, { name: "out", series: out, kind: "two" }], perSecond, c.now, 1024),
      chart("Write latency", [{ name: "p50", series: p50, kind: "one" }, { name: "p99", series: p99, kind: "three" }], millis, c.now)),
    section("Brokers", brokers(c, slots, again)),
    c.troubles.length ? section("Partitions that need attention", troubles(c, again)) : null,
  ];
}

export function perSecond(n) {
  return n === null || n === undefined ? "–" : `${bytes(Math.round(n))}/s`;
}

/** verdict says in words how the cluster is. */
function verdict(c) {
  const away = c.brokers.filter((b) => !b.alive), full = c.brokers.filter((b) => b.self && b.self.diskFree / b.self.diskSize < 0.1);
  const wrong = [], odd = [];
  if (c.leaderless) wrong.push(`${plural(c.leaderless, "partition has", "partitions have")} no leader: clients can't use ${c.leaderless === 1 ? "it" : "them"}.`);
  if (away.length) odd.push(`${away.length === 1 ? `Broker ${away[0].id} is` : `Brokers ${away.map((b) => b.id).join(", ")} are`} not connected.`);
  if (c.underReplicated) odd.push(`${plural(c.underReplicated, "partition has", "partitions have")} replicas that are not in sync.`);
  if (full.length) odd.push(`The disk of broker ${full.map((b) => b.id).join(", ")} has less than a tenth left.`);
  if (c.moves) odd.push(`${plural(c.moves, "move")} under way.`);
  const kind = wrong.length ? "bad" : odd.length ? "warn" : "good";
  const head = { bad: "Something is out of service", warn: "Everything is served, with less in reserve", good: "All is well" }[kind];
  const all = kind === "good" ? [`${plural(c.brokers.length, "broker")}, all connected. Every partition has a leader and all its replicas in sync.`] : [...wrong, ...odd];
  return h(`div.verdict.${kind}`, { role: "status" }, h("strong", {}, head), h("span", {}, all.join(" ")));
}

function brokers(c, slots, again) {
  const now = (b, field) => (b.self && b.self.history.length ? b.self.history.at(-1)[field] : null);
  return table("Brokers", [
    { name: "Broker", by: (b) => b.id, of: (b) => [h("strong", {}, b.id), c.controller === b.id ? h("span.tag", { title: "leads the catalog" }, "controller") : null, b.host ? h("code.address", {}, `${b.host}:${b.port}`) : null] },
    { name: "State", by: (b) => stateOf(b)[1], of: (b) => [state(...stateOf(b)), b.self ? h("span.address", {}, `for ${age(c.now - b.self.started)}`) : null] },
    { name: "Leads", num: true, by: (b) => b.leaders, of: (b) => number(b.leaders) },
    { name: "Replicas", num: true, by: (b) => b.replicas, of: (b) => number(b.replicas) },
    { name: "Not in sync", num: true, by: (b) => b.outOfSync, of: (b) => (b.outOfSync ? h("strong.warn", {}, number(b.outOfSync)) : "0") },
    { name: "In", num: true, by: (b) => now(b, "in"), of: (b) => perSecond(now(b, "in")) },
    { name: "Out", num: true, by: (b) => now(b, "out"), of: (b) => perSecond(now(b, "out")) },
    { name: "p99", num: true, by: (b) => now(b, "p99"), of: (b) => millis(now(b, "p99")) },
    { name: "In, lately", of: (b) => (b.self ? spark(merge([b], "in", sum, c.now, 10000, slots)) : "") },
    { name: "Disk", by: (b) => (b.self ? b.self.diskFree : -1), of: (b) => (b.self ? disk(b.self) : h("span.hint", {}, b.error || "–")) },
  ], c.brokers, { key: (b) => b.id, again });
}

function stateOf(b) {
  if (!b.alive) return ["bad", "not connected"];
  if (!b.self) return ["plain", "connected"];
  return b.self.state === "ready" ? ["good", "ready"] : ["warn", b.self.state];
}

function disk(s) {
  const used = 1 - s.diskFree / s.diskSize;
  return h("div.disk", {}, bar(used, `${Math.round(used * 100)} % of the disk used`), h("span", {}, `${bytes(s.diskFree)} free`));
}

function troubles(c, again) {
  return [
    table("Partitions that need attention", [
      { name: "Partition", by: (t) => t.topic, of: (t) => h("a", { href: `#/topic?name=${encodeURIComponent(t.topic)}` }, `${t.topic}-${t.partition}`) },
      { name: "State", of: (t) => (t.leader < 0 ? state("bad", "no leader") : state("warn", "not all in sync")) },
      { name: "Leader", num: true, by: (t) => t.leader, of: (t) => number(t.leader) },
      { name: "Replicas", of: (t) => replicas(t) },
    ], c.troubles, { key: (t) => `${t.topic}-${t.partition}`, again, limit: 20 }),
    c.troubles.length < c.leaderless + c.underReplicated ? hint(`${number(c.leaderless + c.underReplicated)} in all.`) : null,
  ];
}

/** replicas are brokers, with a mark at those that aren't in sync. */
export function replicas(p) {
  return h("span.replicas", {}, p.replicas.map((id) => {
    const sync = p.isr.includes(id), leads = p.leader === id;
    return h(`span.replica${leads ? ".leads" : ""}${sync ? "" : ".out"}`, { title: `broker ${id}: ${leads ? "leader" : sync ? "in sync" : "not in sync"}` }, id, sync ? "" : h("span.unseen", {}, " not in sync"));
  }));
}
