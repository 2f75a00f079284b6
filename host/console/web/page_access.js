// SPDX-License-Identifier: Apache-2.0
import { h, number } from "./dom.js";
import { title as head, section, state, table, alert, empty } from "./parts.js";
import { ask } from "./api.js";

export const title = "Access";

export function load(_query, signal) {
  return ask("access", {}, signal);
}

export function draw(d, { again }) {
  return [
    head("Access"),
    part("Users", d.users, () => table("Users", [
      { name: "User", by: (u) => u.name, of: (u) => h("code", {}, u.name) },
      { name: "Logs in by", of: (u) => u.mechanisms.join(", ") },
    ], d.users.list, { key: (u) => u.name, again, none: "There are no users: nobody logs in with a password." })),
    part("Rules", d.rules, () => table("Rules", [
      { name: "Principal", by: (r) => r.principal, of: (r) => h("code", {}, r.principal) },
      { name: "", of: (r) => (r.allows ? state("good", "may") : state("bad", "may not")) },
      { name: "Operation", by: (r) => r.operation, of: (r) => r.operation },
      { name: "Resource", by: (r) => r.resource + r.name, of: (r) => [r.resource.toLowerCase(), " ", h("code", {}, r.name + (r.pattern === "PREFIXED" ? "…" : ""))] },
      { name: "From", by: (r) => r.host, of: (r) => (r.host === "*" ? "anywhere" : h("code", {}, r.host)) },
    ], d.rules.list, { key: (r) => Object.values(r).join(), again, none: "There are no rules: only super users may do anything." })),
    part("Quotas", d.quotas, () => table("Quotas", [
      { name: "For", by: (q) => q.entity, of: (q) => q.entity },
      { name: "Quota", by: (q) => q.key, of: (q) => h("code", {}, q.key) },
      { name: "Value", num: true, by: (q) => q.value, of: (q) => number(q.value) },
    ], d.quotas.list, { key: (q) => q.entity + q.key, again, none: "There are no quotas." })),
  ];
}

function part(name, p, list) {
  if (p.error && p.error.startsWith("SECURITY_DISABLED")) return section(name, empty("Rights are off: every client may do everything.", "docs/SECURITY.md says how to turn them on."));
  return section(name, p.error ? alert(p.error) : list());
}
