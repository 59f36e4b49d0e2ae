// What a page shows: which output, which time, which limits. All of it is in the address, so a link shows the same.

import { now } from "./now.js";

const HOUR = 3600000;

export class View extends EventTarget {
  constructor(session, dashboard) {
    super();
    this.id = session;
    this.dashboard = dashboard;
    this.definition = null;
    this.session = null;
    const address = new URLSearchParams(location.search);
    this.output = address.get("output");
    this.window = address.get("window");
    this.from = number(address.get("from"));
    this.to = number(address.get("to"));
    this.limits = Object.fromEntries([...address].filter(([name]) => !["output", "window", "from", "to"].includes(name)));
  }

  define(definition) {
    this.definition = definition;
    const known = new Set(definition.variables.map((v) => v.name));
    this.limits = Object.fromEntries(Object.entries(this.limits).filter(([name]) => known.has(name)));
    this.ofHost = definition.panels.every((p) => ["host", "device"].includes(p.record));
    if (this.ofHost && !this.window && this.from === null) this.window = `${definition.window_seconds / 3600}h`;
  }

  variables() {
    return { ...this.limits };
  }

  // Bounds for a field: those of the panel with the readers' own values of the variables.
  bounds(limit) {
    const own = limit.variable ? number(this.limits[limit.variable]) : null;
    return { ...limit, high: own ?? limit.high };
  }

  query() {
    const { from, to } = this.range();
    return { ...this.limits, output: this.output, from, to };
  }

  range() {
    if (this.from !== null || this.to !== null) return { from: this.from, to: this.to };
    const hours = Number.parseFloat(this.window);
    if (!hours) return { from: null, to: null };
    const live = this.ofHost || this.session?.status === "running";
    const end = live ? now() : this.session?.newest.time ?? now();
    return { from: Math.floor(end - hours * HOUR), to: null };
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

  set(values) {
    Object.assign(this, values);
    const address = new URLSearchParams();
    for (const [name, value] of Object.entries({ output: this.output, window: this.window, from: this.from, to: this.to, ...this.limits })) {
      if (value !== null && value !== undefined && value !== "") address.set(name, value);
    }
    const query = address.size ? `?${address}` : "";
    history.replaceState(null, "", `${location.pathname}${query}${location.hash}`);
    for (const link of document.querySelectorAll(".tabs a")) link.search = query;
    this.dispatchEvent(new Event("change"));
  }

  zoom(from, to) {
    this.set({ from: Math.floor(from), to: Math.ceil(to), window: null });
  }
}

function number(text) {
  const value = text === null || text === undefined || text === "" ? NaN : Number(text);
  return Number.isFinite(value) ? value : null;
}
