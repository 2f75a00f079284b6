// SPDX-License-Identifier: Apache-2.0
import { h, number, update, time } from "./dom.js";
import { title as head, table, section, alert, say, hint } from "./parts.js";
import { dialog, field, input, select } from "./form.js";
import { ask, change } from "./api.js";
import { groupState } from "./page_groups.js";
import { link } from "./page_topics.js";

export const title = "Group";
export const titleOf = (q) => q.name;

export function load(q, signal) {
  return ask("group", { name: q.name }, signal);
}

export function draw(g, { again, reload }) {
  const lag = g.lags.reduce((a, l) => a + Math.max(0, l.lag), 0);
  return [
    h("p.path", {}, h("a", { href: "#/groups" }, "Groups"), " / "),
    head(g.name, h("button", { type: "button", onclick: () => reset(g, reload) }, "Reset offsets")),
    h("p.facts", {}, groupState(g.state), h("span", {}, `${g.type} protocol${g.protocol ? `, ${g.protocol}` : ""}`), h("span", {}, "lag ", h("strong", {}, number(lag)))),
    alert(g.offsetError),
    section("Lag", table(`Lag of ${g.name}`, [
      { name: "Topic", by: (l) => l.topic, of: (l) => link(l.topic) },
      { name: "Partition", num: true, by: (l) => l.partition, of: (l) => l.partition },
      { name: "Committed", num: true, by: (l) => l.offset, of: (l) => number(l.offset) },
      { name: "End", num: true, by: (l) => l.end, of: (l) => number(l.end) },
      { name: "Lag", num: true, by: (l) => l.lag, of: (l) => (l.lag > 0 ? h("strong", {}, number(l.lag)) : number(l.lag)) },
      { name: "Member", by: (l) => l.member, of: (l) => (l.member ? h("code.cut", { title: l.member }, l.member) : h("span.hint", {}, "nobody")) },
    ], g.lags, { key: (l) => `${l.topic}-${l.partition}`, again, none: "It has no offsets yet." })),
    section("Members", table(`Members of ${g.name}`, [
      { name: "Member", by: (m) => m.id, of: (m) => h("code.cut", { title: m.id }, m.instance || m.id) },
      { name: "Client", by: (m) => m.client, of: (m) => m.client || "–" },
      { name: "Host", by: (m) => m.host, of: (m) => h("code", {}, m.host.replace(/^\//, "")) },
      { name: "Partitions", num: true, by: (m) => m.has.length, of: (m) => h("span", { title: m.has.join(", ") }, number(m.has.length)) },
    ], g.members, { key: (m) => m.id, again, none: "Nobody is in the group now." })),
  ];
}

/** reset asks where to, shows what would be set, and sets that. */
function reset(g, reload) {
  const topics = [...new Set(g.lags.map((l) => l.topic))];
  const preview = h("div", { "aria-live": "polite" });
  const value = h("div", {});
  let offsets = null;
  const forget = () => {
    offsets = null;
    update(preview);
    ways.go.textContent = "Preview";
  };
  const to = select("to", [["earliest", "the start"], ["latest", "the end"], ["offset", "an offset"], ["time", "a time"]], "earliest", {
    onchange: (e) => {
      forget();
      value.replaceChildren();
      if (e.target.value === "offset") value.append(field("Offset", input("value", "0", { type: "number", min: "0", required: true, oninput: () => forget() })));
      if (e.target.value === "time") value.append(field("Time", input("value", "", { type: "datetime-local", step: "1", required: true, oninput: () => forget() }), "The first record that isn't older."));
    },
  });
  const topic = topics.length ? select("topic", topics.map((t) => [t, t]), topics[0], { onchange: () => forget() }) : input("topic", "", { required: true, oninput: () => forget() });
  const ways = dialog(`Reset the offsets of ${g.name}`, [
    g.members.length ? alert("The group has members. Stop its consumers first: a group's offsets are its members' while there are some.") : null,
    field("Topic", topic), field("To", to), value, preview,
  ], "Preview", async (f) => {
    if (offsets) {
      await change("offsets", { group: g.name, offsets });
      say(`The offsets of ${g.name} are set.`);
      reload();
      return;
    }
    const at = f.to === "time" ? new Date(f.value).getTime() : Number(f.value || 0);
    const seen = await change("offsets/preview", { group: g.name, topic: f.topic, to: f.to, value: at });
    offsets = seen.offsets;
    update(preview, shown(seen, f, at));
    ways.go.textContent = `Set ${offsets.length} offset${offsets.length === 1 ? "" : "s"}`;
    throw new Stay();
  });
}

/** Stay keeps a dialog open without an error. */
class Stay extends Error {
  constructor() {
    super("");
  }
}

function shown(seen, f, at) {
  return [
    table("Preview", [
      { name: "Partition", num: true, of: (o) => o.partition },
      { name: "Now", num: true, of: (o) => number(o.current) },
      { name: "Then", num: true, of: (o) => h("strong", {}, number(o.offset)) },
      { name: "Change", num: true, of: (o) => (o.current < 0 ? "new" : signed(o.offset - o.current)) },
      { name: "Lag then", num: true, of: (o) => number(o.end - o.offset) },
    ], seen.offsets, { key: (o) => o.partition, none: "There is nothing to set." }),
    f.to === "time" ? hint(`The first records from ${time(at)} on.`) : null,
    seen.leaderless ? alert(`${seen.leaderless} partitions have no leader and are left out.`) : null,
  ];
}

function signed(n) {
  return n > 0 ? `+${number(n)}` : n < 0 ? `−${number(-n)}` : "0";
}
