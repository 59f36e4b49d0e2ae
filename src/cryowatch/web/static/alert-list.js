// The alerts of a session on its Summary: what lasts, with what a person can say to it; folded below, what was lately.

import { measured } from "./alerts.js";
import { post } from "./api.js";
import { el } from "./dom.js";
import { logButton } from "./log.js";
import { age, clock, duration, moment } from "./format.js";
import { now } from "./now.js";
import { NAMES, SIGNS } from "./signs.js";

const MOST = 6;
const MORNING = 8;
const MINUTE = 60000;

export class AlertList {
  constructor(view, place) {
    this.view = view;
    this.place = place;
    this.nodes = new Map();
    this.open = null;
    this.busy = new Set();
    this.failures = new Map();
    this.first = el("div", { class: "rows-of-alerts" });
    this.more = folded("more");
    this.earlier = folded("earlier");
    place.append(this.first, this.more.node, this.earlier.node);
    view.alerts.addEventListener("change", () => this.draw());
    setInterval(() => { if (!document.hidden) this.draw(); }, 5000);
  }

  draw() {
    const { active, lately } = this.view.alerts;
    this.place.hidden = active.length + lately.length === 0;
    const rows = active.map((alert) => this.row(alert));
    for (const id of this.nodes.keys()) if (!active.some((alert) => alert.id === id)) this.nodes.delete(id);
    arrange(this.first, rows.slice(0, MOST));
    arrange(this.more.body, rows.slice(MOST));
    this.more.say(rows.length - MOST, `${rows.length - MOST} more`);
    const said = JSON.stringify(lately);
    if (this.past !== said) this.earlier.body.replaceChildren(...lately.map(over));
    this.past = said;
    const alerts = `${lately.length} ${active.length ? "earlier" : "resolved"} alert${lately.length === 1 ? "" : "s"}`;
    this.earlier.say(lately.length, `${alerts} in the last 24 h`);
  }

  // A row is made anew only where something but its age changed, so that no finger misses a button.
  row(alert) {
    const said = JSON.stringify([alert, this.open === alert.id, this.busy.has(alert.id), this.failures.get(alert.id)]);
    let known = this.nodes.get(alert.id);
    if (known?.said !== said) {
      const node = this.made(alert);
      const act = known?.node.contains(document.activeElement) ? document.activeElement.dataset.act : null;
      known?.node.replaceWith(node);
      if (act) (node.querySelector(`[data-act="${act}"]`) ?? node.querySelector("button"))?.focus();
      known = { node, said };
      this.nodes.set(alert.id, known);
    }
    known.node.querySelector(".for").textContent = `for ${duration(now() - alert.since)}`;
    const seen = known.node.querySelector(".seen");
    if (seen) seen.textContent = `✓ acknowledged ${age(alert.acknowledged)}`;
    return known.node;
  }

  made(alert) {
    const failure = this.failures.get(alert.id);
    const heeded = alert.acknowledged !== null || alert.muted_until !== null;
    const values = measured(alert);
    return el("article", { class: `alert ${alert.severity} ${heeded ? "heeded" : ""}`, "data-alert": alert.id },
      el("span", { class: "sign", text: SIGNS[alert.severity], "aria-hidden": "true" }),
      el("div", { class: "what" },
        el("p", { class: "said", text: alert.text }),
        this.beyond(alert),
        el("p", { class: "facts" },
          el("b", { text: NAMES[alert.severity] }),
          el("span", { class: "for", title: `since ${moment(alert.since)}` }),
          el("span", { text: `since ${day(alert.since)}` }),
          values && el("span", { text: values }),
          alert.session === null && el("span", { text: `on ${alert.host}` }),
          alert.acknowledged !== null && el("span", { class: "seen", title: moment(alert.acknowledged) }),
          alert.muted_until !== null && el("span", { class: "silent", text: `muted until ${day(alert.muted_until)}`, title: moment(alert.muted_until) })),
        failure && el("p", { class: "failure", role: "alert", text: failure })),
      document.body.dataset.mayAct && this.acts(alert));
  }

