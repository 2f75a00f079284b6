// SPDX-License-Identifier: Apache-2.0
// The browser's half of the console's test; main.go starts it. See there.

import { createInterface } from "node:readline";
import { createRequire } from "node:module";
import { readFileSync, mkdirSync } from "node:fs";
import path from "node:path";

const setup = JSON.parse(process.argv[2]);
const require = createRequire(path.join(setup.cache, "package.json"));
const puppeteer = require("puppeteer-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
async function broker(id, what) {
  console.log(`broker ${id} ${what}`);
  await answers.next();
}

let failures = 0;
async function test(name, act) {
  const start = Date.now();
  try {
    await act();
    console.log(`ok    ${name} (${((Date.now() - start) / 1000).toFixed(1)} s)`);
  } catch (e) {
    failures++;
    console.log(`FAIL  ${name}: ${e.message}`);
  }
}

function check(ok, what) {
  if (!ok) throw new Error(what);
}

const browser = await (puppeteer.default || puppeteer).launch({ executablePath: setup.chromium, args: ["--no-sandbox", "--disable-gpu"], headless: true });
const page = await browser.newPage();
await page.setViewport({ width: 1360, height: 900 });
const troubles = [];
page.on("console", (m) => { if (m.type() === "error" && !/Failed to load resource/.test(m.text())) troubles.push(m.text()); });
page.on("pageerror", (e) => troubles.push(e.message));
page.on("request", (r) => { if (!r.url().startsWith(new URL(url).origin) && !r.url().startsWith("data:") && r.url() !== "about:blank") troubles.push(`asks for ${r.url()}`); });
let url = setup.urls[0];

const text = () => page.$eval("main", (m) => m.innerText);
const rows = (label) => page.$$eval(`[aria-label="${label}"] tbody tr`, (all) => all.map((r) => [...r.cells].map((c) => c.innerText.trim())));

async function until(what, ok, seconds = 20) {
  let last;
  for (const end = Date.now() + seconds * 1000; Date.now() < end;) {
    try {
      if (last = await ok()) return last;
    } catch (e) {
      last = e.message;
    }
    await new Promise((r) => setTimeout(r, 200));
  }
  throw new Error(`${what} doesn't come in ${seconds} s (${last}); the page says: ${(await text()).slice(0, 600)}`);
}

async function open(hash, heading) {
  await page.goto(`${url}#/${hash}`);
  await until(`the page ${hash}`, () => page.evaluate((h) => document.querySelector("h1")?.textContent === h && !document.querySelector("main").innerText.includes("Loading…"), heading));
}

async function click(name, within = "body") {
  const handle = await until(`the button ${name}`, async () => {
    const h = await page.evaluateHandle((n, w) => {
      const all = [...document.querySelector(w).querySelectorAll("button, a, summary")];
      return all.find((b) => (b.getAttribute("aria-label") || b.innerText.trim()) === n) || null;
    }, name, within);
    return h.asElement();
  });
  await handle.click();
}

async function fill(name, value) {
  const at = `dialog [name="${name}"]`;
  await page.waitForSelector(at);
  const tag = await page.$eval(at, (e) => e.tagName);
  if (tag === "SELECT") return page.select(at, value);
  await page.$eval(at, (e, v) => { e.value = v; e.dispatchEvent(new Event("input", { bubbles: true })); }, value);
}

const dialogGone = () => until("the end of the dialog", async () => !(await page.$("dialog")) || (await page.$eval("dialog", (d) => { const a = d.querySelector(".alert"); return a ? a.innerText : ""; }).then((t) => { if (t) throw new Error(t); return false; })));

async function accessible(what) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  check(!found.violations.length, `${what}: ${found.violations.map((v) => `${v.id} (${v.nodes.slice(0, 3).map((n) => n.target.join(" ")).join("; ")}): ${v.nodes[0].failureSummary}`).join(" | ")}`);
}

async function picture(name) {
  if (!setup.pictures) return;
  mkdirSync(setup.pictures, { recursive: true });
  await page.screenshot({ path: path.join(setup.pictures, `${name}.png`) });
}

async function look(scheme, width = 1360, height = 900) {
  await page.emulateMediaFeatures([{ name: "prefers-color-scheme", value: scheme }]);
  await page.setViewport({ width, height, deviceScaleFactor: width < 500 ? 2 : 1 });
}

