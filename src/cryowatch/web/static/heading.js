// The page's heading: how the session is, how old its newest item, and what is wrong with its source.

import { showBadge, titled } from "./alerts.js";
import { showDeliveries } from "./deliveries.js";
import { byId, el } from "./dom.js";
import { age, clock, future, moment, status } from "./format.js";

const FRESH = 10 * 60000;
const KINDS = {
  busy: ["warn", "is being written to; cryowatch waits"],
  interrupted: ["warn", "was left unfinished by its writer"],
  gone: ["bad", "cannot be reached"],
  zone: ["warn", "has times of another zone"],
  denied: ["bad", "may not be read"],
  malformed: ["bad", "is not as it should be"],
};

export function showHeader(view) {
  const { session } = view;
  const [word, kind] = status(session.status);
  const pill = byId("status");
  pill.hidden = false;
  pill.className = `pill ${kind}`;
  pill.textContent = word;
  showAge(session);
  showState(session);
  showDeliveries(session.deliveries);
  showAlerts(view);
}

export function showAlerts(view) {
  const { active } = view.alerts;
  showBadge(byId("alarm"), active, `/s/${encodeURIComponent(view.id)}/summary${view.address}#alerts`);
  document.title = titled(active.length, `${view.session.name} · ${view.definition.title} · cryowatch`);
}

function showAge(session) {
  const place = byId("newest");
  const time = session.newest.time;
  const live = session.status === "running" && time !== null && Date.now() - time < FRESH;
  place.classList.toggle("live", live);
  place.textContent = time === null ? "" : `newest ${age(time)}`;
  place.title = moment(time);
}

function showState({ state, future: ahead }) {
  const banner = byId("state");
  const known = KINDS[state.state];
  banner.hidden = !known && !ahead;
  if (!known && ahead) {
    banner.className = "banner warn";
    banner.replaceChildren(future(ahead));
  }
  if (!known) return;
  banner.className = `banner ${known[0]}`;
  const since = state.state === "zone" ? "Set the zone, and times will be right." : state.last_read ? `Last good read ${clock(state.last_read)} (${age(state.last_read)}); what was read before is kept.` : "It has never been read.";
  const others = state.troubles.filter((t) => `${t.where}: ${t.text}` !== state.text).map((t) => el("small", { text: `${t.where}: ${t.text}` }));
  banner.replaceChildren(state.text || `The source ${known[1]}.`, el("small", { text: since }), ...others);
}

export function tick(view) {
  setInterval(() => {
    if (!document.hidden && view.session) showAge(view.session);
  }, 1000);
}
