// What all charts share: ECharts in a box that follows its size and the page's colours.

import * as echarts from "./vendor/echarts.esm.min.js";
import { el } from "./dom.js";
import { clock, number } from "./format.js";
import { now } from "./now.js";

const DAY = 86400000;

const linked = new Set(); // charts over time: the moment under the pointer is marked in all of them
let pointed; // until the next frame

function point(time) {
  if (pointed === undefined) {
    requestAnimationFrame(() => {
      for (const chart of linked) chart.mark(pointed);
      pointed = undefined;
    });
  }
  pointed = time;
}

export function colours() {
  const style = getComputedStyle(document.documentElement);
  const value = (name) => style.getPropertyValue(`--${name}`).trim();
  return {
    text: value("text"), muted: value("muted"), line: value("line"), strong: value("strong"), card: value("card"), accent: value("accent"),
    series: [1, 2, 3, 4, 5, 6].map((i) => value(`series-${i}`)), outside: value("outside"), heat: [0, 1, 2, 3].map((i) => value(`heat-${i}`)),
    signs: { critical: value("bad"), warning: value("warn"), info: value("accent") },
    font: style.fontFamily,
  };
}

export class Chart {
  constructor(body, redraw) {
    this.box = el("div", { class: "chart", role: "img" });
    this.tip = el("div", { class: "tip", hidden: true });
    body.append(this.box, this.tip);
    this.chart = echarts.init(this.box, null, { renderer: "canvas", useDirtyRect: false });
    this.renew = () => {
      this.resize();
      redraw();
    };
    this.dragged = false;
    this.resizer = new ResizeObserver(() => this.resize());
    this.resizer.observe(this.box);
    document.addEventListener("themechange", this.renew);
  }

  set(option, more = {}) {
    const c = colours();
    this.drawn = true;
    this.chart.setOption({
      animation: false,
      textStyle: { fontFamily: c.font, color: c.muted },
      grid: { left: 8, right: 16, top: 16, bottom: 8, containLabel: true },
      ...option,
    }, { notMerge: true, lazyUpdate: false, ...more });
  }

  // A canvas says nothing to who cannot see it.
  describe(text) {
    this.box.setAttribute("aria-label", text);
  }

  // An observer also tells of the size that there is at first, and ECharts would draw everything again.
  resize() {
    const { clientWidth: width, clientHeight: height } = this.box;
    if (width !== this.chart.getWidth() || height !== this.chart.getHeight()) this.chart.resize();
  }

  // Lines of text, and a picture where there is one; its place is kept while it comes.
  showTip(x, y, lines, picture = null) {
    const said = lines.map((line, i) => el("div", {}, el(i === 0 ? "b" : "span", { text: line })));
    const image = picture?.startsWith("/") && el("img", { src: `${picture}&size=256`, alt: "", onerror: (event) => event.target.remove() });
    this.tip.replaceChildren(...said, ...(image ? [image] : []));
    this.tip.hidden = false;
    const { width, height } = this.box.getBoundingClientRect();
    const left = Math.min(Math.max(4, x + 12), Math.max(4, width - this.tip.offsetWidth - 4));
    const top = y - this.tip.offsetHeight - 12 < 0 ? Math.min(y + 12, height - this.tip.offsetHeight - 2) : y - this.tip.offsetHeight - 12;
    this.tip.style.transform = `translate(${left}px, ${top}px)`;
  }

  hideTip() {
    this.tip.hidden = true;
  }

  // `place` gives where across the chart a moment is, in pixels, and `time` the moment at such a place.
  link(place, time) {
    this.place = place;
    this.cursor = el("div", { class: "cursor", hidden: true });
    this.tip.before(this.cursor);
    linked.add(this);
    const surface = this.chart.getZr();
    surface.on("mousemove", ({ offsetX, offsetY }) => point(this.drawn && this.chart.containPixel("grid", [offsetX, offsetY]) ? time(offsetX) : null));
    surface.on("globalout", () => point(null));
  }

  mark(time) {
    const x = time === null || !this.drawn ? NaN : this.place(time);
    this.cursor.hidden = !Number.isFinite(x) || !this.chart.containPixel("grid", [x, this.box.clientHeight / 2]);
    if (!this.cursor.hidden) this.cursor.style.transform = `translate(${x}px)`;
  }

