// The gallery: micrograph, power spectrum, shift plot and numbers of each, in a list that only holds what is in sight.

import { get, sessionPath } from "./api.js";
import { el, named } from "./dom.js";
import { open } from "./enlarge.js";
import { Filter } from "./filter.js";
import { moment, number, quantity } from "./format.js";
import { KINDS, picture } from "./picture.js";
import { shortcuts } from "./keys.js";

const PAGE = 60;
const PAGES_KEPT = 30;
const GAP = 12;
const FAST = 2.5; // px a millisecond: who scrolls faster does not look at pictures yet
const PATIENCE = 120;
const AGAIN = 2000;

export class Gallery {
  constructor(described, view, body) {
    this.described = described;
    this.view = view;
    this.pages = new Map();
    this.total = 0;
    this.shift = 0;
    this.selected = null;
    this.nodes = new Map();
    this.count = el("span", { class: "muted", role: "status" });
    this.pill = el("button", { class: "arrived", type: "button", hidden: true, onclick: () => this.toTop() });
    this.list = el("div", { class: "list", role: "list" });
    this.empty = el("div", { class: "empty", hidden: true });
    this.filter = new Filter(view, this.count);
    body.append(this.filter.node, this.pill, this.empty, this.list);
    view.addEventListener("change", () => this.chosen());
    this.scrolled = { top: scrollY, time: 0 };
    addEventListener("scroll", () => this.scroll(), { passive: true });
    this.resizer = new ResizeObserver(() => this.layout(true));
    this.resizer.observe(this.list);
    shortcuts(this);
  }

  // The list of another choice begins at its top.
  chosen() {
    if (this.view.address === this.asking) return;
    scrollTo({ top: 0 });
    this.selected = null;
    this.renew();
  }

  // Called when the session changed: at the top the new ones appear, further down they wait behind a button.
  async update() {
    if (!this.loaded) {
      await this.renew();
      return;
    }
    try {
      const { total } = await this.ask(0, 0);
      if (this.atTop()) this.renew(true);
      else this.grown(total);
    } catch {
      this.later(() => this.update());
    }
  }

  // Of the time that was looked at first: the last hour, asked for page by page, would be another one for each.
  ask(offset, limit) {
    return get(sessionPath(this.view.id, "micrographs"), { ...this.selection, offset, limit });
  }

  // After a failure: the newest of what was to be done is tried again.
  later(what) {
    clearTimeout(this.again);
    this.again = setTimeout(what, AGAIN);
  }

  // Notes how many came before the first one shown; returns whether that is news.
  grown(total) {
    const arrived = this.filter.newestFirst() ? total - this.total : 0;
    if (arrived <= this.shift) return false;
    this.shift = arrived;
    this.pill.hidden = false;
    this.pill.textContent = `${number(this.shift)} new`;
    return true;
  }

  atTop() {
    return this.list.getBoundingClientRect().top > -80;
  }

  toTop() {
    scrollTo({ top: 0 });
    this.renew();
  }

  async renew(keep = false) {
    const asked = (this.asked = Symbol("asked"));
    this.filter.show();
    this.selection = this.view.selection();
    this.asking = this.view.address;
    let answer;
    try {
      this.known ??= (await get("/api/fields")).micrograph;
      answer = await this.ask(0, PAGE);
    } catch (error) {
      if (asked !== this.asked) return;
      this.count.textContent = error.message;
      this.loaded = false; // what is shown may be what another filter let through
      this.later(() => this.renew(keep));
      return;
    }
    if (asked !== this.asked) return;
    clearTimeout(this.again);
    this.loaded = true;
    this.pages.clear();
    this.pages.set(0, answer.micrographs);
    this.total = answer.total;
    this.shift = 0;
    this.pill.hidden = true;
    this.count.textContent = this.total === 0 ? "" : this.filter.active() ? `${number(this.total)} match` : `${number(this.total)} ${this.total === 1 ? "micrograph" : "micrographs"}`;
    this.explain();
    if (!keep) this.selected = null;
    this.layout(true);
  }

  // Why there is nothing to see, and what brings something back.
  explain() {
    this.empty.hidden = this.total > 0;
    if (this.total > 0) return;
    const conditions = this.filter.conditions();
    const narrowed = this.view.narrowed();
    const asked = [...conditions, ...(narrowed ? ["of the chosen time"] : [])].join(" · ");
    this.empty.replaceChildren(
      el("h2", { text: conditions.length ? "No micrograph matches" : "No micrograph in the chosen time" }),
      el("p", { text: conditions.length ? asked : "The session has micrographs of other times." }),
      el("div", { class: "row" },
        conditions.length > 0 && el("button", { type: "button", text: "Remove the filters", onclick: () => this.filter.reset() }),
        narrowed && el("button", { type: "button", text: "Show all times", onclick: () => this.view.set({ from: null, to: null, window: null }) })));
  }

  at(index) {
    return this.pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  }

