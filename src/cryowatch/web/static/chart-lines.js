// Lines or bars over time: the host's load, the rate of each stage.

import { Chart, colours, limitLines, timeAxis, valueAxis, zoomTool } from "./chart.js";
import { Marks } from "./chart-marks.js";
import { words } from "./chart-words.js";
import { moment, quantity } from "./format.js";
import { now } from "./now.js";

// Stages keep pace, so their lines lie on each other: each shows through the gaps of the next.
const DASHES = ["solid", [8, 6], [3, 9]];

// The last step goes on to its end.
function stretched(time, values, step) {
  const last = time.length - 1;
  return [...time.map((t, k) => [t, values[k]]), [Math.min(time[last] + step, now()), values[last]]];
}

export class Lines {
  constructor(described, view, body, note) {
    this.described = described;
    this.view = view;
    this.note = note;
    this.chart = new Chart(body, () => this.draw());
    this.chart.zoomable(view);
    this.chart.linkByAxis();
    this.marks = new Marks(described, view, () => this.draw());
    const surface = this.chart.chart.getZr();
    surface.on("mousemove", (event) => this.hover(event));
    surface.on("globalout", () => this.chart.hideTip());
  }

  dispose() {
    this.marks.dispose();
    this.chart.dispose();
  }

  update(data) {
    this.data = data;
    this.draw();
  }

  draw() {
    if (!this.data) return;
    const c = colours();
    const { time, series } = this.data;
    const limits = this.described.limits.map((limit) => this.view.bounds(limit));
    const unit = series[0]?.unit ?? "";
    const percent = unit === "%";
    const bars = this.described.style === "bars";
    const last = time.length - 1;
    const axis = timeAxis(c, this.view, time.length ? time[last] - time[0] : 0, time[0]);
    this.chart.set({
      toolbox: zoomTool,
      legend: { top: 0, right: 8, icon: "roundRect", itemWidth: 10, itemHeight: bars ? 8 : 3, textStyle: { color: c.muted, lineHeight: 20 }, type: "scroll", left: 8 },
      grid: { left: 8, right: 32, top: 32, bottom: 8, containLabel: true },
      xAxis: axis,
      yAxis: valueAxis(c, { scale: false, min: 0, ...(percent ? { max: 100, interval: 25 } : {}) }),
      series: series.map((line, i) => ({
        name: line.label.replaceAll(/[{}|]/g, " "), type: "line", silent: true, showSymbol: time.length < 2, symbolSize: 5, connectNulls: false,
        step: bars ? "end" : false,
        sampling: "lttb", lineStyle: { width: bars ? 2 : 1.5, type: bars ? DASHES[i % DASHES.length] : "solid" }, color: c.series[i % c.series.length],
        data: bars ? stretched(time, line.values, this.data.step_ms) : time.map((t, k) => [t, line.values[k]]),
        markArea: i === 0 ? this.marks.area(c, axis, time[0], time[last] + (this.data.step_ms ?? 0)) : undefined,
        markLine: i === 0 && limits.length ? limitLines(c, limits, "yAxis", unit, line.decimals) : undefined,
      })),
    });
    this.chart.activate?.();
    this.note(bars ? unit : "");
    this.chart.describe(words(this.described.title, `${moment(time[0])} to ${moment(time[last])}`, series));
  }

  hover({ offsetX, offsetY }) {
    const chart = this.chart.chart;
    if (!this.data?.time.length || !chart.containPixel("grid", [offsetX, offsetY])) {
      this.chart.hideTip();
      return;
    }
    const { time, series } = this.data;
    const wanted = chart.convertFromPixel({ xAxisIndex: 0 }, offsetX);
    let best = 0;
    for (let i = 1; i < time.length; i += 1) if (Math.abs(time[i] - wanted) < Math.abs(time[best] - wanted)) best = i;
    const lines = series.filter((s) => s.values[best] !== null).map((s) => `${s.label}: ${quantity(s.values[best], s.unit, s.decimals)}`);
    this.chart.showTip(offsetX, offsetY, [moment(time[best]), ...lines.slice(0, 12), ...this.marks.at(chart, offsetX)]);
  }
}
