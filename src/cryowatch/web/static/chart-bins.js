// Histograms, with the last 50 beside all; and heat maps of a value over time.

import { Chart, colours, limitLines, timeLabel, valueAxis } from "./chart.js";
import { ofBins, spread } from "./chart-words.js";
import { el } from "./dom.js";
import { moment, number, quantity } from "./format.js";

export class Bins {
  constructor(described, view, body, note) {
    this.described = described;
    this.view = view;
    this.note = note;
    this.chart = new Chart(body, () => this.draw());
    const surface = this.chart.chart.getZr();
    surface.on("mousemove", (event) => this.hover(event));
    surface.on("globalout", () => this.chart.hideTip());
    if (described.kind === "heatmap") {
      this.scale = el("div", { class: "scale" });
      body.append(this.scale);
      this.chart.link((time) => this.column(time), (x) => this.moment(x));
    }
  }

  dispose() {
    this.chart.dispose();
  }

  update(data) {
    this.data = data;
    this.draw();
  }

  draw() {
    if (!this.data) return;
    if (this.described.kind === "heatmap") this.heatMap();
    else this.histogram();
  }

  // Drawn from the first bin in use to the last, with the limits always in sight.
  histogram() {
    const c = colours();
    const d = this.data;
    const limits = this.described.limits.map((limit) => this.view.bounds(limit));
    const used = d.counts.map((n, i) => (n || d.recent?.[i] ? i : -1)).filter((i) => i >= 0);
    const ends = limits.flatMap((l) => [l.low, l.high]).filter((v) => v !== null && v !== undefined);
    const first = Math.floor(Math.min(d.start + (used[0] ?? 0) * d.step, ...ends));
    const last = Math.ceil(Math.max(d.start + ((used[used.length - 1] ?? 0) + 1) * d.step, ...ends));
    const middle = (i) => d.start + (i + 0.5) * d.step;
    const lines = limitLines(c, limits, "xAxis", d.unit, d.decimals);
    for (const line of lines.data) line.label.align = inward((line.xAxis - first) / (last - first));
    const series = [{
      name: "all", type: "bar", silent: true, barWidth: "90%", barMinWidth: 2, itemStyle: { color: c.series[0], borderRadius: [2, 2, 0, 0] },
      data: d.counts.map((n, i) => [middle(i), n]).filter((_, i) => middle(i) >= first && middle(i) <= last),
      markLine: lines,
    }];
    if (d.recent) {
      series.push({
        name: "last 50, on its own scale", type: "line", step: "middle", silent: true, showSymbol: false, yAxisIndex: 1, color: c.series[1], lineStyle: { width: 1.5 },
        data: d.recent.map((n, i) => [middle(i), n]).filter((_, i) => middle(i) >= first && middle(i) <= last),
      });
    }
    this.chart.set({
      legend: d.recent ? { top: 0, right: 8, itemWidth: 10, itemHeight: 8, textStyle: { color: c.muted } } : undefined,
      grid: { left: 8, right: 16, top: 44, bottom: 20, containLabel: true },
      xAxis: valueAxis(c, { min: first, max: last, splitLine: { show: false }, name: d.unit, nameLocation: "middle", nameGap: 22, nameTextStyle: { color: c.muted } }),
      yAxis: [valueAxis(c, { scale: false, minInterval: 1 }), { type: "value", show: false, min: 0 }],
      series,
    });
    const beyond = d.beyond ? `; ${number(d.beyond)} beyond` : "";
    this.note(`median ${quantity(d.median, d.unit, d.decimals)}; n = ${number(d.n)}${beyond}`);
    this.say(d.n, { ...ofBins(d.counts, d.start, d.step), median: d.median }, beyond);
  }

