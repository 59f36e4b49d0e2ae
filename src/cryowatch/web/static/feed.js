// Keeps the panels of a dashboard up to date: what is asked for together, in which order, and when.
//
// Two lanes ask beside each other.  Points that are drawn get only the new ones, and wait for nothing else.  What is
// computed anew each time begins after them, and rests in proportion to what it took.

import { get, sessionPath } from "./api.js";
import { Lane } from "./lane.js";

// After panels that are computed anew each time, a pause of so many times as long as they took.
const REST = 8;

// From a change until its data is asked for, so that several are drawn together; and until something is asked for again.
const GATHER = 400;
const AGAIN = 600;

export class Feed {
  // Nothing is drawn before `known`, as the session decides how far time axes reach.  `renewed` is told once after each
  // change, `settled` whenever there is nothing left to ask for.
  constructor(view, { known, renewed, settled }) {
    this.view = view;
    this.known = known.catch(() => {});
    this.renewed = renewed;
    this.settled = settled;
    this.panels = [];
    this.generation = null;
    this.latest = 0;
    this.turn = 0;
    this.rested = 0;
    this.news = false;
    this.points = new Lane(() => this.nextPoints(), (wanted) => this.ask(wanted), (asked) => this.pointsDone(asked));
    this.others = new Lane(() => this.nextOthers(), (wanted) => this.ask(wanted), () => this.othersDone());
  }

  // Something may have come into sight.
  look() {
    if (this.outdated().length || this.nextOthers().length) this.points.schedule(0);
  }

  changed({ gather = false } = {}) {
    this.news = true;
    for (const panel of this.panels) panel.stale = true;
    if (!document.hidden) this.points.schedule(gather ? GATHER : 0);
  }

  reload() {
    this.rested = 0;
    this.forget();
    this.changed();
  }

  // The session has changes up to this position, also where nobody told of them; panels that show less are asked for.
  reached(head) {
    this.latest = head;
    if (this.panels.some((p) => this.behind(p))) this.changed();
  }

  behind(panel) {
    return panel.head !== null && panel.head < this.latest;
  }

  // Everything is asked for whole again; answers to what was asked before are of no use.
  forget() {
    this.turn += 1;
    this.generation = null;
    this.latest = 0;
    for (const panel of this.panels) panel.forget();
  }

  // Points that are drawn, as only new ones travel; then each that is not by itself, so that the first is drawn while
  // the next is asked for.
  nextPoints() {
    const points = this.inSight().filter((p) => isPoints(p));
    const drawn = points.filter((p) => p.head !== null);
    return drawn.length ? drawn : points.slice(0, 1);
  }

  // What is computed anew each time; then what may soon be in sight.
  nextOthers() {
    const others = this.inSight().filter((p) => !isPoints(p));
    if (others.length && !this.rest()) return others;
    return this.wanting().filter((p) => p.near && p.head === null).slice(0, 4);
  }

  pointsDone(asked) {
    if (this.outdated().some(isPoints)) this.points.schedule(AGAIN);
    this.others.schedule(this.rest());
    if (asked || this.news) this.renewed();
    this.news = false;
    this.settled();
  }

  othersDone() {
    if (this.outdated().some((p) => !isPoints(p))) this.others.schedule(Math.max(AGAIN, this.rest()));
    this.settled();
  }

  // A panel that hid itself may have data now.
  outdated() {
    return document.hidden ? [] : this.panels.filter((p) => p.stale && (p.inSight || p.node.hidden));
  }

  wanting() {
    return this.panels.filter((p) => p.stale && !p.failed && !p.asked);
  }

  inSight() {
    return this.wanting().filter((p) => p.inSight || p.node.hidden);
  }

  // How long what is computed anew still rests; not where some of it has never been shown.
  rest() {
    const undrawn = this.inSight().some((p) => !isPoints(p) && p.head === null);
    return undrawn ? 0 : Math.max(0, this.rested - performance.now());
  }

  async ask(wanted) {
    const { turn } = this;
    const partial = this.generation !== null && wanted.every((p) => isPoints(p) && p.head !== null);
    const after = partial ? Math.min(...wanted.map((p) => p.head)) : null;
    for (const panel of wanted) [panel.asked, panel.stale] = [true, false];
    try {
      // So many hours end with the session, and of the machine its own time is shown.
      if (this.view.window || this.view.ofHost) await this.known;
      const began = performance.now();
      const answer = await get(sessionPath(this.view.id, "data", this.view.dashboard), { ...this.view.query(), panels: wanted.map((p) => p.id).join(","), after });
      await this.known;
      if (turn !== this.turn) return;
      const generation = JSON.stringify([answer.generation, answer.outputs]);
      if (this.generation !== null && generation !== this.generation) {
        this.forget();
        return;
      }
      this.generation = generation;
      for (const panel of wanted) {
        panel.show(answer.panels[panel.id], answer.head);
        panel.stale ||= this.behind(panel);
      }
      document.body.dataset.ready = "yes";
      if (!wanted.every((p) => p.incremental)) this.rested = performance.now() + REST * (performance.now() - began);
    } catch (error) {
      for (const panel of wanted) {
        panel.stale = true;
        if (turn === this.turn && panel.head === null) panel.fail(error.message);
      }
      if (error.status === 404) this.renewed(); // it may be the session that is not there any more
      throw error;
    } finally {
      for (const panel of wanted) panel.asked = false;
    }
  }
}

const isPoints = (panel) => panel.incremental && !panel.node.hidden;
