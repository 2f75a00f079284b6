// SPDX-License-Identifier: Apache-2.0
import { h, number, bytes, time } from "./dom.js";
import { title as head, section, table, alert, bar, tile } from "./parts.js";
import { ask } from "./api.js";

export const title = "Storage";

export function load(_query, signal) {
  return ask("storage", {}, signal);
}

export function draw(d, { again }) {
  return [head("Storage"), d.brokers.map((b) => section(`Broker ${b.id}`, b.page ? log(b, again) : alert(b.error || "It doesn't answer.")))];
}

function log(b, again) {
  const p = b.page, s = b.self, used = s ? 1 - s.diskFree / s.diskSize : 0;
  const files = [...p.files].sort((x, y) => (x.name < y.name ? 1 : -1));
  return [
    h("div.tiles", {},
      tile("Log segments", number(p.segments), `${number(p.free)} more ready, ${number(p.recycled)} used again`),
      tile("Log files", bytes(p.files.reduce((n, f) => n + f.size, 0)), `${number(p.files.length)} files`),
      tile("Ever written", bytes(p.end), p.end > p.durable ? `${bytes(p.end - p.durable)} not synced yet` : "all synced"),
      s ? h("div.tile", {}, h("div.name", {}, "Disk"), h("div.value", {}, bytes(s.diskFree)), h("div.beside", {}, `free of ${bytes(s.diskSize)}`), bar(used, `${Math.round(used * 100)} % of the disk used`)) : null),
    h("details", {}, h("summary", {}, `Files in ${p.folder}`),
      table(`Files of broker ${b.id}`, [
        { name: "File", by: (f) => f.name, of: (f) => h("code", {}, f.name) },
        { name: "Size", num: true, by: (f) => f.size, of: (f) => bytes(f.size) },
        { name: "Last written", num: true, by: (f) => f.modified, of: (f) => time(f.modified) },
      ], files, { key: (f) => f.name, again, limit: 200 })),
  ];
}
