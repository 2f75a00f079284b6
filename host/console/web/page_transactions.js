// SPDX-License-Identifier: Apache-2.0
import { h, number, age, plural } from "./dom.js";
import { title as head, state, table, alert, hint, empty } from "./parts.js";
import { ask } from "./api.js";

export const title = "Transactions";

export async function load(_query, signal) {
  return { ...await ask("transactions", {}, signal), now: Date.now() };
}

const open = new Set(["Ongoing", "PrepareCommit", "PrepareAbort"]);

export function draw(d, { again }) {
  const under = d.transactions.filter((t) => open.has(t.state)).length;
  return [
    head("Transactions"),
    alert(d.error ? `Not all transactions are known: ${d.error}` : null),
    d.transactions.length ? [
      hint(`${plural(under, "transaction")} open. ${plural(d.total, "transactional id")} known. An open one keeps read_committed consumers waiting.`),
      table("Transactions", [
        { name: "Transactional id", by: (t) => t.id, of: (t) => h("code", {}, t.id) },
        { name: "State", by: (t) => t.state, of: (t) => (t.error ? state("warn", t.error) : state(t.state === "Ongoing" ? "warn" : open.has(t.state) ? "warn" : "plain", t.state)) },
        { name: "Open for", num: true, by: (t) => t.started, of: (t) => (t.started > 0 && open.has(t.state) ? late(t, d.now) : "–") },
        { name: "Time-out", num: true, by: (t) => t.timeout, of: (t) => (t.timeout ? age(t.timeout) : "–") },
        { name: "Producer", num: true, by: (t) => t.producer, of: (t) => `${t.producer}/${t.epoch}` },
        { name: "Coordinator", num: true, by: (t) => t.coordinator, of: (t) => number(t.coordinator) },
        { name: "Partitions", of: (t) => h("span", { title: t.partitions.join(", ") }, t.partitions.slice(0, 4).join(", ") + (t.partitions.length > 4 ? ` and ${t.partitions.length - 4} more` : "") || "–") },
      ], d.transactions, { key: (t) => t.id, again }),
    ] : empty("There are no transactions, or none that you may see."),
  ];
}

function late(t, now) {
  const since = age(now - t.started);
  return now - t.started > t.timeout ? h("strong.warn", {}, since) : since;
}
