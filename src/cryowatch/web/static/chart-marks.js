// When an alert lasted: a shaded span on the time axes that it concerns, and what it said for whoever points there.

import { now } from "./now.js";
import { SIGNS } from "./signs.js";

const MOST = 200;
const OPACITY = { critical: 0.16, warning: 0.1, info: 0.05 };
const REACH = 3;
const THINNEST = 1 / 300;

export class Marks {
  constructor(described, view, redraw) {
    this.described = described;
    this.alerts = view.alerts;
    this.drawn = "";
    this.changed = () => { if (this.key() !== this.drawn) redraw(); };
    this.alerts?.addEventListener("change", this.changed);
  }

  dispose() {
    this.alerts?.removeEventListener("change", this.changed);
  }

  // What names a field is marked where that is shown; what names none, as a stage that stopped, on the stages' rates.
  list() {
    const { record, fields } = this.described;
    const names = fields.map((field) => field.name);
    const shown = (alert) => (alert.field ? alert.record === record && names.includes(alert.field) : record === "output" && alert.session !== null);
    return (this.alerts?.list ?? []).filter(shown).slice(0, MOST);
  }

  // What is drawn, but for the end of what lasts.
  key() {
    return this.list().map((a) => `${a.id}${a.severity}${a.since}-${a.until ?? ""}`).join();
  }

  area(c, axis, first, last) {
    this.drawn = this.key();
    const low = axis.min ?? first;
    const high = axis.max ?? last;
    const thinnest = (high - low) * THINNEST;
    const data = [];
    for (const alert of this.list()) {
      const end = alert.until ?? now();
      if (alert.since > high || end < low) continue;
      const from = Math.min(Math.max(low, alert.since), high - thinnest);
      const colour = c.signs[alert.severity];
      data.push([
        { xAxis: from, itemStyle: { color: colour, opacity: OPACITY[alert.severity] }, label: { formatter: SIGNS[alert.severity], color: colour } },
        { xAxis: Math.max(from + thinnest, Math.min(high, end)) },
      ]);
    }
    return { silent: true, animation: false, data, label: { show: true, position: "top", distance: 2, fontSize: 10 } };
  }

  // The texts of those that lasted where the pointer is.
  at(chart, x) {
    const time = chart.convertFromPixel({ xAxisIndex: 0 }, x);
    const slack = chart.convertFromPixel({ xAxisIndex: 0 }, x + REACH) - time;
    return this.list().filter((a) => time >= a.since - slack && time <= (a.until ?? now()) + slack).map((a) => `${SIGNS[a.severity]} ${a.text}`);
  }
}
