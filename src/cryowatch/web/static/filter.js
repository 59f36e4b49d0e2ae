// Which micrographs the gallery shows, and in which order. It is part of the view, which keeps it in the address.

import { el } from "./dom.js";

const SORTS = [
  ["time", "Newest"], ["defocus", "Defocus"], ["resolution", "Resolution"], ["astigmatism", "Astigmatism"], ["fit_quality", "Fit quality"],
  ["phase_shift", "Phase shift"], ["motion_total", "Motion"], ["name", "Name"],
];
const RANGES = [["defocus", "Defocus", "µm", 0.1], ["resolution", "Resolution", "Å", 0.1], ["astigmatism", "Astigmatism", "nm", 1], ["motion_total", "Motion", "Å", 1]];
const JUDGED = [
  ["outside", "1", "Outside limits", "A value breaks a limit, or is missing because there is no fit"],
  ["fit", "0", "No fit", "No CTF could be fitted"],
  ["good", "0", "Not good", "What does not count as good"],
];
const SELECTS = [
  ["fit", "Fit", [["", "Any fit"], ["1", "With a fit"], ["0", "Without a fit"]]],
  ["enabled", "Discarded", [["", "All"], ["1", "Kept"], ["0", "Discarded"]]],
];
const PAUSE = 250;

export class Filter {
  constructor(view, count) {
    this.view = view;
    this.timers = new Map();
    this.search = this.field("search", { type: "search", placeholder: "Search names", "aria-label": "Search names" });
    this.sorted = el("select", { "aria-label": "Sort by", onchange: () => this.sort(this.sorted.value) }, ...SORTS.map(([value, text]) => el("option", { value, text })));
    this.way = el("button", { type: "button", onclick: () => this.turn() });
    this.judged = JUDGED.map(([name, value, text, title]) => el("button", { type: "button", text, title, onclick: () => this.set(name, this.values[name] === value ? "" : value) }));
    this.ranges = RANGES.map(([field, label, unit, step]) => el("fieldset", {}, el("legend", { text: label }), this.bound("min", field, step, "from"), "–", this.bound("max", field, step, "to"), el("span", { class: "muted", text: unit })));
    this.selects = SELECTS.map(([name, label, options]) => el("select", { "aria-label": label, onchange: (event) => this.set(name, event.target.value) }, ...options.map(([value, text]) => el("option", { value, text }))));
    this.clear = el("button", { class: "quiet", type: "button", text: "Clear", hidden: true, onclick: () => this.reset() });
    this.details = el("details", { class: "ranges" }, el("summary", { text: "Filter" }), el("div", {}, ...this.ranges, ...this.selects));
    this.node = el("div", { class: "filter" }, this.search, el("label", {}, "Sort", this.sorted), this.way,
      el("div", { class: "group", role: "group", "aria-label": "Judged" }, ...this.judged), this.details, this.clear, count);
    this.details.open = Object.keys(this.values).some((name) => /^(min|max)_|^enabled$/.test(name)) || this.values.fit === "1";
    this.show();
  }

  get values() {
    return this.view.filter;
  }

  bound(kind, field, step, placeholder) {
    return this.field(`${kind}_${field}`, { type: "number", step: String(step), placeholder, "aria-label": `${field} ${placeholder}` });
  }

  // What is typed counts after a moment without another key.
  field(name, properties) {
    const input = el("input", { ...properties, name, oninput: () => {
      clearTimeout(this.timers.get(name));
      this.timers.set(name, setTimeout(() => this.set(name, input.value, { typed: name }), PAUSE));
    } });
    return input;
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

  sort(field) {
    this.take({ ...this.values, order: "", sort: field === "time" ? "" : field });
  }

  turn() {
    this.set("order", this.descending() ? "asc" : "desc");
  }

  descending() {
    return (this.values.order ?? (this.values.sort === "name" ? "asc" : "desc")) === "desc";
  }

  // Every field holds what counts; one that somebody types into is left alone until something else counts for it.
  show() {
    const down = this.descending();
    this.way.textContent = down ? "↓" : "↑";
    this.way.title = down ? "Largest or newest first" : "Smallest or oldest first";
    this.way.setAttribute("aria-label", this.way.title);
    this.clear.hidden = !this.active();
    this.sorted.value = this.values.sort ?? "time";
    JUDGED.forEach(([name, value], i) => this.judged[i].setAttribute("aria-pressed", String(this.values[name] === value)));
    SELECTS.forEach(([name], i) => { this.selects[i].value = this.values[name] ?? ""; });
    for (const input of this.node.querySelectorAll("input[name]")) {
      const value = this.values[input.name] ?? "";
      if (input.dataset.shown === value) continue;
      input.dataset.shown = value;
      if (input.value !== value) input.value = value;
    }
  }

  // Each condition in words.
  conditions() {
    const { values } = this;
    const judged = JUDGED.filter(([name, value]) => values[name] === value).map(([, , text]) => text.toLowerCase());
    const ranges = RANGES.flatMap(([field, label, unit]) => [["min", "from"], ["max", "to"]].filter(([kind]) => values[`${kind}_${field}`]).map(([kind, word]) => `${label.toLowerCase()} ${word} ${values[`${kind}_${field}`]} ${unit}`));
    return [
      values.search && `“${values.search}” in the name`, ...judged, values.fit === "1" && "with a fit", ...ranges,
      { 0: "discarded", 1: "kept" }[values.enabled],
    ].filter(Boolean);
  }

  reset() {
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.take(Object.fromEntries(Object.entries(this.values).filter(([name]) => ["sort", "order"].includes(name))));
    for (const input of this.node.querySelectorAll("input[name]")) input.value = "";
  }

  set(name, value, step) {
    this.take({ ...this.values, [name]: value }, step);
  }

  take(values, step) {
    this.view.set({ filter: Object.fromEntries(Object.entries(values).filter(([, value]) => value !== "")) }, step);
  }
}
