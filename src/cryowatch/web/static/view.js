// What a page shows: which output, which time, which limits, which micrographs. All of it is in the address, so a link
// shows the same, every link between dashboards keeps it, and Back undoes the last choice.

import { get } from "./api.js";
import { now } from "./now.js";

const HOUR = 3600000;
const OWN = ["output", "window", "from", "to"];
const FILTER = /^(?:sort|order|search|enabled|fit|good|outside|pictured|(?:min|max)_.+)$/;
const UNDER_WAY = ["running", "launched", "empty"];

// What one may choose; the rest of a view comes from the agent.
export const CHOICES = [...OWN, "limits", "filter"];

export class View extends EventTarget {
  constructor(session, dashboard) {
    super();
    this.id = session;
    this.dashboard = dashboard;
    this.definition = null;
    this.session = null;
    this.read();
  }

  read() {
    const address = new URLSearchParams(location.search);
    for (const name of ["output", "window"]) this[name] = address.get(name) || null;
    for (const name of ["from", "to"]) this[name] = number(address.get(name));
    const others = [...address].filter(([name]) => !OWN.includes(name));
    this.filter = Object.fromEntries(others.filter(([name]) => FILTER.test(name)));
    this.limits = Object.fromEntries(others.filter(([name]) => !FILTER.test(name)));
    this.address = this.written();
    this.keep();
  }

  define(definition) {
    this.definition = definition;
    this.ofHost = definition.panels.every((p) => ["host", "device"].includes(p.record));
  }

  // The values of this dashboard's variables; those of others only stay in the address.
  variables() {
    const known = this.definition?.variables.map((v) => v.name);
    return Object.fromEntries(Object.entries(this.limits).filter(([name]) => known?.includes(name) ?? true));
  }

  // Bounds for a field: those of the panel with the readers' own values of the variables.
  bounds(limit) {
    const own = limit.variable ? number(this.limits[limit.variable]) : null;
    return { ...limit, high: own ?? limit.high };
  }

  // The name, values and images of a micrograph.
  micrograph(id) {
    return get(`/api/micrographs/${id}`);
  }

  query() {
    const { from, to } = this.range();
    return { ...this.variables(), output: this.output, from, to };
  }

  // Which micrographs the gallery shows.
  selection() {
    return { ...this.query(), ...this.filter };
  }

  // The micrographs that this page is about: the gallery's, elsewhere all of the time.
  shown() {
    return this.isGallery() ? this.selection() : this.query();
  }

  isGallery() {
    return this.definition.panels.some((p) => p.kind === "gallery" && p.width === 12);
  }

  // Among which micrographs one steps from one that is enlarged: those of the gallery, elsewhere all by time.
  beside() {
    return this.isGallery() ? this.selection() : {};
  }

  isChosen() {
    return this.from !== null || this.to !== null;
  }

  // A session that is over has an end, from which times count back.
  isOver() {
    return this.session !== null && !UNDER_WAY.includes(this.session.status);
  }

  // When what is shown ends: now, or with the session.
  end() {
    if (this.ofHost) return this.isOver() ? this.span().to ?? now() : now();
    return this.session?.status === "running" ? now() : this.session?.newest.time ?? now();
  }

  // From when to when the runs of a session worked.
  span() {
    const runs = this.session?.runs ?? [];
    const times = (name) => runs.map((run) => run[name]).filter((time) => time !== null);
    const starts = times("started");
    const from = starts.length ? Math.min(...starts) : this.session?.created ?? null;
    const ends = [...times("ended"), ...starts, this.session?.newest.time ?? null].filter((time) => time !== null);
    return { from, to: this.isOver() && ends.length ? Math.max(...ends) : null };
  }

  range() {
    if (this.isChosen()) return { from: this.from, to: this.to };
    const window = this.window ?? this.usual();
    const hours = Number.parseFloat(window);
    if (hours > 0) {
      const end = this.end();
      return { from: Math.max(0, Math.floor(end - hours * HOUR)), to: this.ofHost && this.isOver() ? end : null };
    }
    if (!this.ofHost) return { from: null, to: null };
    return window === "now" ? { from: Math.floor(now() - HOUR), to: null } : this.span();
  }

  // The time that is shown where none was chosen.
  usual() {
    if (!this.ofHost) return null;
    return this.isOver() ? "session" : `${this.definition.window_seconds / 3600}h`;
  }

  // What is said of a micrograph without defocus: not there yet, or looked for in vain.
  withoutCtf(output) {
    const kind = this.session?.outputs?.find((o) => o.run === output.run && o.name === output.output)?.kind;
    return kind === "ctf" ? "no CTF could be fitted" : "CTF not estimated yet";
  }

  narrowed() {
    const { from, to } = this.range();
    return !this.ofHost && (from !== null || to !== null);
  }

  // Takes a choice, which is a step that Back undoes; all that is typed into one field is one step.
  set(values, { typed = null } = {}) {
    Object.assign(this, values);
    const address = this.written();
    if (address !== this.address) {
      const same = typed !== null && history.state?.typed === typed;
      history[same ? "replaceState" : "pushState"]({ typed }, "", `${location.pathname}${address}${location.hash}`);
      this.address = address;
      this.keep();
    }
    this.dispatchEvent(new Event("change"));
  }

  // Back and Forward of the browser: the page shows what its address says.
  follow() {
    addEventListener("popstate", () => this.look());
    addEventListener("pageshow", () => this.look());
  }

  look() {
    const { address } = this;
    this.read();
    if (this.address !== address) this.dispatchEvent(new Event("change"));
  }

  zoom(from, to) {
    this.set({ from: Math.floor(from), to: Math.ceil(to), window: null });
  }

  written() {
    const address = new URLSearchParams();
    const { output, window, from, to } = this;
    for (const [name, value] of Object.entries({ output, window, from, to, ...this.limits, ...this.filter })) {
      if (value !== null && value !== undefined && value !== "") address.set(name, value);
    }
    return address.size ? `?${address}` : "";
  }

  // Links to the other dashboards lead to the same choices.
  keep() {
    for (const link of document.querySelectorAll("a[data-keeps][href]")) link.search = this.address;
  }
}

function number(text) {
  const value = text === null || text === undefined || text === "" ? NaN : Number(text);
  return Number.isFinite(value) ? value : null;
}
