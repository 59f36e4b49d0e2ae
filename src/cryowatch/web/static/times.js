// Which time is shown: the last hours, the last night or shift, or from one moment to another, as the reader's clock has it.

import { el } from "./dom.js";
import { clock, moment, zone } from "./format.js";

const HOURS = [["1h", "1 h"], ["6h", "6 h"], ["24h", "24 h"]];
const EVENING = 20;
const MORNING = 8;
const SHIFTS = [22, 14, 6]; // when they begin
const SHIFT = 8;

// The night that led to a moment's day.
export function night(time) {
  return { from: at(time, -1, EVENING), to: at(time, 0, MORNING) };
}

// The last shift that was over at a moment; with `during` the one at that moment.
export function shift(time, { during = false } = {}) {
  const begins = [0, -1, -2].flatMap((days) => SHIFTS.map((hour) => [days, hour]));
  const [days, hour] = begins.find(([d, h]) => at(time, d, during ? h : h + SHIFT) <= time);
  return { from: at(time, days, hour), to: at(time, days, hour + SHIFT) };
}

// An hour of the day that is so many days after a moment's, by the clock: days of a change of clocks are shorter or longer.
function at(time, days, hour) {
  const date = new Date(time);
  return new Date(date.getFullYear(), date.getMonth(), date.getDate() + days, hour).getTime();
}

export const fromTo = ({ from, to }) => {
  const said = (time) => (time === null ? "" : moment(time).slice(5, 16));
  const sameDay = from !== null && to !== null && moment(from).slice(0, 10) === moment(to).slice(0, 10);
  return `${said(from)} – ${sameDay ? clock(to) : said(to)}`.trim();
};

export class Times {
  constructor(view) {
    this.view = view;
    this.group = el("div", { class: "group", role: "group", "aria-label": "Time" });
    this.reset = el("button", { type: "button", class: "chosen", "aria-pressed": "true", title: "Show all again", onclick: () => view.set({ from: null, to: null, window: null }) });
    this.more = el("button", { type: "button", "aria-expanded": "false", text: "From–to…", onclick: () => this.open(this.fields.hidden) });
    this.from = this.field("From");
    this.to = this.field("To");
    this.problem = el("span", { class: "problem", role: "alert" });
    this.fields = el("div", { class: "from-to", role: "group", "aria-label": "From–to", hidden: true },
      el("label", {}, "From", this.from), el("label", {}, "to", this.to),
      el("button", { type: "button", text: "Show", onclick: () => this.choose() }),
      el("span", { class: "muted", text: zone() }), this.problem);
    this.node = el("div", { class: "times" }, this.group, this.reset, this.more, this.fields);
    this.update();
  }

  field(label) {
    const enter = (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault(); // the focus moves, and the key would press what gets it
      this.choose();
    };
    return el("input", { type: "datetime-local", step: "1", "aria-label": label, onkeydown: enter });
  }

  presets() {
    const { view } = this;
    const end = view.end();
    const spans = [["Last night", night(end)], ["Last shift", shift(end, { during: view.isOver() })]];
    return [
      ...HOURS.map(([window, label]) => ({ label, pressed: !view.isChosen() && (view.window ?? view.usual()) === window, choice: { window, from: null, to: null } })),
      ...spans.map(([label, span]) => ({ label, title: fromTo(span), pressed: view.from === span.from && view.to === span.to, choice: { window: null, ...span } })),
      ...this.whole(),
    ];
  }

  // All, or of the machine the session's own time, and on a session that is over also what is now.
  whole() {
    const { view } = this;
    const named = view.ofHost ? [["session", "Session"], ...(view.isOver() ? [["now", "Now"]] : [])] : [[null, "All"]];
    return named.map(([window, label]) => {
      const shown = view.window ?? view.usual();
      const others = [...HOURS.map(([known]) => known), ...(view.ofHost ? ["now"] : [])];
      const pressed = !view.isChosen() && (window === "now" ? shown === "now" : !others.includes(shown) && !(Number.parseFloat(shown) > 0));
      return { label, pressed, choice: { window, from: null, to: null } };
    });
  }

  // Buttons stay where they are, so that the one that was pressed keeps the focus.
  update() {
    const presets = this.presets();
    if (presets.map(({ label }) => label).join() !== this.labels) {
      this.labels = presets.map(({ label }) => label).join();
      this.group.replaceChildren(...presets.map(({ label }, i) => el("button", { type: "button", text: label, onclick: () => this.view.set(this.presets()[i].choice) })));
    }
    presets.forEach(({ pressed, title = "" }, i) => {
      this.group.children[i].setAttribute("aria-pressed", String(pressed));
      this.group.children[i].title = title;
    });
    const { view } = this;
    const hours = !view.isChosen() && Number.parseFloat(view.window) > 0 && !HOURS.some(([window]) => window === view.window);
    this.reset.hidden = !view.isChosen() && !hours;
    this.reset.textContent = `${hours ? `${Number.parseFloat(view.window)} h` : fromTo(view)}  ✕`;
    this.problem.textContent = "";
    this.fill();
  }

  // The fields hold what is shown, to the second.
  fill() {
    const { from, to } = this.view.range();
    const span = { from: from ?? this.view.span().from, to: to ?? Math.max(this.view.end(), from ?? 0) };
    const written = (time) => (time === null ? "" : moment(time).replace(" ", "T"));
    const shown = JSON.stringify(this.view.isChosen() ? [from, to] : [this.view.window]);
    if (shown === this.shown && !this.fields.hidden) return; // somebody may be typing
    this.shown = shown;
    this.from.value = written(span.from);
    this.to.value = written(span.to);
  }

  open(shown) {
    this.fields.hidden = false;
    this.shown = null;
    this.fill();
    this.fields.hidden = !shown;
    this.more.setAttribute("aria-expanded", String(shown));
    if (shown) this.from.focus();
  }

  choose() {
    const [from, to] = [this.from, this.to].map(({ value }) => (value ? new Date(value).getTime() : null));
    if (from === null && to === null) this.problem.textContent = "Give a beginning or an end.";
    else if (from !== null && to !== null && from >= to) this.problem.textContent = "The end must be after the beginning.";
    else {
      this.view.set({ window: null, from, to });
      this.open(false);
      this.more.focus();
    }
  }
}

