// SPDX-License-Identifier: Apache-2.0
// Lines over the last hour.

import { h, age, clock } from "./dom.js";

const W = 600, H = 150, left = 4, right = 4, top = 8, bottom = 4;

/** merge puts samples of several brokers into one series: slots of a step, each with what combine makes of the values there. */
export function merge(brokers, field, combine, now, step = 10000, slots = 360) {
  const out = new Array(slots).fill(null).map(() => []);
  for (const b of brokers) {
    const self = b.self;
    if (!self || !self.history) continue;
    self.history.forEach((s, i) => {
      const at = self.historyEnd - (self.history.length - 1 - i) * self.historyStep;
      const slot = slots - 1 - Math.floor((now - at) / step);
      if (slot >= 0 && slot < slots && s[field] >= 0) out[slot].push(s[field]);
    });
  }
  return out.map((v) => (v.length ? combine(v) : null));
}

/** slotsOf is how much of the hour is shown: as much as the brokers have lived, five minutes at least. */
export function slotsOf(brokers, step = 10000) {
  const most = Math.max(0, ...brokers.map((b) => (b.self && b.self.history ? b.self.history.length : 0)));
  return [30, 60, 90, 180].find((n) => n >= most) || 3600000 / step;
}

export const sum = (v) => v.reduce((a, b) => a + b, 0);
export const max = (v) => Math.max(...v);

/** last is the newest value that there is, among the newest few. */
export function last(series) {
  for (const v of series.slice(-4).reverse()) if (v !== null) return v;
  return null;
}

/** scale is a round number that is no less than the highest value; with a thousand of 1024 as people count bytes. */
function scale(top, thousand) {
  const unit = thousand ** Math.max(0, Math.floor(Math.log(top || 1) / Math.log(thousand)));
  const size = unit * 10 ** Math.floor(Math.log10((top || 1) / unit));
  return [1, 2, 2.5, 5, 10].map((f) => f * size).find((v) => v >= top) || thousand * unit;
}

function path(series, most) {
  let d = "", gap = 0, open = false;
  series.forEach((v, i) => {
    if (v === null) {
      if (++gap > 2) open = false; // a slot may stay empty when clocks drift
      return;
    }
    gap = 0;
    const x = left + (i / (series.length - 1)) * (W - left - right), y = H - bottom - (v / most) * (H - top - bottom);
    d += `${open ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
    open = true;
  });
  return d;
}

/** chart draws lines: [{name, series, kind}], kind being a class. */
export function chart(name, lines, format, now, thousand = 1000) {
  const values = lines.flatMap((l) => l.series).filter((v) => v !== null);
  const most = scale(Math.max(...values, 0), thousand);
  const span = lines[0].series.length * 10000;
  const said = lines.map((l) => `${l.name} now ${format(last(l.series))}`).join(", ");
  return h("figure.chart", {},
    h("figcaption", {}, h("span.name", {}, name), h("span.keys", {}, lines.map((l) => h(`span.key.${l.kind}`, {}, l.name, " ", h("strong", {}, format(last(l.series))))))),
    h("div.plot", {},
      h("svg", { viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "none", role: "img", "aria-label": `${name} over the last ${age(span)}: ${said}` },
        [0, 0.5, 1].map((f) => h("line.grid", { x1: 0, x2: W, y1: H - bottom - f * (H - top - bottom), y2: H - bottom - f * (H - top - bottom), "vector-effect": "non-scaling-stroke" })),
        lines.map((l) => h(`path.${l.kind}`, { d: path(l.series, most), "vector-effect": "non-scaling-stroke" }))),
      h("span.top", { "aria-hidden": "true" }, format(most)),
      values.length < 2 ? h("span.none", {}, "The first values come within 20 seconds.") : null),
    h("div.axis", { "aria-hidden": "true" }, [1, 0.5, 0].map((f) => h("span", {}, clock(now - f * span).slice(0, 5)))));
}

/** spark is a small line without words. */
export function spark(series) {
  const most = Math.max(...series.filter((v) => v !== null), 1e-9);
  return h("svg.spark", { viewBox: `0 0 ${W} ${H}`, preserveAspectRatio: "none", "aria-hidden": "true" }, h("path", { d: path(series, most), "vector-effect": "non-scaling-stroke" }));
}