const everyPage = [["", "Cluster"], ["topics", "Topics"], ["topic?name=orders", "orders"], ["topic?name=orders&tab=settings", "orders"], ["records?topic=orders", "Records"], ["groups", "Consumer groups"], ["group?name=shipping", "shipping"], ["transactions", "Transactions"], ["access", "Access"], ["raft", "Raft"], ["storage", "Storage"]];

await test("the cluster is on one screen, and lives", async () => {
  await open("", "Cluster");
  await until("three brokers that are ready", async () => (await rows("Brokers")).filter((r) => r[1].startsWith("ready")).length === 3);
  check((await text()).includes("All is well"), `the verdict: ${(await text()).slice(0, 200)}`);
  const value = () => page.$$eval(".tile .value", (t) => t.map((x) => x.innerText));
  const before = await until("throughput and latency", async () => { const v = await value(); return !v.includes("–") && v; }, 40);
  check(/[KM]iB\/s/.test(before[0]) && /ms|s/.test(before[2]), `the tiles: ${before}`);
  await until("other numbers", async () => (await value())[0] !== before[0], 30);
  check((await page.$$eval(".chart path", (p) => p.filter((x) => (x.getAttribute("d") || "").includes("L")).length)) === 4, "four lines in the charts");
});

await test("topics, their partitions and their offsets", async () => {
  await open("topics", "Topics");
  const list = await rows("Topics");
  check(["orders", "payments", "clicks"].every((t) => list.some((r) => r[0] === t && r[1] === "in sync")), `the topics: ${JSON.stringify(list)}`);
  await page.type('input[type="search"]', "pay");
  await until("the filter", async () => (await rows("Topics")).length === 1);
  await click("payments", "main");
  await until("the topic's page", () => page.$("nav.tabs"));
  const partitions = await until("its partitions", async () => { const p = await rows("Partitions of payments"); return p.length === 3 && p; });
  check(partitions.every((p) => /^1\s*2\s*3$/.test(p[3].split(/\s+/).sort().join(" ")) && p[1] === "in sync"), `the partitions: ${JSON.stringify(partitions)}`);
});

await test("a topic is created, with what the broker refuses said in its words", async () => {
  await open("topics", "Topics");
  await click("Create a topic");
  await fill("name", "returns");
  await fill("partitions", "4");
  await fill("configs", "retention.ms=nonsense");
  await accessible("the dialog");
  await click("Create", "dialog");
  await until("the refusal", () => page.$eval("dialog .alert", (a) => /retention.ms/.test(a.innerText)));
  await fill("configs", "retention.ms=86400000");
  await click("Create", "dialog");
  await until("its page", () => page.$eval("h1", (x) => x.innerText === "returns"));
  await until("its partitions", async () => (await rows("Partitions of returns")).length === 4);
});

await test("a configuration is changed and given back", async () => {
  await open("topic?name=returns&tab=settings", "returns");
  const own = async () => (await rows("Settings of returns")).find((r) => r[0] === "retention.ms");
  check((await own())[1] === "86400000" && (await own())[2] === "this topic", `retention.ms is ${await own()}`);
  await click("Change retention.ms");
  await fill("value", "3600000");
  await click("Change", "dialog");
  await dialogGone();
  await until("the change", async () => (await own())[1] === "3600000");
  await click("Change retention.ms");
  await page.waitForSelector('dialog [name="unset"]');
  await page.click('dialog [name="unset"]');
  await click("Change", "dialog");
  await dialogGone();
  await until("the default", async () => (await own())[2] === "default");
});

await test("a leader is elected, and a partition is moved", async () => {
  await open("topic?name=returns", "returns");
  const first = async () => (await rows("Partitions of returns"))[0];
  const other = (await first())[2] === "2" ? "3" : "2";
  await click("Change the leader of partition 0");
  await fill("broker", other);
  await click("Let it lead", "dialog");
  await dialogGone();
  await until("the leader", async () => (await first())[2] === other);
  await click("Move partition 0");
  await fill("replicas", "1, 2");
  await click("Move", "dialog");
  await dialogGone();
  await until("the move", async () => { const p = await first(); return p[3].split(/\s+/).length === 2 && p[1] === "in sync"; }, 30);
});

