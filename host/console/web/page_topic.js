// SPDX-License-Identifier: Apache-2.0
import { h, number, bytes, plural } from "./dom.js";
import { title as head, state, table, alert, tabs, say } from "./parts.js";
import { dialog, field, input, select } from "./form.js";
import { ask, change } from "./api.js";
import { replicas } from "./page_cluster.js";

export const title = "Topic";
export const titleOf = (q) => q.name;

export async function load(q, signal) {
  const [topic, configs] = await Promise.all([ask("topic", { name: q.name }, signal), q.tab === "settings" ? ask("configs", { type: "topic", name: q.name }, signal) : null]);
  return { topic, configs };
}

export function draw({ topic: t, configs }, { query, again, reload }) {
  const to = (tab) => `#/topic?name=${encodeURIComponent(t.name)}${tab ? `&tab=${tab}` : ""}`;
  return [
    h("p.path", {}, h("a", { href: "#/topics" }, "Topics"), " / "),
    head(t.name),
    alert(t.offsetsError ? `Some offsets aren't known: ${t.offsetsError}` : null),
    tabs("Parts of the topic", [["Partitions", to("")], ["Records", `#/records?topic=${encodeURIComponent(t.name)}`], ["Settings", to("settings")]], configs ? "Settings" : "Partitions"),
    configs ? settings(t, configs, query, again, reload) : partitions(t, again, reload),
  ];
}

function partitions(t, again, reload) {
  return table(`Partitions of ${t.name}`, [
    { name: "Partition", num: true, by: (p) => p.partition, of: (p) => h("strong", {}, p.partition) },
    { name: "State", by: (p) => p.leader, of: stateOf },
    { name: "Leader", num: true, by: (p) => p.leader, of: (p) => number(p.leader) },
    { name: "Replicas", of: replicas },
    { name: "Start", num: true, by: (p) => p.start, of: (p) => number(p.start) },
    { name: "End", num: true, by: (p) => p.end, of: (p) => number(p.end) },
    { name: "Records", num: true, by: (p) => p.end - p.start, of: (p) => (p.end < 0 || p.start < 0 ? "–" : number(p.end - p.start)) },
    { name: "On disks", num: true, by: (p) => p.bytes, of: (p) => bytes(p.bytes) },
    { name: "Epoch", num: true, by: (p) => p.epoch, of: (p) => number(p.epoch) },
    { name: "Actions", of: (p) => h("span.actions", {},
      h("a.small", { href: `#/records?topic=${encodeURIComponent(t.name)}&partition=${p.partition}` }, "Browse"),
      h("button.small", { type: "button", "aria-label": `Move partition ${p.partition}`, onclick: () => move(t, p, reload) }, "Move"),
      h("button.small", { type: "button", "aria-label": `Change the leader of partition ${p.partition}`, onclick: () => elect(t, p, reload) }, "Leader")) },
  ], t.partitions, { key: (p) => p.partition, again });
}

function stateOf(p) {
  if (p.leader < 0) return state("bad", "no leader");
  return p.isr.length < p.replicas.length ? state("warn", "not all in sync") : state("good", "in sync");
}

function move(t, p, reload) {
  dialog(`Move ${t.name}-${p.partition}`, [
    field("Brokers", input("replicas", p.replicas.join(", "), { required: true, pattern: "\\s*\\d+(\\s*,\\s*\\d+)*\\s*" }),
      `Where the replicas shall be, the one that should lead first. Brokers ${t.alive.join(", ")} are connected. Records are copied before the old replicas go.`),
  ], "Move", async (f) => {
    await change("move", { topic: t.name, partition: p.partition, replicas: f.replicas.split(",").map(Number) });
    say(`${t.name}-${p.partition} is on its way.`);
    reload();
  });
}

function elect(t, p, reload) {
  const may = p.replicas.filter((id) => p.isr.includes(id));
  if (!may.length) may.push(...p.replicas);
  const first = may.includes(p.replicas[0]) ? p.replicas[0] : may[0];
  dialog(`Leader of ${t.name}-${p.partition}`, [
    field("Broker", select("broker", may.map((id) => [String(id), `${id}${id === p.leader ? ", leads now" : ""}${id === p.replicas[0] ? ", preferred" : ""}`]), String(first)),
      "One that is in sync. It becomes the preferred one, and leads at once."),
  ], "Let it lead", async (f) => {
    const id = Number(f.broker);
    if (p.replicas[0] !== id) {
      await change("move", { topic: t.name, partition: p.partition, replicas: [id, ...p.replicas.filter((r) => r !== id)] });
    }
    await change("elect", { topic: t.name, partition: p.partition });
    say(`${t.name}-${p.partition} is led by broker ${id}.`);
    reload();
  });
}

function settings(t, d, query, again, reload) {
  const set = d.configs.filter((c) => !c.default);
  return [
    h("p.hint", {}, set.length ? `${plural(set.length, "setting")} of this topic's own; the others are the cluster's.` : "All settings are the cluster's."),
    table(`Settings of ${t.name}`, [
      { name: "Setting", by: (c) => c.name, of: (c) => h(c.default ? "code" : "code.own", { title: c.text || null }, c.name) },
      { name: "Value", of: (c) => (c.sensitive ? "hidden" : h("code.value", {}, c.value === "" ? "empty" : c.value)) },
      { name: "From", by: (c) => c.default, of: (c) => (c.default ? h("span.hint", {}, "default") : state("plain", "this topic")) },
      { name: "Actions", of: (c) => (c.readOnly ? "" : h("span.actions", {}, h("button.small", { type: "button", "aria-label": `Change ${c.name}`, onclick: () => alter(t, c, reload) }, "Change"))) },
    ], [...set, ...d.configs.filter((c) => c.default)], { key: (c) => c.name, again }),
  ];
}

function alter(t, c, reload) {
  const value = input("value", c.value);
  const back = h("input", { type: "checkbox", name: "unset", onchange: (e) => { value.disabled = e.target.checked; } });
  dialog(`Change ${c.name}`, [
    c.text ? h("p.hint", {}, c.text) : null,
    field(`Value for ${t.name}`, value),
    c.default ? null : h("label.check", {}, back, "Give it back to the default"),
  ], "Change", async (f) => {
    await change("configs", { type: "topic", name: t.name, set: f.unset ? {} : { [c.name]: f.value || "" }, unset: f.unset ? [c.name] : [] });
    say(`${c.name} of ${t.name} is changed.`);
    reload();
  });
}
