// A screen on a wall: the sessions that run, one after the other, in letters that are read from five metres.

import { unheeded, worst } from "./alerts.js";
import { get, sessionPath } from "./api.js";
import { byId, el } from "./dom.js";
import { listen } from "./events.js";
import { age, clock, duration, moment, number, share, status } from "./format.js";
import { now } from "./now.js";
import { SIGNS } from "./signs.js";

const TURN = 20000; // for which a session is shown
const AGAIN = 10000; // after which sessions are asked for anew where nobody told of a change
const SOON = 1000;
const HOURS = 2; // of the charts
const CHARTS = ["defocus-over-time", "resolution-over-time"];
const WIDE = 1000;
const HIGH = 260;
const LIVE = ["running", "launched"];

let sessions = [];
let shown = null;
let since = 0;
let asked = false;
let more = false; // has changed since

async function refresh() {
  if (asked) {
    more = true;
    return;
  }
  asked = true;
  more = false;
  setTimeout(() => {
    asked = false;
    if (more) refresh();
  }, SOON);
  try {
    sessions = (await get("/api/sessions")).sessions;
  } catch {
    return;
  }
  const running = live();
  if (!running.some((s) => s.id === shown)) shown = running[0]?.id ?? null;
  draw();
}

// Those in which a run is at work, by name, so that each has its place in the turn.
const live = () => sessions.filter((s) => LIVE.includes(s.status) && s.state.state !== "gone").sort((a, b) => a.name.localeCompare(b.name, "en", { numeric: true }));

function step(by) {
  const running = live();
  if (!running.length) return;
  const place = running.findIndex((s) => s.id === shown);
  shown = running[(place + by + running.length) % running.length].id;
  since = Date.now();
  draw();
}

function draw() {
  const running = live();
  const session = running.find((s) => s.id === shown);
  for (const part of ["tiles", "newest", "charts"]) byId(part).hidden = !session;
  byId("none").hidden = Boolean(session);
  if (!session) {
    nothing();
    return;
  }
  byId("name").textContent = session.name;
  document.title = `${session.name} · Wall · cryowatch`;
  byId("turn").textContent = running.length > 1 ? `${running.indexOf(session) + 1} of ${running.length}` : "";
  alarm(session.alerts.active);
  tiles(session);
  newest(session);
  charts(session).catch(() => {});
  tick();
}

function nothing() {
  byId("alert").hidden = true;
  byId("turn").textContent = "";
  byId("said").textContent = "";
  const [last] = sessions.filter((s) => s.newest.time !== null).sort((a, b) => b.newest.time - a.newest.time);
  byId("last").textContent = last ? `The last one was ${last.name}, until ${moment(last.newest.time)}` : "";
}

// The worst alert that nobody has acknowledged, and how many more there are.
function alarm(active) {
  const loud = active.filter(unheeded);
  const place = byId("alert");
  place.hidden = loud.length === 0;
  if (!loud.length) return;
  const first = worst(loud);
  place.className = `alarm ${first.severity}`;
  place.replaceChildren(`${SIGNS[first.severity]} ${first.text}`,
    el("small", { text: `for ${duration(now() - first.since)}${loud.length > 1 ? `, and ${loud.length - 1} more` : ""}` }));
}

function tiles({ good, rate, medians }) {
  const of = good?.of ? `${number(good.good)} of ${number(good.of)} good` : "good";
  byId("tiles").replaceChildren(
    tile(good?.of ? share(100 * good.share) : "–", good?.of ? "%" : "", of, good?.status),
    tile(number(rate.last_hour), "", rate.median_hour ? `in the last hour, usually ${number(rate.median_hour)}` : "in the last hour"),
    tile(number(medians.defocus, 2), "µm", "median defocus"),
    tile(number(medians.resolution, 2), "Å", "median resolution"),
    tile(number(medians.astigmatism, 1), "nm", "median astigmatism"));
}

const tile = (value, unit, label, judged = "") => el("div", { class: `tile ${judged ?? ""}` }, el("b", {}, value, unit && el("small", { text: unit })), el("span", { text: label }));