await test("records as text, JSON and hex, by offset and time, compressed ones too", async () => {
  await open("records?topic=clicks&partition=0&from=offset&offset=3&limit=20", "Records");
  await until("the records", async () => (await page.$$(".record")).length === 20);
  check(await page.$eval(".record .offset", (o) => o.innerText === "3"), "the first is at offset 3");
  await page.click(".record .line");
  const detail = await until("the record", () => page.$eval(".detail", (d) => d.innerText));
  check(/zstd/.test(detail) && /trace/.test(detail) && /"customer": "c-/.test(detail) && /Tür links/.test(detail), `the record: ${detail}`);
  await page.select("form label:nth-last-of-type(1) select", "hex");
  await until("hex", async () => /000000 {2}7b 22 70 61 67 65/.test(await page.$eval(".detail pre:last-of-type", (p) => p.innerText)));
  await page.select("form label:nth-last-of-type(1) select", "text");
  await until("text", async () => (await page.$eval(".detail", (d) => d.innerText)).includes('{"page":'));
  const time = new Date(Date.now() - 5000 - new Date().getTimezoneOffset() * 60000).toISOString().slice(0, 19);
  await open(`records?topic=orders&from=time&time=${time}&limit=20`, "Records");
  await until("records from a time on", async () => (await page.$$(".record")).length === 20);
  check((await page.$eval(".record .when", (w) => w.innerText)) >= time.replace("T", " "), "none is older");
  await open("records?topic=returns", "Records");
  await until("the empty state", async () => (await text()).includes("There are no records there."));
});

await test("groups with their lag and members", async () => {
  await open("groups", "Consumer groups");
  const groups = await until("three groups", async () => { const g = await rows("Consumer groups"); return g.length === 3 && g; });
  check(groups.find((g) => g[0] === "reports")[1] === "Empty" && groups.find((g) => g[0] === "billing")[1] === "Stable", `the groups: ${JSON.stringify(groups)}`);
  await open("group?name=shipping", "shipping");
  check((await rows("Lag of shipping")).length === 6 && (await rows("Members of shipping")).length === 1, "six partitions and a member");
});

await test("offsets are reset after a preview, and not while there are members", async () => {
  await open("group?name=billing", "billing");
  await click("Reset offsets");
  await click("Preview", "dialog");
  await until("the preview", async () => (await rows("Preview")).length === 6);
  await click("Set 6 offsets", "dialog");
  await until("the refusal", () => page.$$eval("dialog .alert", (a) => a.some((x) => /stop its consumers first|changed|look again/.test(x.innerText))));
  await click("Cancel", "dialog");
  await open("group?name=reports", "reports");
  await click("Reset offsets");
  await fill("to", "offset");
  await fill("value", "7");
  await click("Preview", "dialog");
  const seen = await until("the preview", async () => { const p = await rows("Preview"); return p.length === 6 && p; });
  check(seen.every((r) => r[2] === "7"), `the preview: ${JSON.stringify(seen)}`);
  await accessible("the preview");
  await picture("console-reset");
  await click("Set 6 offsets", "dialog");
  await dialogGone();
  await until("the offsets", async () => (await rows("Lag of reports")).every((r) => r[2] === "7"));
});

await test("an open transaction is seen, and the other pages show what they should", async () => {
  await open("transactions", "Transactions");
  await until("the open one", async () => (await rows("Transactions")).some((r) => r[0] === "refunds" && r[1] === "Ongoing" && /payments-/.test(r[6])));
  await open("access", "Access");
  check((await text()).includes("Rights are off"), "rights are off");
  await open("raft", "Raft");
  await until("all replicas of groups", async () => (await rows("Replicas of groups")).filter((r) => r[2] === "leader").length > 10);
  await open("storage", "Storage");
  await until("the logs", async () => ((await text()).match(/all synced|not synced yet/g) || []).length === 3);
  await page.click("summary");
  await until("the files", async () => (await rows("Files of broker 1")).some((r) => /\.wal$/.test(r[0])));
});

await test("it goes by the keyboard alone", async () => {
  await page.goto("about:blank");
  await open("", "Cluster");
  await page.keyboard.press("Tab");
  check(await page.evaluate(() => document.activeElement.className === "skip"), "the first is the link to the content");
  for (let i = 0; i < 3; i++) await page.keyboard.press("Tab");
  check(await page.evaluate(() => document.activeElement.innerText === "Topics"), "the fourth is Topics");
  await page.keyboard.press("Enter");
  await until("the topics", () => page.$eval("h1", (x) => x.innerText === "Topics"));
  await page.focus("main button.primary");
  await page.keyboard.press("Enter");
  await page.waitForSelector("dialog[open]");
  await page.keyboard.press("Escape");
  await until("the end of the dialog", async () => !(await page.$("dialog")));
});

for (const scheme of ["light", "dark"]) {
  await test(`every page can be used by everybody (axe), ${scheme}`, async () => {
    await look(scheme);
    for (const [hash, heading] of everyPage) {
      await open(hash, heading);
      if (hash.startsWith("records")) await page.click(".record .line");
      await accessible(hash || "cluster");
    }
  });
}

await test("nothing is wider than a phone", async () => {
  await look("light", 390, 844);
  for (const [hash, heading] of everyPage) {
    await open(hash, heading);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth);
    check(wide <= 0, `${hash || "cluster"} is ${wide} px too wide`);
    await accessible(hash || "cluster");
  }
  await look("light");
});

