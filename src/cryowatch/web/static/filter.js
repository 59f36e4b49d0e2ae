// Which micrographs the gallery shows, and in which order. It is kept in the address.

import { el } from "./dom.js";

const SORTS = [
  ["time", "Newest"], ["defocus", "Defocus"], ["resolution", "Resolution"], ["astigmatism", "Astigmatism"], ["fit_quality", "Fit quality"],
  ["phase_shift", "Phase shift"], ["motion_total", "Motion"], ["name", "Name"],
];
const RANGES = [["defocus", "Defocus", "µm", 0.1], ["resolution", "Resolution", "Å", 0.1], ["astigmatism", "Astigmatism", "nm", 1], ["motion_total", "Motion", "Å", 1]];
const PAUSE = 250;
const KEPT = /^(sort|order|search|enabled|fit|pictured|(min|max)_)/;

export class Filter {
  constructor(view, changed, count) {
    this.view = view;
    this.changed = changed;
    const address = new URLSearchParams(location.search);
    this.values = Object.fromEntries([...address].filter(([name]) => KEPT.test(name)));
    this.search = el("input", { type: "search", placeholder: "Search names", "aria-label": "Search names", value: this.values.search ?? "", oninput: () => this.later("search", this.search.value) });
    const sort = el("select", { "aria-label": "Sort by", onchange: () => this.sort(sort.value) }, ...SORTS.map(([value, text]) => el("option", { value, text, selected: value === (this.values.sort ?? "time") })));
    this.way = el("button", { type: "button", onclick: () => this.turn() });
    this.ranges = RANGES.map(([field, label, unit, step]) => el("fieldset", {}, el("legend", { text: label }), this.bound("min", field, step, "from"), "–", this.bound("max", field, step, "to"), el("span", { class: "muted", text: unit })));
    const enabled = el("select", { "aria-label": "Discarded", onchange: () => this.set("enabled", enabled.value) },
      ...[["", "All"], ["1", "Kept"], ["0", "Discarded"]].map(([value, text]) => el("option", { value, text, selected: value === (this.values.enabled ?? "") })));
    const fit = el("select", { "aria-label": "Fit", onchange: () => this.set("fit", fit.value) },
      ...[["", "Any fit"], ["1", "With a fit"], ["0", "Without a fit"]].map(([value, text]) => el("option", { value, text, selected: value === (this.values.fit ?? "") })));
    this.clear = el("button", { class: "quiet", type: "button", text: "Clear", hidden: true, onclick: () => this.reset() });
    this.details = el("details", { class: "ranges", open: Boolean(this.values.fit) || RANGES.some(([f]) => this.values[`min_${f}`] || this.values[`max_${f}`]) }, el("summary", { text: "Filter" }), el("div", {}, ...this.ranges, fit, enabled));
    this.node = el("div", { class: "filter" }, this.search, el("label", {}, "Sort", sort), this.way, this.details, this.clear, count);
    this.sorted = sort;
    this.showWay();
  }

  bound(kind, field, step, placeholder) {
    const name = `${kind}_${field}`;
    const input = el("input", { type: "number", step: String(step), placeholder, "aria-label": `${field} ${placeholder}`, value: this.values[name] ?? "", name, oninput: () => this.later(name, input.value) });
    return input;
  }

  query() {
    return { ...this.values };
  }

  active() {
    return Object.keys(this.values).some((name) => !["sort", "order"].includes(name));
  }

  newestFirst() {
    return (this.values.sort ?? "time") === "time" && this.values.order !== "asc";
  }

  focus() {
    this.search.focus();
    this.search.select();
  }

  later(name, value) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.set(name, value), PAUSE);
  }

  sort(field) {
    delete this.values.order;
    this.set("sort", field === "time" ? "" : field);
  }

  turn() {
    this.set("order", this.descending() ? "asc" : "desc");
  }

  descending() {
    return (this.values.order ?? (this.values.sort === "name" ? "asc" : "desc")) === "desc";
  }

  showWay() {
    const down = this.descending();
    this.way.textContent = down ? "↓" : "↑";
    this.way.title = down ? "Largest or newest first" : "Smallest or oldest first";
    this.way.setAttribute("aria-label", this.way.title);
    this.clear.hidden = !this.active();
  }

  reset() {
    this.values = Object.fromEntries(Object.entries(this.values).filter(([name]) => ["sort", "order"].includes(name)));
    for (const input of this.node.querySelectorAll("input")) input.value = "";
    for (const select of this.node.querySelectorAll(".ranges select")) select.value = "";
    this.apply();
  }

  set(name, value) {
    if (value === "") delete this.values[name];
    else this.values[name] = value;
    this.apply();
  }

  apply() {
    this.showWay();
    const address = new URLSearchParams(location.search);
    for (const name of [...address.keys()]) if (KEPT.test(name)) address.delete(name);
    for (const [name, value] of Object.entries(this.values)) address.set(name, value);
    history.replaceState(null, "", `${location.pathname}${address.size ? `?${address}` : ""}${location.hash}`);
    scrollTo({ top: 0 });
    this.changed();
  }
}
