// A point for each micrograph: over time, or one value against another. A click opens the micrograph.

import { Chart, colours, limitLines, timeAxis, valueAxis, zoomTool } from "./chart.js";
import { Marks } from "./chart-marks.js";
import { words } from "./chart-words.js";
import { open } from "./enlarge.js";
import { moment, number, quantity } from "./format.js";

const REACH = 14;
const RESTS = 120; // ms at a point, after which its name and picture are asked for

export class Points {
  constructor(described, view, body, note) {
    this.described = described;
    this.view = view;
    this.note = note;
    this.overTime = described.kind === "timeseries";
    this.chart = new Chart(body, () => this.draw());
    if (this.overTime) {
      this.chart.zoomable(view);
      this.chart.linkByAxis();
    }
    this.marks = this.overTime ? new Marks(described, view, () => this.draw()) : null;
    const surface = this.chart.chart.getZr();
    surface.on("mousemove", (event) => this.hover(event));
    surface.on("globalout", () => this.leave());
    surface.on("click", (event) => {
      const found = this.described.clickable ? this.nearest(event) : null;
      if (found) open(this.view, found.id);
    });
    this.pointed = new Map();
    this.rests = null;
    this.rows = new Map();
    this.columns = null;
    this.drawn = "";
  }

  dispose() {
    this.marks?.dispose();
    this.chart.dispose();
  }

  // A partial answer adds and replaces rows by id; a whole one is all there is.
  update(data) {
    const found = this.overTime ? data.series.map((s) => s.values) : [data.x.values, data.y.values];
    if (!data.partial) {
      this.rows.clear();
      this.columns = [];
      this.meta = this.overTime ? data.series : [data.x, data.y];
      this.hiddenPoints = data.total - data.shown;
    } else if (!data.id.length) {
      return;
    }
    for (let i = 0; i < data.id.length; i += 1) this.add([data.id[i], data.time[i], ...found.map((values) => values[i])]);
    this.draw(true);
  }

  // Rows stay in order of time; nearly all come at the end.
  add(row) {
    const old = this.rows.get(row[0]);
    if (old && old[1] === row[1]) {
      old.splice(0, old.length, ...row);
      return;
    }
    if (old) this.columns.splice(this.columns.indexOf(old), 1);
    this.rows.set(row[0], row);
    const last = this.columns[this.columns.length - 1];
    if (!last || last[1] <= row[1]) this.columns.push(row);
    else this.columns.splice(place(this.columns, row[1] + 1), 0, row);
  }

  // Where only points came, ECharts gets those and the end of the axis, not everything anew.
  draw(pointsAlone = false) {
    if (!this.columns) return;
    const c = colours();
    const limits = this.described.limits.map((limit) => this.view.bounds(limit));
    const count = this.columns.length;
    const large = count > 4000;
    const size = large ? 3 : count > 800 ? 4 : 5;
    const series = this.overTime ? this.timeSeries(c, limits, large, size) : this.scatter(c, limits, large, size);
    const shape = `${series.map((s) => [s.name, s.large])} ${large} ${size} ${JSON.stringify(limits)} ${this.marks?.key()}`;
    const same = pointsAlone && this.drawn === shape;
    this.drawn = shape;
    const [first, last] = [this.columns[0]?.[1], this.columns[count - 1]?.[1]];
    const axis = this.overTime ? timeAxis(c, this.view, count ? last - first : 0, first) : null;
    if (this.marks && count) series[0].markArea = this.marks.area(c, axis, first, last);
    const [x] = this.meta;
    if (same) {
      this.chart.chart.setOption({ ...(axis ? { xAxis: axis } : {}), series: series.map(({ data, markArea }) => ({ data, ...(markArea ? { markArea } : {}) })) });
      this.say();
      return;
    }
    this.chart.set({
      toolbox: this.overTime ? zoomTool : undefined,
      legend: this.overTime && this.meta.length > 1 ? { top: 0, right: 8, icon: "circle", itemWidth: 8, itemHeight: 8, textStyle: { color: c.muted } } : undefined,
      grid: { left: 8, right: 32, top: this.overTime && this.meta.length > 1 ? 28 : 16, bottom: this.overTime ? 8 : 24, containLabel: true },
      xAxis: axis ?? valueAxis(c, { name: `${x.label} (${x.unit})`, nameLocation: "middle", nameGap: 24, nameTextStyle: { color: c.muted } }),
      yAxis: valueAxis(c),
      series,
    });
    this.chart.activate?.();
    this.say();
  }

  // ECharts cannot draw a large series of no points.
  timeSeries(c, limits, large, size) {
    const series = [];
    this.meta.forEach((meta, k) => {
      const limit = limits.find((l) => l.field === this.described.fields[k]?.name);
      const inside = [];
      const outside = [];
      const ends = [Infinity, -Infinity];
      for (const row of this.columns) {
        const value = row[k + 2];
        if (value === null) continue;
        (isOutside(value, limit) ? outside : inside).push(row[1], value);
        ends[0] = Math.min(ends[0], value);
        ends[1] = Math.max(ends[1], value);
      }
      const near = inSight(limit, ends).map((value) => [this.columns[0][1], value]);
      const shared = { type: "scatter", large, largeThreshold: 0, progressive: 0, symbolSize: size, silent: true };
      series.push({ ...shared, name: meta.label, data: Float64Array.from(inside), large: large && inside.length > 0, itemStyle: { color: c.series[k], opacity: large ? 0.6 : 0.85 }, markLine: limit ? limitLines(c, [limit], "yAxis", meta.unit, meta.decimals) : undefined });
      if (limit) series.push({ ...shared, name: meta.label, data: Float64Array.from(outside), large: large && outside.length > 0, symbol: "triangle", symbolSize: size + 2, itemStyle: { color: c.outside } });
      if (near.length) series.push({ ...shared, name: meta.label, data: near, large: false, symbolSize: 0 });
    });
    return series;
  }

