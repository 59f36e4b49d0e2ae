// A session's alerts: those that last, and those that were within the time that the page shows and the last day.

import { get, sessionPath } from "./api.js";
import { el } from "./dom.js";
import { duration, number, quantity } from "./format.js";
import { now } from "./now.js";
import { NAMES } from "./signs.js";

export const DAY = 86400000;

const KINDS = { critical: "bad", warning: "warn", info: "" };

export class Alerts extends EventTarget {
  constructor(view) {
    super();
    this.view = view;
    this.list = [];
    this.asked = null;
    this.turn = 0;
    this.lapse = null;
  }

  get active() {
    return this.list.filter((alert) => alert.until === null);
  }

  get lately() {
    return this.list.filter((alert) => alert.until !== null && alert.until >= now() - DAY);
  }

  // Asked for again only where an alert changed, or the page shows another time.
  async follow(head) {
    const wanted = `${head} ${this.view.window} ${this.view.from}`;
    if (wanted === this.asked) return;
    await this.refresh();
    this.asked = wanted;
  }

  async refresh() {
    this.turn += 1;
    const { turn } = this;
    const { from } = this.view.range();
    const found = await get(sessionPath(this.view.id, "alerts"), { from: from === null ? null : Math.min(from, Math.floor(now() - DAY)) });
    if (turn !== this.turn) return;
    this.list = found.alerts;
    this.wait();
    this.dispatchEvent(new Event("change"));
  }

  // Nothing is told when a silence is over: it is asked for then.
  wait() {
    clearTimeout(this.lapse);
    const ends = this.active.map((alert) => alert.muted_until).filter((time) => time !== null);
    if (ends.length) this.lapse = setTimeout(() => this.refresh().catch(() => {}), Math.max(0, Math.min(...ends) - now()) + 500);
  }
}

// An alert of which somebody has to know: nobody has acknowledged it, and it is not muted.
export const unheeded = (alert) => alert.acknowledged === null && alert.muted_until === null;

export function counted(active) {
  return Object.entries(NAMES).flatMap(([severity, name]) => {
    const count = active.filter((alert) => alert.severity === severity).length;
    return count ? [`${number(count)} ${name}${count === 1 || severity === "critical" ? "" : "s"}`] : [];
  }).join(", ");
}

// The worst of those that nobody has heeded; where all are heeded, the worst of all. They come in this order.
export const worst = (active) => active.find(unheeded) ?? active[0];

const tone = (active) => `${KINDS[worst(active).severity]} ${active.some(unheeded) ? "loud" : "heeded"}`;

// How many alerts a session has, for its heading.
export function showBadge(place, active, href) {
  place.hidden = active.length === 0;
  if (!active.length) return;
  place.className = `pill alarm ${tone(active)}`;
  place.href = href;
  place.textContent = number(active.length);
  place.title = `${counted(active)}: ${worst(active).text}`;
  place.setAttribute("aria-label", `Alerts: ${place.title}`);
}

// What is wrong with a session, for its card.
export function strip(active) {
  if (!active.length) return null;
  return el("div", { class: `strip ${tone(active)}` },
    el("span", { class: `pill alarm ${tone(active)}`, text: counted(active) }),
    el("span", { class: "said", text: worst(active).text, title: worst(active).text }));
}

export const titled = (count, title) => (count ? `(${count}) ${title}` : title);

// What was measured and what it should be, with their unit; nothing where nothing was measured.
export function measured({ value, limit, unit, decimals }) {
  const said = (x) => (unit === "h" ? duration(x * 3_600_000) : quantity(x, unit, decimals ?? (Number.isInteger(x) ? 0 : 2)));
  if (value === null) return "";
  return limit === null ? said(value) : `${said(value)}, limit ${said(limit)}`;
}
