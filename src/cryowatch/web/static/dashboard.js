// One dashboard of one session: its definition becomes panels, which are kept up to date while somebody looks.

import { AlertList } from "./alert-list.js";
import { Alerts } from "./alerts.js";
import { get, sessionPath } from "./api.js";
import { byId, el } from "./dom.js";
import { openFromAddress } from "./enlarge.js";
import { listen } from "./events.js";
import { offerExport } from "./export.js";
import { Feed } from "./feed.js";
import { offerForgetting } from "./forget.js";
import { showGone } from "./gone.js";
import { showAlerts, showHeader, tick } from "./heading.js";
import { Panel } from "./panel.js";
import { printable } from "./print.js";
import { offerSharing } from "./share.js";
import { Toolbar } from "./toolbar.js";
import { View } from "./view.js";

const place = byId("panels");
const { session, dashboard } = place.dataset;
const view = new View(session, dashboard);
let feed = null;
let renewing = false;
let again = false;

// How often a page that nobody looks at asks for its alerts: it has no line, but its title tells of them all the same.
const PEEK = 60000;

// Panels within a screen's reach are loaded once; those in sight are kept up to date.
const near = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) shown(target).near = isIntersecting;
  feed.look();
}, { rootMargin: "400px 0px" });
const sight = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) shown(target).inSight = isIntersecting;
  feed.look();
});

const shown = (node) => feed.panels.find((panel) => panel.node === node);

async function start() {
  view.follow();
  const definition = await get(sessionPath(session, "dashboards", dashboard), view.variables());
  view.define(definition);
  view.alerts = new Alerts(view);
  view.alerts.addEventListener("change", () => showAlerts(view));
  const known = showSession();
  feed = new Feed(view, { known, renewed: renew, settled: waiting });
  for (const described of definition.panels) {
    if (described.record === "alert" && described.width === 12) {
      new AlertList(view, byId("alerts"));
      continue;
    }
    const panel = new Panel(described, view);
    feed.panels.push(panel);
    place.append(panel.node);
    near.observe(panel.node);
    sight.observe(panel.node);
  }
  printable(feed);
  await known;
  new Toolbar(view, byId("toolbar"));
  if (!view.ofHost) offerExport(view);
  view.addEventListener("change", () => feed.reload());
  listen(session, { changed: () => feed.changed({ gather: true }), heard: catchUp, renewed: () => feed.reload(), forgotten });
  setInterval(() => { if (document.hidden) view.alerts.refresh().catch(() => {}); }, PEEK);
  openFromAddress(view);
  document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
  tick(view);
  // Samples of the machine are no change of the session, so nobody tells of them.
  if (view.ofHost && definition.refresh_seconds) setInterval(() => feed.changed(), 1000 * definition.refresh_seconds);
}

async function showSession() {
  view.session = await get(sessionPath(session));
  showHeader(view);
  await view.alerts.follow(view.session.alerts.head);
}

// One request at a time, whatever comes meanwhile: of two, the older might be answered last.
async function renew() {
  again = true;
  if (renewing) return;
  renewing = true;
  while (again) {
    again = false;
    await showSession().catch(lost);
  }
  renewing = false;
}

// The session itself says what changed before the line was there.
async function catchUp() {
  await renew();
  feed.reached(view.session.head);
}

// Somebody had the session forgotten; whoever did is also told what is still to be done.
function forgotten(more = []) {
  leave();
  showGone("This session was forgotten", ["What was stored of it is deleted."], more);
}

// A page that heard nothing of it, as nobody looked at it, learns it when it asks.
function lost(error) {
  if (error.status !== 404) return;
  leave();
  showGone("This session is not there any more", [error.message]);
}

function leave() {
  for (const panel of feed?.panels ?? []) {
    near.unobserve(panel.node);
    sight.unobserve(panel.node);
  }
  if (feed) feed.panels = [];
}

const WAITING = {
  summary: ["Waiting for the first run", "The project is there; nothing has been started in it yet."],
  ctf: ["Waiting for the first CTF estimate", "Plots appear here as soon as a run has estimated the CTF of a micrograph."],
  gain: ["No gain residual", "This page fills when a run of XmippProtMovieGain writes its summary."],
  system: ["Waiting for the first sample", "The machine is sampled every few seconds while cryowatch runs."],
  gallery: ["Waiting for the first micrograph", "Images appear here as they are imported and aligned."],
};
const ALL = { window: null, from: null, to: null };

function waiting() {
  const empty = feed.panels.every((p) => p.head !== null && p.node.hidden);
  byId("waiting").hidden = !empty;
  byId("toolbar").hidden = empty && !view.narrowed() && !view.ofHost;
  if (!empty) return;
  const [title, text] = why();
  byId("waiting").replaceChildren(el("h2", { text: title }), el("p", { text }),
    ...(view.narrowed() ? [el("button", { type: "button", text: "Show all times", onclick: () => view.set(ALL) })] : []));
}

// Why there is nothing to see.
function why() {
  if (view.narrowed()) return ["Nothing in this window", "No data lies in the chosen time."];
  if (view.ofHost && view.isOver()) return ["No sample of this time", "The machine was not sampled then, or its samples are no longer kept."];
  return WAITING[dashboard] ?? ["No data yet", ""];
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) feed?.changed();
});
offerSharing(view);
offerForgetting(session, forgotten);
start().catch((error) => {
  byId("waiting").hidden = false;
  byId("waiting").textContent = error.message;
});
