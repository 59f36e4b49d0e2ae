// What changed, as the agent says it; and whether it can be heard at all.

import { get } from "./api.js";
import { byId } from "./dom.js";
import { clockWithSeconds, moment } from "./format.js";
import { LIMIT, Line, passed } from "./line.js";
import { askAgain, giveUp } from "./under-way.js";

const LOOK = 1000;
const HALF_A_DAY = 43200000;
const GRACE = 2000; // for a line that is opened when somebody comes back to a page, until the page says that there is none
const ANSWER = 0.1; // of the limit: for which a shared line may take to say how it is

// Calls changed() for each change of a session, or of any, and where some may have been missed; heard() once, when the
// line is there: what changed since the page asked was told to nobody; renewed() when the agent was restarted or away;
// forgotten() where somebody had the session forgotten.  A page that nobody looks at has no line.
export function listen(session, { changed, heard: begun = changed, renewed, forgotten = changed }) {
  const own = () => new Line(session ? `?session=${encodeURIComponent(session)}` : "", take);
  const { reader } = document.body.dataset;
  let line = shared(reader, take, standAlone) ?? own();
  let agent = null;
  let lost = false;
  let away = false;
  let looking = false;
  let heard = Date.now();
  let said = Date.now();
  let asked = null;
  let limit = LIMIT;

  function take(message) {
    if (!looking) return;
    said = Date.now();
    asked = null;
    limit = message.limit;
    heard = Math.max(heard, message.heard ?? 0);
    if (message.kind === "hello") greet(message.hello);
    else if (message.kind === "lost") lose(message.silent);
    else if (message.kind === "change" && (!session || message.change.session === session)) {
      if (message.change.forgotten) forgotten();
      else changed();
    }
  }

  function greet(hello) {
    if (hello.reader !== reader && performance.now() > limit) {
      location.reload(); // somebody else is logged in by now, who sees other things
      return;
    }
    const other = agent && (hello.started !== agent.started || hello.version !== agent.version);
    const first = agent === null;
    const missed = lost || away;
    agent = hello;
    away = false;
    if (lost) {
      lost = false;
      banner();
      giveUp(); // what was asked for meanwhile may wait on a dead connection
      askAgain();
      renewed();
    } else if (other) renewed();
    else if (first) begun();
    else if (missed) changed();
  }

  function lose(silent) {
    lost = true;
    banner();
    if (silent) giveUp();
    else setTimeout(ask, LOOK);
  }

  // Where it is the login that has ended, this asks for a new one; a page that is just being left is gone by now.
  function ask() {
    if (looking && lost) get("/api/fields").catch(() => {});
  }

  function banner() {
    const place = byId("offline");
    place.hidden = !lost;
    document.body.classList.toggle("unheard", lost);
    const time = passed(heard, HALF_A_DAY) ? moment(heard) : clockWithSeconds(heard);
    if (lost) place.textContent = `Not connected to cryowatch, last heard ${time}. What you see is from then; this page tries again by itself.`;
  }

  function standAlone() {
    line.close();
    line = own();
    if (looking) line.open();
  }

  // A shared line says when it hears nothing; one that does not even answer is dead itself.
  function look() {
    setTimeout(look, Math.min(LOOK, limit / 20));
    if (!looking || !passed(said, limit)) return;
    if (asked === null) {
      asked = Date.now();
      line.open();
    } else if (passed(asked, ANSWER * limit)) {
      lose(true);
      said = Date.now();
      asked = null;
      standAlone();
    }
  }

  function come() {
    if (looking || document.hidden) return;
    looking = true;
    said = Date.now();
    if (away) setTimeout(() => { if (looking && away && passed(heard, limit)) lose(true); }, GRACE);
    line.open();
  }

  function go() {
    if (!looking) return;
    looking = false;
    away = true;
    line.close();
  }

  come();
  look();
  document.addEventListener("visibilitychange", () => (document.hidden ? go() : come()));
  addEventListener("pagehide", go);
  addEventListener("pageshow", come);
}

// The line of all pages in this browser that see the same; null where a browser has no such thing, as on some phones.
function shared(reader, take, fail) {
  if (!globalThis.SharedWorker) return null;
  const worker = new SharedWorker(new URL("./shared-line.js", import.meta.url), { type: "module", name: reader });
  worker.addEventListener("error", fail);
  worker.port.addEventListener("message", ({ data }) => take(data));
  worker.port.start();
  return { open: () => worker.port.postMessage("join"), close: () => worker.port.postMessage("leave") };
}
