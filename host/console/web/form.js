// SPDX-License-Identifier: Apache-2.0
// Dialogs that ask for what is to be changed.

import { h, update } from "./dom.js";
import { alert } from "./parts.js";

export function field(label, input, help) {
  const id = `f${++count}`;
  input.id = id;
  if (help) input.setAttribute("aria-describedby", `${id}h`);
  return h("div.field", {}, h("label", { for: id }, label), input, help ? h("p.hint", { id: `${id}h` }, help) : null);
}
let count = 0;

export function input(name, value = "", more = {}) {
  return h("input", { name, value, autocomplete: "off", spellcheck: "false", ...more });
}

export function select(name, options, value, more = {}) {
  return h("select", { name, ...more }, options.map(([v, text]) => h("option", { value: v, selected: v === value }, text)));
}

/**
 * dialog asks for something. act gets what was filled in; what it throws is shown, and the dialog stays.
 * The body may be a function of refresh, for what changes while it is open.
 */
export function dialog(title, body, verb, act, { danger = false } = {}) {
  const trouble = h("div", {});
  const go = h(`button.${danger ? "danger" : "primary"}`, { type: "submit" }, verb);
  const box = h("dialog", { "aria-label": title });
  const form = h("form", { method: "dialog" },
    h("h2", {}, title), body, trouble,
    h("div.buttons", {}, h("button", { type: "button", onclick: () => box.close() }, "Cancel"), go));
  form.onsubmit = async (e) => {
    e.preventDefault();
    go.disabled = true;
    update(trouble);
    try {
      await act(Object.fromEntries(new FormData(form)), form);
      box.close();
    } catch (error) {
      update(trouble, alert(error.message || null));
    } finally {
      go.disabled = false;
    }
  };
  box.append(form);
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  box.showModal();
  return { box, go };
}
