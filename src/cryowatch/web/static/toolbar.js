// What a reader can choose on a dashboard: output, time, limits. It always says what is shown, whatever has the focus.

import { el } from "./dom.js";
import { Times } from "./times.js";

const NARROW = matchMedia("(max-width: 640px)");
const SELECTABLE = ["ctf", "micrographs"];

export class Toolbar {
  constructor(view, place) {
    this.view = view;
    this.place = place;
    this.place.addEventListener("submit", (event) => event.preventDefault());
    this.times = new Times(view);
    this.inputs = new Map();
    this.output = el("span", { class: "output" });
    this.place.append(...[this.output, this.times.node, this.limits()].filter(Boolean));
    view.addEventListener("change", () => this.draw());
    this.draw();
  }

  draw() {
    this.output.replaceChildren(...[this.outputs()].filter(Boolean));
    this.output.hidden = !this.output.childElementCount;
    this.times.update();
    for (const [variable, input] of this.inputs) this.show(variable, input);
    this.place.hidden = false;
  }

  outputs() {
    const outputs = (this.view.session?.outputs ?? []).filter((o) => SELECTABLE.includes(o.kind) && o.count);
    if (outputs.length < 2 || this.view.ofHost) return null;
    const { leading } = this.view.session;
    const several = leading.length > 1;
    const chosen = this.view.output === null && several ? null : Number(this.view.output ?? leading[0]);
    const select = el("select", { id: "output", onchange: (event) => this.choose(event.target.value) });
    if (several) select.append(el("option", { value: "", text: `All ${leading.length} grids`, selected: chosen === null }));
    for (const output of outputs) {
      select.append(el("option", { value: output.id, text: `${output.run_label} · ${output.name}`, selected: output.id === chosen }));
    }
    return el("label", {}, "Output", select);
  }

  choose(output) {
    this.view.set({ output: output || null });
    this.output.querySelector("select")?.focus();
  }

  limits() {
    const { variables } = this.view.definition;
    if (!variables.length) return null;
    const fields = variables.map((variable) => {
      const input = el("input", {
        type: "number", min: String(variable.min), max: String(variable.max), step: String(variable.step), name: variable.name,
        onchange: () => this.limit(variable, input),
      });
      this.inputs.set(variable, input);
      return el("label", {}, variable.label, el("span", { class: "row" }, input, ` ${variable.unit}`));
    });
    return NARROW.matches ? el("details", { class: "limits" }, el("summary", { text: "Limits" }), ...fields) : el("div", { class: "limits" }, ...fields);
  }

  // A field that somebody types into is left alone until its limit is another one.
  show(variable, input) {
    const value = String(this.view.limits[variable.name] ?? variable.default);
    if (input.dataset.shown === value) return;
    input.dataset.shown = value;
    input.value = value;
  }

  limit(variable, input) {
    const value = Number(input.value);
    const limits = { ...this.view.limits };
    if (input.value === "" || !Number.isFinite(value) || value === variable.default) delete limits[variable.name];
    else limits[variable.name] = String(Math.min(Math.max(value, variable.min), variable.max));
    delete input.dataset.shown;
    this.view.set({ limits });
  }
}