  scatter(c, limits, large, size) {
    const limit = limits.find((l) => l.field === this.described.fields[1].name);
    const split = [[], []];
    for (const row of this.columns) split[isOutside(row[3], limit) ? 1 : 0].push(row[2], row[3]);
    const shared = { type: "scatter", large, largeThreshold: 0, progressive: 0, symbolSize: size, silent: true };
    const [x, y] = this.meta;
    return [
      { ...shared, name: x.label, data: Float64Array.from(split[0]), large: large && split[0].length > 0, itemStyle: { color: c.series[0], opacity: large ? 0.6 : 0.85 }, markLine: limit ? limitLines(c, [limit], "yAxis", y.unit, y.decimals) : undefined },
      { ...shared, name: "outside", data: Float64Array.from(split[1]), large: large && split[1].length > 0, symbol: "triangle", symbolSize: size + 2, itemStyle: { color: c.outside } },
    ];
  }

  summary() {
    const { hiddenPoints } = this;
    const shown = `n = ${number(this.columns.length)}`;
    return hiddenPoints > 0 ? `${shown} of ${number(this.columns.length + hiddenPoints)}; zoom in for all` : shown;
  }

  say() {
    this.note(this.summary());
    const series = this.meta.map(({ label, unit, decimals }, k) => ({ label, unit, decimals, values: this.columns.map((row) => row[k + 2]) }));
    this.chart.describe(words(this.described.title, this.summary(), series));
  }

  hover(event) {
    const found = this.nearest(event);
    this.chart.box.style.cursor = found && this.described.clickable ? "pointer" : "default";
    const inside = this.columns?.length && this.chart.chart.containPixel("grid", [event.offsetX, event.offsetY]);
    const alerts = this.marks && inside ? this.marks.at(this.chart.chart, event.offsetX) : [];
    const values = found ? this.meta.map((meta, k) => `${meta.label}: ${quantity(found.values[k], meta.unit, meta.decimals)}`) : [];
    const lines = [...values, ...(found ? [moment(found.time)] : []), ...alerts];
    clearTimeout(this.rests);
    if (!lines.length) {
      this.chart.hideTip();
      return;
    }
    const show = (micrograph) => this.chart.showTip(event.offsetX, event.offsetY, [micrograph?.name, ...lines].filter(Boolean), micrograph?.images.micrograph);
    const known = found && this.described.clickable ? this.pointed.get(found.id) : null;
    show(known);
    if (found && this.described.clickable && !known && this.view.micrograph) this.rests = setTimeout(() => this.tell(found.id, show), RESTS);
  }

  // The name and the picture of the point at which the pointer rests.
  async tell(id, show) {
    const mine = this.rests;
    const micrograph = await this.view.micrograph(id).catch(() => null);
    if (!micrograph) return;
    this.pointed.set(id, micrograph);
    if (this.rests === mine) show(micrograph);
  }

  leave() {
    clearTimeout(this.rests);
    this.rests = null;
    this.chart.hideTip();
  }

  // The point within reach of the pointer, found by time where there is a time axis.
  nearest({ offsetX, offsetY }) {
    const chart = this.chart.chart;
    if (!this.columns?.length || !chart.containPixel("grid", [offsetX, offsetY])) return null;
    let [first, last] = [0, this.columns.length];
    if (this.overTime) {
      const low = chart.convertFromPixel({ xAxisIndex: 0 }, offsetX - REACH);
      const high = chart.convertFromPixel({ xAxisIndex: 0 }, offsetX + REACH);
      first = place(this.columns, low);
      last = place(this.columns, high);
    }
    let best = null;
    let least = REACH * REACH;
    for (let i = first; i < last; i += 1) {
      const row = this.columns[i];
      const pairs = this.overTime ? this.meta.map((_, k) => [row[1], row[k + 2]]) : [[row[2], row[3]]];
      for (const [x, y] of pairs) {
        if (y === null) continue;
        const [px, py] = chart.convertToPixel("grid", [x, y]);
        const away = (px - offsetX) ** 2 + (py - offsetY) ** 2;
        if (away < least) {
          least = away;
          best = row;
        }
      }
    }
    return best && { id: best[0], time: best[1], values: best.slice(2) };
  }
}

function isOutside(value, limit) {
  if (!limit) return false;
  return (limit.low !== null && value < limit.low) || (limit.high !== null && value > limit.high);
}

// Limits beyond the values that lie no farther from them than they spread: the axis reaches these too.
function inSight(limit, [least, most]) {
  if (!limit || least > most) return [];
  const spread = most - least || Math.abs(most);
  const isNear = (bound, distance) => bound !== null && bound !== undefined && distance > 0 && distance <= spread;
  return [[limit.low, least - limit.low], [limit.high, limit.high - most]].filter((pair) => isNear(...pair)).map(([bound]) => bound);
}

function place(rows, time) {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle][1] < time) low = middle + 1;
    else high = middle;
  }
  return low;
}