  // The same for charts with an axis of time.
  linkByAxis() {
    this.link((time) => this.chart.convertToPixel({ xAxisIndex: 0 }, time), (x) => this.chart.convertFromPixel({ xAxisIndex: 0 }, x));
  }

  // Dragging over a chart with a time axis zooms the whole page.
  zoomable(view) {
    if (!matchMedia("(pointer: fine)").matches) return;
    const activate = () => this.chart.dispatchAction({ type: "takeGlobalCursor", key: "dataZoomSelect", dataZoomSelectActive: true });
    this.chart.on("datazoom", (event) => {
      if (!this.dragged) return; // ECharts may tell of a drag twice, the second time of a part of the first
      this.dragged = false;
      const batch = event.batch?.[0] ?? event;
      if (batch.startValue !== undefined && batch.endValue > batch.startValue) view.zoom(batch.startValue, batch.endValue);
    });
    this.activate = activate;
    this.box.addEventListener("pointerdown", () => { this.dragged = true; });
  }

  dispose() {
    document.removeEventListener("themechange", this.renew);
    this.resizer.disconnect();
    linked.delete(this);
    this.chart.dispose();
  }
}

// The tool that `takeGlobalCursor` needs, without its buttons.
export const zoomTool = { itemSize: 0, showTitle: false, right: -20, top: -20, feature: { dataZoom: { yAxisIndex: false, brushStyle: { color: "rgba(23,135,184,0.16)" } } } };

const HALF_A_MINUTE = 30_000;

// From the first value or the window's beginning to its end; while a session runs, to now, so that a stall is seen.
// Round a moment that stands alone lies a minute, where ECharts takes days.
export function timeAxis(c, view, extent, first = null) {
  const { from, to } = view.range();
  const live = to === null && (view.ofHost || view.session?.status === "running");
  const alone = first !== null && first !== undefined && extent === 0;
  return {
    type: "time",
    min: from !== null && first !== null ? Math.max(from, first) : alone ? first - HALF_A_MINUTE : undefined,
    max: to ?? (live ? now() : alone ? first + HALF_A_MINUTE : undefined),
    axisLine: { lineStyle: { color: c.line } },
    axisTick: { lineStyle: { color: c.line } },
    axisLabel: { color: c.muted, hideOverlap: true, showMaxLabel: false, showMinLabel: false, formatter: (time) => timeLabel(time, extent) },
    splitLine: { show: false },
  };
}

export function timeLabel(time, extent) {
  const date = new Date(time);
  const midnight = date.getHours() === 0 && date.getMinutes() === 0 && date.getSeconds() === 0;
  if (midnight && extent > DAY / 4) return `${date.getDate()} ${date.toLocaleString("en", { month: "short" })}`;
  return extent < 480000 ? `${clock(time)}:${String(date.getSeconds()).padStart(2, "0")}` : clock(time);
}

export function valueAxis(c, more = {}) {
  return {
    type: "value",
    scale: true,
    axisLine: { show: false },
    axisTick: { show: false },
    axisLabel: { color: c.muted, hideOverlap: true, formatter: tick },
    splitLine: { lineStyle: { color: c.line } },
    splitNumber: 4,
    ...more,
  };
}

// As many decimals as the value needs, at most six.
function tick(value) {
  const decimals = /\.(\d+)$/.exec(String(Number(value.toPrecision(8))))?.[1].length ?? 0;
  return number(value, Math.min(6, decimals));
}

// Labelled dashed lines at the limits of a value.
export function limitLines(c, limits, axis, unit, decimals) {
  const data = [];
  for (const limit of limits) {
    for (const side of ["low", "high"]) {
      if (limit[side] === null || limit[side] === undefined) continue;
      data.push({ [axis]: limit[side], label: { formatter: `${number(limit[side], decimals)} ${unit}`.trim() } });
    }
  }
  return {
    silent: true, symbol: "none", animation: false, data,
    lineStyle: { color: c.outside, type: "dashed", width: 1, opacity: 0.9 },
    label: { color: c.outside, fontSize: 11, position: axis === "yAxis" ? "insideEndTop" : "end", distance: 4 },
  };
}
