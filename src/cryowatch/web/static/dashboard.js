// One dashboard of one session: its definition becomes panels, their data is asked for and kept up to date.

import { get, sessionPath } from "./api.js";
import { byId } from "./dom.js";
import { openFromAddress } from "./enlarge.js";
import { listen } from "./events.js";
import { showHeader, tick } from "./heading.js";
import { Panel } from "./panel.js";
import { Toolbar } from "./toolbar.js";
import { View } from "./view.js";

const place = byId("panels");
const { session, dashboard } = place.dataset;
const view = new View(session, dashboard);
const panels = new Map();
let generation = null;
let pending = null;
let working = false;

const observer = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    const panel = panels.get(entry.target.dataset.panel);
    panel.near = entry.isIntersecting;
    if (panel.near && panel.stale) schedule(0);
  }
}, { rootMargin: "400px 0px" });

async function start() {
  const definition = await get(sessionPath(session, "dashboards", dashboard), view.variables());
  view.define(definition);
  for (const described of definition.panels) {
    const panel = new Panel(described, view);
    panels.set(described.id, panel);
    place.append(panel.node);
    observer.observe(panel.node);
  }
  await showSession();
  new Toolbar(view, byId("toolbar"));
  view.addEventListener("change", reload);
  listen(session, { changed, renewed: reload });
  openFromAddress(view);
  tick(view);
}

async function showSession() {
  view.session = await get(sessionPath(session));
  showHeader(view);
}

function reload() {
  generation = null;
  for (const panel of panels.values()) panel.stale = true;
  changed();
}

function changed(change) {
  if (change && generation !== null && change.generation !== generation) generation = null;
  for (const panel of panels.values()) panel.stale = true;
  if (!document.hidden) schedule(change ? 400 : 0);
}

function schedule(wait) {
  if (pending !== null || working) return;
  pending = setTimeout(() => {
    pending = null;
    update();
  }, wait);
}

// Panels near the window are asked for first, and those with the same position together.
async function update() {
  const wanted = [...panels.values()].filter((p) => p.near && p.stale);
  if (!wanted.length) return;
  working = true;
  try {
    const whole = generation === null;
    const groups = Map.groupBy ? Map.groupBy(wanted, (p) => (whole ? null : p.head)) : grouped(wanted, (p) => (whole ? null : p.head));
    const session_ = showSession();
    for (const [after, members] of groups) {
      const query = { ...view.query(), panels: members.map((p) => p.id).join(","), after };
      const answer = await get(sessionPath(session, "data", dashboard), query);
      if (!whole && answer.generation !== generation) {
        generation = null;
        break;
      }
      generation = answer.generation;
      for (const panel of members) panel.show(answer.panels[panel.id], answer.head);
    }
    await session_;
    waiting();
  } catch (error) {
    for (const panel of wanted) if (panel.head === null) panel.fail(error.message);
  }
  working = false;
  document.body.dataset.ready = "yes";
  if ([...panels.values()].some((p) => p.near && p.stale && !p.failed)) schedule(600);
}

function grouped(items, key) {
  const groups = new Map();
  for (const item of items) groups.set(key(item), [...(groups.get(key(item)) ?? []), item]);
  return groups;
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
start().catch((error) => {
  byId("waiting").hidden = false;
  byId("waiting").textContent = error.message;
});
