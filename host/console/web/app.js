// SPDX-License-Identifier: Apache-2.0
// The frame: which page is shown, and that it stays up to date.

import { h, update, clock } from "./dom.js";
import { alert } from "./parts.js";
import * as cluster from "./page_cluster.js";
import * as topics from "./page_topics.js";
import * as topic from "./page_topic.js";
import * as records from "./page_records.js";
import * as groups from "./page_groups.js";
import * as group from "./page_group.js";
import * as transactions from "./page_transactions.js";
import * as access from "./page_access.js";
import * as raft from "./page_raft.js";
import * as storage from "./page_storage.js";

const pages = { "": cluster, topics, topic, records, groups, group, transactions, access, raft, storage };
const menu = [["Cluster", ""], ["Topics", "topics"], ["Records", "records"], ["Groups", "groups"], ["Transactions", "transactions"], ["Access", "access"], ["Raft", "raft"], ["Storage", "storage"]];
const parents = { topic: "topics", group: "groups" };
const every = 5000;

const main = document.getElementById("main");
let shown = null; // {page, query, data, error, at, timer, stop}

function where() {
  const [path, words] = location.hash.replace(/^#\/?/, "").split("?");
  return { name: path, query: Object.fromEntries(new URLSearchParams(words || "")) };
}

function go() {
  const { name, query } = where();
  if (location.hash === "#main") return; // the link over the menu
  const page = pages[name] || pages[""];
  if (shown) leave();
  for (const d of document.querySelectorAll("dialog")) d.close();
  shown = { page, name, query, data: null, error: null, at: 0, stop: new AbortController(), view: {} };
  const under = parents[name] || name;
  update(document.getElementById("nav"), menu.map(([text, path]) => h("a", { href: `#/${path}`, "aria-current": path === under ? "page" : null }, text)));
  main.replaceChildren();
  window.scrollTo(0, 0);
  draw();
  load(shown);
}

function leave() {
  shown.stop.abort();
  clearTimeout(shown.timer);
}

async function load(s) {
  clearTimeout(s.timer);
  try {
    const data = await s.page.load(s.query, s.stop.signal, s);
    if (s !== shown) return;
    s.data = data;
    s.error = null;
    s.at = Date.now();
  } catch (e) {
    if (s !== shown || e.name === "AbortError") return;
    s.error = e.message;
  }
  draw();
  if (s.page.live !== false) s.timer = setTimeout(() => (document.hidden ? wait(s) : load(s)), every);
}

/** wait goes on when somebody looks again. */
function wait(s) {
  document.addEventListener("visibilitychange", () => s === shown && load(s), { once: true });
}

function draw() {
  const s = shown;
  const again = () => draw();
  const reload = () => load(s);
  document.title = `${s.page.titleOf ? s.page.titleOf(s.query) : s.page.title} · Chronik`;
  const stale = s.error && s.data ? `${s.error} What you see is of ${clock(s.at)}.` : s.error;
  const content = s.data ? s.page.draw(s.data, { query: s.query, view: s.view, again, reload }) : s.error ? h("h1", {}, s.page.title) : waiting(s.page.title);
  update(main, alert(stale), h(stale && s.data ? "div.page.stale" : "div.page", { "data-key": location.hash }, content));
  if (s.data && s.data.person) update(document.getElementById("who"), h("div", {}, "Cluster ", h("code", {}, s.data.cluster)), h("div", {}, s.data.person));
}

function waiting(title) {
  return [h("h1", {}, title), h("p.hint", { role: "status" }, "Loading…")];
}

window.addEventListener("hashchange", go);
go();
