// What a reader can choose on a dashboard: output, time, limits.

import { el } from "./dom.js";
import { moment } from "./format.js";

const WINDOWS = [["1h", "1 h"], ["6h", "6 h"], ["24h", "24 h"], [null, "All"]];
const NARROW = matchMedia("(max-width: 640px)");
const SELECTABLE = ["ctf", "micrographs"];

export class Toolbar {
  constructor(view, place) {
    this.view = view;
    this.place = place;
    this.place.addEventListener("submit", (event) => event.preventDefault());
    view.addEventListener("change", () => this.draw());
    this.draw();
  }

  draw() {
    if (this.place.contains(document.activeElement) && document.activeElement.type === "number") return;
    this.place.replaceChildren(...[this.outputs(), this.times(), this.limits()].filter(Boolean));
    this.place.hidden = false;
  }

  outputs() {
    const outputs = (this.view.session?.outputs ?? []).filter((o) => SELECTABLE.includes(o.kind) && o.count);
    if (outputs.length < 2 || this.view.ofHost) return null;
    const { leading } = this.view.session;
    const several = leading.length > 1;
    const chosen = this.view.output === null && several ? null : Number(this.view.output ?? leading[0]);
    const select = el("select", { id: "output", onchange: (event) => this.view.set({ output: event.target.value || null }) });
    if (several) select.append(el("option", { value: "", text: `All ${leading.length} grids`, selected: chosen === null }));
    for (const output of outputs) {
      select.append(el("option", { value: output.id, text: `${output.run_label} · ${output.name}`, selected: output.id === chosen }));
    }
    return el("label", {}, "Output", select);
  }

  times() {
    if (this.view.dashboard === "gallery") return null;
    const zoomed = this.view.from !== null || this.view.to !== null;
    const group = el("div", { class: "group", role: "group", "aria-label": "Time" });
    for (const [value, label] of WINDOWS) {
      if (this.view.ofHost && value === null) continue;
      const pressed = !zoomed && (this.view.window ?? null) === value;
      group.append(el("button", { type: "button", text: label, "aria-pressed": String(pressed), onclick: () => this.view.set({ window: value, from: null, to: null }) }));
    }
    if (!zoomed) return group;
    const text = `${moment(this.view.from).slice(5, 16)} – ${moment(this.view.to).slice(5, 16)}`;
    const reset = el("button", { type: "button", "aria-pressed": "true", title: "Show all again", text: `${text}  ✕`, onclick: () => this.view.set({ from: null, to: null }) });
    return el("div", { class: "row" }, group, reset);
  }

  limits() {
    const { variables } = this.view.definition;
    if (this.view.dashboard === "gallery" || !variables.length) return null;
    const inputs = variables.map((variable) => {
      const value = this.view.limits[variable.name] ?? variable.default;
      const input = el("input", {
        type: "number", value: String(value), min: String(variable.min), max: String(variable.max), step: String(variable.step), name: variable.name,
        onchange: (event) => this.limit(variable, event.target),
      });
      return el("label", {}, variable.label, el("span", { class: "row" }, input, ` ${variable.unit}`));
    });
    return NARROW.matches ? el("details", { class: "limits" }, el("summary", { text: "Limits" }), ...inputs) : el("div", { class: "limits" }, ...inputs);
  }

  limit(variable, input) {
    const value = Number(input.value);
    const limits = { ...this.view.limits };
    if (input.value === "" || !Number.isFinite(value) || value === variable.default) {
      delete limits[variable.name];
      input.value = String(variable.default);
    } else {
      limits[variable.name] = String(Math.min(Math.max(value, variable.min), variable.max));
      input.value = limits[variable.name];
    }
    this.view.set({ limits });
  }
}