  // The whole error of a run and its log.
  beyond(alert) {
    const run = alert.session !== null && this.view.session?.runs.find((one) => one.run === alert.subject);
    const log = run && run.status === "failed" ? logButton(this.view, run.run) : null;
    const whole = alert.detail && el("details", { class: "whole" }, el("summary", { text: "The whole error" }), el("pre", { tabIndex: 0, text: alert.detail }));
    return whole || log ? el("div", { class: "beyond" }, whole, log) : null;
  }

  acts(alert) {
    const busy = this.busy.has(alert.id);
    const button = (act, text, does, more = {}) => el("button", { type: "button", text, "data-act": act, disabled: busy, onclick: does, ...more });
    const mute = (minutes) => () => this.say(alert, "mute", { minutes });
    const muting = alert.muted_until !== null
      ? button("unmute", "Unmute", mute(0))
      : button("mute", "Mute…", () => this.choose(alert), { "aria-expanded": String(this.open === alert.id) });
    const morning = next(MORNING);
    const choices = this.open === alert.id && alert.muted_until === null && el("div", { class: "choices", role: "group", "aria-label": "Mute for" },
      button("1h", "1 h", mute(60)), button("8h", "8 h", mute(480)), button("morning", `until ${day(morning)}`, mute(Math.ceil((morning - Date.now()) / MINUTE))));
    return el("div", { class: "acts" },
      alert.acknowledged === null && button("see", "Acknowledge", () => this.say(alert, "acknowledge", {})), muting, choices);
  }

  choose(alert) {
    this.open = this.open === alert.id ? null : alert.id;
    this.draw();
  }

  async say(alert, what, content) {
    this.busy.add(alert.id);
    this.failures.delete(alert.id);
    this.draw();
    try {
      await post(`/api/alerts/${alert.id}/${what}`, content);
      this.open = null;
      await this.view.alerts.refresh();
    } catch (error) {
      this.failures.set(alert.id, error.message);
    }
    this.busy.delete(alert.id);
    this.draw();
  }
}

// An alert that is over.
function over(alert) {
  const values = measured(alert);
  return el("li", { class: alert.severity },
    el("span", { class: "sign", text: SIGNS[alert.severity], "aria-hidden": "true" }),
    el("p", { class: "said", text: alert.text }),
    el("p", { class: "facts" },
      el("span", { text: NAMES[alert.severity] }),
      el("span", { text: `${day(alert.since)}–${day(alert.until)}`, title: `${moment(alert.since)} – ${moment(alert.until)}` }),
      el("span", { text: `lasted ${duration(alert.until - alert.since)}` }),
      values && el("span", { text: values }),
      alert.session === null && el("span", { text: `on ${alert.host}` })));
}

function folded(name) {
  const summary = el("summary");
  const body = el(name === "earlier" ? "ul" : "div", { class: name === "earlier" ? "" : "rows-of-alerts" });
  const node = el("details", { class: name, hidden: true }, summary, body);
  return {
    node,
    body,
    say: (count, text) => {
      node.hidden = count <= 0;
      summary.textContent = text;
    },
  };
}

function arrange(place, rows) {
  rows.forEach((row, i) => { if (place.children[i] !== row) place.insertBefore(row, place.children[i] ?? null); });
  while (place.children.length > rows.length) place.lastChild.remove();
}

// A time of today as the clock shows it; of another day with its day.
function day(time) {
  const away = Math.round((new Date(time).setHours(0, 0, 0, 0) - new Date(now()).setHours(0, 0, 0, 0)) / (1440 * MINUTE));
  const named = { 0: "", 1: "tomorrow ", [-1]: "yesterday " };
  return away in named ? `${named[away]}${clock(time)}` : moment(time).slice(5, 16);
}

// The next time that the clock shows this hour.
function next(hour) {
  const time = new Date();
  time.setHours(hour, 0, 0, 0);
  if (time <= new Date()) time.setDate(time.getDate() + 1);
  return time.getTime();
}
