// One dashboard of one session: its definition becomes panels, their data is asked for and kept up to date.

import { AlertList } from "./alert-list.js";
import { Alerts } from "./alerts.js";
import { get, sessionPath } from "./api.js";
import { byId } from "./dom.js";
import { openFromAddress } from "./enlarge.js";
import { listen } from "./events.js";
import { showAlerts, showHeader, tick } from "./heading.js";
import { Panel } from "./panel.js";
import { offerSharing } from "./share.js";
import { Toolbar } from "./toolbar.js";
import { View } from "./view.js";

const place = byId("panels");
const { session, dashboard } = place.dataset;
const view = new View(session, dashboard);
const panels = new Map();
let generation = null;
let pending = null;
let working = false;
let rested = 0;
let peeking = null;
let opened = null;

// After panels that are computed anew each time, a pause of so many times as long as they took.
const REST = 8;

// After a change, until a page that nobody looks at asks for its alerts.
const PEEK = 2000;

// Panels within a screen's reach are loaded once; those in sight are kept up to date.
const near = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const panel = panels.get(entry.target.dataset.panel);
    panel.near = entry.isIntersecting;
    if (panel.near && panel.head === null) schedule(0);
  }
}, { rootMargin: "400px 0px" });
const sight = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const panel = panels.get(entry.target.dataset.panel);
    panel.inSight = entry.isIntersecting;
    if (panel.inSight && panel.stale) schedule(0);
  }
});

async function start() {
  const definition = await get(sessionPath(session, "dashboards", dashboard), view.variables());
  view.define(definition);
  view.alerts = new Alerts(view);
  view.alerts.addEventListener("change", () => showAlerts(view));
  for (const described of definition.panels) {
    if (described.record === "alert" && described.width === 12) {
      new AlertList(view, byId("alerts"));
      continue;
    }
    const panel = new Panel(described, view);
    panels.set(described.id, panel);
    place.append(panel.node);
    near.observe(panel.node);
    sight.observe(panel.node);
  }
  opened = showSession();
  await opened;
  new Toolbar(view, byId("toolbar"));
  view.addEventListener("change", reload);
  listen(session, { changed, renewed: reload });
  openFromAddress(view);
  document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  tick(view);
  // Samples of the machine are no change of the session, so nobody tells of them.
  if (view.ofHost && definition.refresh_seconds) setInterval(() => { if (!document.hidden) changed(); }, 1000 * definition.refresh_seconds);
}

async function showSession() {
  view.session = await get(sessionPath(session));
  showHeader(view);
  await view.alerts.follow(view.session.alerts.head);
}

function reload() {
  generation = null;
  rested = 0;
  for (const panel of panels.values()) panel.forget();
  changed();
}

function changed(change) {
  for (const panel of panels.values()) panel.stale = true;
  if (document.hidden) peek();
  else schedule(change ? 400 : 0);
}

// The title of a page behind others tells of alerts all the same.
function peek() {
  peeking ??= setTimeout(() => {
    peeking = null;
    if (document.hidden) view.alerts.refresh().catch(() => {});
  }, PEEK);
}

function schedule(wait) {
  if (pending !== null || working) return;
  pending = setTimeout(() => {
    pending = null;
    update();
  }, wait);
}

// What is asked for next: points that are already drawn, as only new ones travel; then those in sight that are not, each
// by itself, so that the first is drawn while the next is asked for; then what is computed anew each time, at a pace; then
// what may soon be in sight. A panel that hid itself may have data now.
function next() {
  const stale = [...panels.values()].filter((p) => p.stale && !p.failed);
  const inSight = stale.filter((p) => p.inSight || p.node.hidden);
  const points = inSight.filter((p) => p.incremental && !p.node.hidden);
  const others = inSight.filter((p) => !points.includes(p));
  const due = Date.now() >= rested || others.some((p) => p.head === null);
  const groups = [
    points.filter((p) => p.head !== null),
    points.filter((p) => p.head === null).slice(0, 1),
    due ? others : [],
    stale.filter((p) => p.near && p.head === null).slice(0, 4),
  ];
  return groups.find((group) => group.length) ?? [];
}

async function update() {
  working = true;
  // A window of so many hours ends with the session.
  if (view.window) await opened?.catch(() => {});
  try {
    for (let wanted = next(); wanted.length; wanted = next()) {
      const partial = generation !== null && wanted.every((p) => p.incremental && p.head !== null && !p.node.hidden);
      const after = partial ? Math.min(...wanted.map((p) => p.head)) : null;
      const began = performance.now();
      const answer = await get(sessionPath(session, "data", dashboard), { ...view.query(), panels: wanted.map((p) => p.id).join(","), after });
      if (generation !== null && answer.generation !== generation) {
        generation = null;
        for (const panel of panels.values()) panel.forget();
        continue;
      }
      generation = answer.generation;
      // Whether the session is at work decides how far time axes reach.
      await opened?.catch(() => {});
      for (const panel of wanted) panel.show(answer.panels[panel.id], answer.head);
      document.body.dataset.ready = "yes";
      if (!wanted.every((p) => p.incremental)) rested = Date.now() + REST * (performance.now() - began);
    }
    await showSession();
    waiting();
  } catch (error) {
    for (const panel of next()) if (panel.head === null) panel.fail(error.message);
  }
  working = false;
  if ([...panels.values()].some((p) => p.stale && (p.inSight || p.node.hidden))) schedule(Math.max(600, rested - Date.now()));
}

const WAITING = {
  summary: ["Waiting for the first run", "The project is there; nothing has been started in it yet."],
  ctf: ["Waiting for the first CTF estimate", "Plots appear here as soon as a run has estimated the CTF of a micrograph."],
  gain: ["No gain residual", "This page fills when a run of XmippProtMovieGain writes its summary."],
  system: ["Waiting for the first sample", "The machine is sampled every few seconds while cryowatch runs."],
  gallery: ["Waiting for the first micrograph", "Images appear here as they are imported and aligned."],
};

function waiting() {
  const empty = [...panels.values()].every((p) => p.head !== null && p.node.hidden);
  byId("waiting").hidden = !empty;
  byId("toolbar").hidden = empty && !view.narrowed();
  if (!empty) return;
  const [title, text] = view.narrowed() ? ["Nothing in this window", "No data lies in the chosen time; choose All to see everything."] : WAITING[dashboard] ?? ["No data yet", ""];
  byId("waiting").replaceChildren(
    Object.assign(document.createElement("h2"), { textContent: title }),
    Object.assign(document.createElement("p"), { textContent: text }));
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) changed();
});
offerSharing(session);
start().catch((error) => {
  byId("waiting").hidden = false;
  byId("waiting").textContent = error.message;
});