  async load(page) {
    if (this.pages.has(page)) return;
    const coming = [];
    this.pages.set(page, coming);
    const answer = await this.ask(page * PAGE + this.shift, PAGE).catch(() => null);
    if (this.pages.get(page) !== coming) return; // renewed, or far away by now
    if (answer === null) {
      this.pages.delete(page);
      setTimeout(() => this.layout(), AGAIN);
      return;
    }
    if (this.grown(answer.total)) { // what was asked for stands further down by now
      this.pages.delete(page);
      this.load(page);
      return;
    }
    this.pages.set(page, answer.micrographs);
    for (const old of this.pages.keys()) {
      if (this.pages.size <= PAGES_KEPT) break;
      if (Math.abs(old - page) > PAGES_KEPT / 2) this.pages.delete(old);
    }
    this.layout();
  }

  measure() {
    const width = this.list.clientWidth;
    this.columns = Math.max(1, Math.floor((width + GAP) / (560 + GAP)));
    this.cell = (width - (this.columns - 1) * GAP) / this.columns;
    this.row = Math.round((this.cell - 34) * 0.27) + (this.cell < 480 ? 104 : 86) + GAP;
    this.list.style.height = `${Math.ceil(this.total / this.columns) * this.row}px`;
  }

  layout(anew = false) {
    if (!this.loaded) return;
    if (anew) this.measure();
    const top = -this.list.getBoundingClientRect().top;
    const first = Math.max(0, (Math.floor(top / this.row) - 2) * this.columns);
    const last = Math.min(this.total, (Math.ceil((top + innerHeight) / this.row) + 2) * this.columns);
    for (let page = Math.floor(first / PAGE); page * PAGE < last; page += 1) this.load(page);
    const wanted = new Map();
    const limits = JSON.stringify(this.view.variables()); // cards mark what is outside of them
    for (let i = first; i < last; i += 1) {
      const micrograph = this.at(i);
      if (micrograph) wanted.set(`${micrograph.id}.${micrograph.version} ${limits}`, [i, micrograph]);
    }
    for (const [key, node] of this.nodes) {
      if (!wanted.has(key)) {
        for (const image of node.querySelectorAll("img")) image.removeAttribute("src");
        node.remove();
        this.nodes.delete(key);
      }
    }
    for (const [key, [i, micrograph]] of wanted) {
      let node = this.nodes.get(key);
      if (!node) {
        node = this.card(micrograph);
        this.nodes.set(key, node);
        this.list.append(node);
      }
      if (!this.fast) this.fill(node, micrograph);
      node.dataset.index = i;
      node.style.transform = `translate(${(i % this.columns) * (this.cell + GAP)}px, ${Math.floor(i / this.columns) * this.row}px)`;
      node.style.width = `${this.cell}px`;
      node.style.height = `${this.row - GAP}px`;
      node.classList.toggle("selected", i === this.selected);
    }
  }

  // Cards come at once; their pictures are only asked for where somebody may look at them.
  scroll() {
    const { top, time } = this.scrolled;
    const now = performance.now();
    this.fast = Math.abs(scrollY - top) > FAST * (now - time);
    this.scrolled = { top: scrollY, time: now };
    clearTimeout(this.rest);
    if (this.fast) this.rest = setTimeout(() => { this.fast = false; this.layout(); }, PATIENCE);
    this.layout();
  }

  card(m) {
    const values = this.described.fields.filter((f) => f.name !== "time" && m[f.name] !== null).map((f) => {
      const { per_shown: per } = this.known[f.name];
      const limit = this.described.limits.map((l) => this.view.bounds(l)).find((l) => l.field === f.name);
      const value = m[f.name] / per;
      const outside = limit && ((limit.high !== null && value > limit.high) || (limit.low !== null && value < limit.low));
      return el("span", { class: outside ? "outside" : "", title: outside ? "outside the limits" : f.label }, `${f.label} `, el("b", { text: quantity(value, f.unit, f.decimals) }));
    });
    if (m.defocus === null) values.unshift(el("span", { class: "muted", text: this.view.withoutCtf(m) }));
    else if (m.resolution === null) values.push(el("span", { class: "outside" }, "Resolution ", el("b", { text: "no fit" })));
    return el("div", { class: `card ${m.enabled ? "" : "discarded"}`, role: "listitem", tabIndex: 0, onclick: () => this.choose(m.id), onkeydown: (e) => { if (e.key === "Enter") this.choose(m.id); } },
      el("div", { class: "pictures" }),
      el("div", { class: "title" }, named("b", m.name), m.enabled ? null : el("span", { class: "pill warn", text: "discarded" }), el("time", { text: moment(m.time) })),
      el("div", { class: "values" }, ...values));
  }

  fill(node, m) {
    const place = node.querySelector(".pictures");
    if (place.childElementCount) return;
    place.append(...KINDS.map(([kind, label]) => picture(m.images[kind], label, kind === "micrograph" ? 512 : 256)));
  }

  choose(id) {
    open(this.view, id);
  }

  // Moves the selection by a number of cards and keeps it in sight.
  move(by) {
    const next = Math.min(this.total - 1, Math.max(0, (this.selected ?? -1) + by));
    this.selected = next;
    const y = Math.floor(next / this.columns) * this.row;
    const top = -this.list.getBoundingClientRect().top;
    const header = 140;
    if (y < top + header) scrollBy({ top: y - top - header });
    else if (y + this.row > top + innerHeight) scrollBy({ top: y + this.row - top - innerHeight + GAP });
    this.layout();
  }

  enlarge() {
    const micrograph = this.selected === null ? null : this.at(this.selected);
    if (micrograph) this.choose(micrograph.id);
  }
}
