// The page of all sessions.

import { strip, titled } from "./alerts.js";
import { get } from "./api.js";
import { byId, el } from "./dom.js";
import { listen } from "./events.js";
import { showDeliveries } from "./deliveries.js";
import { Finder } from "./finder.js";
import { age, future, moment, number, quantity, share, status } from "./format.js";

// So many cards are made before the page may answer to something else.
const AT_ONCE = 40;

const OVER = ["finished", "failed", "aborted", "gone"];

const cards = new Map();
const finder = new Finder(draw);
let sessions = [];
let turn = 0;
let asked = false;
let again = false;

// At most about once a second; what changes meanwhile is asked for then.
async function refresh() {
  again = asked;
  if (asked) return;
  asked = true;
  setTimeout(() => {
    asked = false;
    if (again) refresh();
  }, 900);
  let found;
  try {
    found = await get("/api/sessions");
  } catch {
    return;
  }
  byId("host").textContent = found.host;
  showDeliveries(found.deliveries);
  const active = new Set(found.sessions.flatMap((session) => session.alerts.active.map((alert) => alert.id)));
  document.title = titled(active.size, "Sessions · cryowatch");
  byId("none").hidden = found.sessions.length > 0;
  sessions = found.sessions.sort((a, b) => (b.newest.time ?? b.created ?? 0) - (a.newest.time ?? a.created ?? 0));
  await draw();
}

// Those that are sought, a screenful at once and the others while the page goes on answering; a later call replaces this.
async function draw() {
  turn += 1;
  const mine = turn;
  const sought = finder.among(sessions);
  const known = new Set(sought.map((s) => s.id));
  for (const [id, card] of cards) {
    if (!known.has(id)) {
      card.node.remove();
      cards.delete(id);
    }
  }
  const place = byId("sessions");
  for (const [i, session] of sought.entries()) {
    if (i && i % AT_ONCE === 0) await new Promise((done) => { setTimeout(done); });
    if (turn !== mine) return;
    const said = JSON.stringify([session, Math.floor(Date.now() / 10000)]);
    const old = cards.get(session.id);
    if (!old || old.said !== said) {
      const node = card(session);
      if (old) old.node.replaceWith(node);
      cards.set(session.id, { node, said });
    }
    const { node } = cards.get(session.id);
    if (place.children[i] !== node) place.insertBefore(node, place.children[i] ?? null);
  }
}

function card(session) {
  const [word, kind] = status(session.status);
  const newest = session.newest;
  const picture = newest.micrograph === null
    ? document.createTextNode("no micrograph yet")
    : el("img", { src: `/images/${newest.micrograph}/micrograph?size=256&v=${newest.version}`, alt: "", loading: "lazy", onerror: missing });
  const { good } = session;
  const figures = [
    [good?.of ? `${share(100 * good.share)} %` : "–", good?.of ? `good: ${number(good.good)} of ${number(good.of)}` : "good", good?.status],
    [number(session.counts.movies), "movies"],
    [number(session.counts.micrographs), "micrographs"],
    [number(session.counts.ctf), "CTFs"],
    [quantity(session.medians.defocus, "µm", 2), "median defocus"],
    [quantity(session.medians.resolution, "Å", 2), "median resolution"],
    [quantity(session.medians.astigmatism, "nm", 1), "median astigmatism"],
  ];
  const rate = session.rate.last_hour ? `${number(session.rate.last_hour)} in the last hour` : null;
  const bad = !["ok", "busy"].includes(session.state.state);
  return el("a", { class: "session", href: `/s/${encodeURIComponent(session.id)}/summary` },
    el("div", { class: "thumb" }, picture),
    el("div", { class: "about" },
      el("h2", { text: session.name, title: session.path }),
      el("div", { class: "row" },
        el("span", { class: `pill ${kind}`, text: word }),
        el("span", { class: "muted", title: moment(newest.time), text: newest.time ? `newest ${age(newest.time)}` : OVER.includes(session.status) ? "no movies" : "waiting for the first movie" }),
        rate && el("span", { class: "muted", text: rate })),
      strip(session.alerts.active),
      el("div", { class: "figures" }, ...figures.map(([value, label, judged]) => el("div", { class: judged ?? "" }, el("b", { text: value }), el("span", { text: label })))),
      session.future && el("p", { class: "trouble", text: future(session.future) }),
      bad && el("p", { class: "trouble", text: session.state.text })));
}

function missing(event) {
  event.target.replaceWith(document.createTextNode("no image"));
}

refresh();
setInterval(() => { if (!document.hidden) refresh(); }, 10000);
setInterval(() => { if (document.hidden) refresh(); }, 60000); // it has no line then, but its title counts alerts
document.addEventListener("visibilitychange", () => { if (!document.hidden) refresh(); });
listen(null, { changed: refresh, heard: () => {}, renewed: refresh });