  heatMap() {
    const c = colours();
    const d = this.data;
    const used = d.cells.map((cell) => cell[1]);
    const low = Math.max(0, Math.min(...used) - 1);
    const high = Math.min(d.bins - 1, Math.max(...used) + 1);
    const names = Array.from({ length: high - low + 1 }, (_, i) => d.start + (low + i) * d.step);
    const most = Math.max(...d.cells.map((cell) => cell[2]));
    const extent = d.time[d.time.length - 1] - d.time[0];
    const every = Math.max(1, Math.ceil((names.length * 22) / Math.max(60, this.chart.box.clientHeight - 40)));
    this.span = { low };
    this.chart.set({
      grid: { left: 8, right: 16, top: 28, bottom: 8, containLabel: true },
      xAxis: { type: "category", data: d.time.map((t) => timeLabel(t, extent)), axisLine: { lineStyle: { color: c.line } }, axisTick: { show: false }, axisLabel: { color: c.muted, hideOverlap: true } },
      yAxis: { type: "category", data: names.map((v) => number(v, 1)), axisLine: { show: false }, axisTick: { show: false }, axisLabel: { color: c.muted, interval: (i) => (low + i) % every === 0 }, splitLine: { show: false } },
      visualMap: { show: false, min: 0, max: most, inRange: { color: c.heat } },
      series: [{ type: "heatmap", silent: true, data: d.cells.map(([t, b, n]) => [t, b - low, n]), itemStyle: { borderColor: c.card, borderWidth: 1 }, progressive: 0 }],
    });
    this.scale.replaceChildren(el("span", { text: "0" }), el("i"), el("span", { text: `${number(most)} micrographs` }));
    this.note(`steps of ${d.step_ms >= 3600000 ? `${d.step_ms / 3600000} h` : `${d.step_ms / 60000} min`}`);
    const counts = Array(d.bins).fill(0);
    for (const [, bin, n] of d.cells) counts[bin] += n;
    this.say(counts.reduce((sum, n) => sum + n, 0), ofBins(counts, d.start, d.step));
  }

  // Where the step is that holds a moment, and the middle of the step at a place.
  column(time) {
    const { time: begins, step_ms: step } = this.data;
    const i = begins.findLastIndex((begin) => begin <= time);
    return i < 0 || time > begins[i] + step ? NaN : this.chart.chart.convertToPixel({ xAxisIndex: 0 }, i);
  }

  moment(x) {
    const begin = this.data.time[Math.round(this.chart.chart.convertFromPixel({ xAxisIndex: 0 }, x))];
    return begin === undefined ? null : begin + this.data.step_ms / 2;
  }

  say(n, found, more = "") {
    this.chart.describe(`${this.described.title}: n = ${number(n)}; ${spread(found, this.data)}${more}`);
  }

  hover({ offsetX, offsetY }) {
    const chart = this.chart.chart;
    const d = this.data;
    if (!d || !chart.containPixel("grid", [offsetX, offsetY])) {
      this.chart.hideTip();
      return;
    }
    const [x, y] = chart.convertFromPixel("grid", [offsetX, offsetY]);
    if (this.described.kind === "heatmap") {
      const bin = y + this.span.low;
      const n = d.cells.find((cell) => cell[0] === x && cell[1] === bin)?.[2] ?? 0;
      const from = d.start + bin * d.step;
      this.chart.showTip(offsetX, offsetY, [`${number(n)} micrographs`, `${number(from, d.decimals)}–${quantity(from + d.step, d.unit, d.decimals)}`, `from ${moment(d.time[x])}`]);
      return;
    }
    const bin = Math.floor((x - d.start) / d.step);
    const from = d.start + bin * d.step;
    const recent = d.recent ? [`${number(d.recent[bin] ?? 0)} of the last 50`] : [];
    this.chart.showTip(offsetX, offsetY, [`${number(from, d.decimals)}–${quantity(from + d.step, d.unit, d.decimals)}`, `${number(d.counts[bin] ?? 0)} of ${number(d.n)}`, ...recent]);
  }
}

// Labels near an end of the axis stand on its inner side, clear of the other axis' numbers.
function inward(place) {
  if (place < 0.1) return "left";
  return place > 0.9 ? "right" : "center";
}