function newest({ newest: { micrograph, version, name } }) {
  const place = byId("newest");
  if (micrograph === null) {
    place.replaceChildren("no micrograph yet");
    return;
  }
  const address = `/images/${micrograph}/micrograph?size=1024&v=${version}`;
  if (place.querySelector("img")?.getAttribute("src") === address) return;
  const image = el("img", { alt: `Newest micrograph: ${name}` });
  image.addEventListener("load", () => place.replaceChildren(image));
  image.setAttribute("src", address);
}

async function charts(session) {
  const from = Math.floor(now() - HOURS * 3600000);
  const [definition, found] = await Promise.all([
    get(sessionPath(session.id, "dashboards", "summary")),
    get(sessionPath(session.id, "data", "summary"), { panels: CHARTS.join(","), from }),
  ]);
  if (shown !== session.id) return;
  byId("charts").replaceChildren(...CHARTS.map((id) => {
    const panel = definition.panels.find((p) => p.id === id);
    return panel ? chart(panel, found.panels[id], from) : null;
  }).filter(Boolean));
}

// A dot for each micrograph of the last hours, or since the first one, with the panel's limits.
function chart(panel, data, earliest) {
  const [series] = data.series ?? [];
  const [limit] = panel.limits;
  const unit = series?.unit ?? "";
  const points = (series?.values ?? []).map((value, i) => [data.time[i], value]).filter(([, value]) => value !== null);
  const from = Math.max(earliest, points[0]?.[0] ?? earliest);
  const when = from > earliest + 60000 ? `since ${clock(from)}` : `last ${HOURS} h`;
  const title = el("h2", { text: `${panel.title}${unit ? `, ${unit}` : ""}: ${when}` });
  const place = el("section", { class: "chart", "aria-label": panel.title }, title);
  if (!points.length) {
    place.append(el("span", { class: "muted", text: "nothing yet" }));
    return place;
  }
  const values = points.map(([, value]) => value);
  const most = Math.max(...values, limit?.high ?? -Infinity) * 1.05;
  const least = Math.min(0, ...values);
  const x = (time) => ((time - from) / (now() - from || 1)) * WIDE;
  const y = (value) => HIGH - ((value - least) / (most - least || 1)) * HIGH;
  const drawing = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", role: "img", "aria-label": `${panel.title}: ${number(points.length)} micrographs` });
  for (const [time, value] of points) {
    const outside = limit && ((limit.high !== null && value > limit.high) || (limit.low !== null && value < limit.low));
    drawing.append(svg("circle", { cx: x(time), cy: y(value), r: 4, class: outside ? "outside" : "" }));
  }
  if (limit?.high !== null && limit?.high !== undefined) {
    drawing.append(svg("line", { x1: 0, x2: WIDE, y1: y(limit.high), y2: y(limit.high) }));
    title.textContent += `, limit ${number(limit.high, series.decimals)}`;
  }
  place.append(drawing);
  return place;
}

function svg(name, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  return node;
}

// What grows older by itself.
function tick() {
  byId("clock").textContent = clock(Date.now());
  const session = sessions.find((s) => s.id === shown);
  if (session) byId("said").textContent = `${status(session.status)[0]}, newest ${session.newest.time ? age(session.newest.time) : "not yet there"}`;
}

// A screen that sleeps shows nothing; the lock ends when the page is hidden.
async function stayAwake() {
  if (!document.hidden) await navigator.wakeLock?.request("screen").catch(() => {});
}

addEventListener("keydown", ({ key }) => {
  if (key === "ArrowRight") step(1);
  else if (key === "ArrowLeft") step(-1);
});
document.addEventListener("visibilitychange", stayAwake);
stayAwake();
setInterval(tick, 1000);
setInterval(() => { if (Date.now() - since >= TURN) step(1); }, 1000);
setInterval(refresh, AGAIN);
since = Date.now();
refresh();
listen(null, { changed: refresh, renewed: refresh });