if (setup.pictures) {
  for (const scheme of ["light", "dark"]) {
    await look(scheme);
    for (const [hash, heading] of everyPage) {
      await open(hash, heading);
      if (hash.startsWith("records")) await page.click(".record .line");
      await new Promise((r) => setTimeout(r, 500));
      await picture(`console-${heading.toLowerCase().replace(/\W+/g, "-") === "orders" && hash.includes("tab") ? "settings" : hash.split("?")[0] || "cluster"}-${scheme}`);
    }
  }
  await look("light", 390, 844);
  for (const [hash, heading] of [["", "Cluster"], ["groups", "Consumer groups"], ["records?topic=orders", "Records"]]) {
    await open(hash, heading);
    await picture(`console-${hash.split("?")[0] || "cluster"}-phone`);
  }
  await look("light");
}

await broker(2, "kill");
await test("a broker that is down is seen, and what is left is served", async () => {
  await open("", "Cluster");
  await until("the verdict", async () => { const t = await text(); return t.includes("Everything is served, with less in reserve") && t.includes("Broker 2 is not connected"); }, 30);
  await until("the partitions", async () => (await rows("Partitions that need attention")).length > 5);
  check((await rows("Brokers")).find((r) => r[0].startsWith("2"))[1] === "not connected", "broker 2 is not connected");
  await accessible("the cluster without a broker");
  await picture("console-down-light");
  await look("dark");
  await picture("console-down-dark");
  await look("light", 390, 844);
  await picture("console-down-phone");
  await look("light");
  await open("topic?name=orders", "orders");
  await until("who isn't in sync", async () => (await page.$$(".replica.out")).length === 6);
  await open("records?topic=orders&limit=20", "Records");
  await until("the records", async () => (await page.$$(".record")).length === 20);
  await open("groups", "Consumer groups");
  await until("the groups", async () => (await rows("Consumer groups")).filter((g) => g[3] !== "unknown").length === 3, 40);
  for (const [hash, heading] of everyPage) await open(hash, heading);
});

await broker(2, "start");
await test("it heals before one's eyes", async () => {
  await open("", "Cluster");
  await until("all is well", async () => (await text()).includes("All is well"), 60);
});

await test("the broker that serves the page goes: what is shown says how old it is", async () => {
  url = setup.urls[2];
  await open("", "Cluster");
  await until("the brokers", async () => (await rows("Brokers")).length === 3);
  await broker(3, "kill");
  await until("the error", async () => /doesn't answer.*What you see is of \d\d:\d\d:\d\d/s.test(await text()), 30);
  await picture("console-error-light");
  await broker(3, "start");
  await until("all is well", async () => { const t = await text(); return t.includes("All is well") && !t.includes("doesn't answer"); }, 60);
});

await test("no page has an error, breaks the policy or asks anybody else", () => check(!troubles.length, [...new Set(troubles)].join("; ")));

await browser.close();
console.log(failures ? `${failures} failed` : "all is well");
process.exit(failures ? 1 : 0);
