// One panel: a card, its title, and whatever draws its kind.

import { about } from "./about.js";
import { Bins } from "./chart-bins.js";
import { Lines } from "./chart-lines.js";
import { Points } from "./chart-points.js";
import { el } from "./dom.js";
import { Gallery } from "./gallery.js";
import { Newest } from "./newest.js";
import { Stats } from "./stats.js";
import { Table } from "./table.js";
import { Text } from "./text.js";

function drawer(described) {
  switch (described.kind) {
    case "stat": return Stats;
    case "table": return Table;
    case "histogram":
    case "heatmap": return Bins;
    case "scatter": return Points;
    case "timeseries": return described.style === "points" ? Points : Lines;
    case "text": return Text;
    case "gallery": return described.width === 12 ? Gallery : Newest;
    default: return Table;
  }
}

// Height of the grid's rows, as in panels.css.
const ROW = 64;

// Rows that a table may take where somebody has unfolded something in it.
const UNFOLDED = 9;

// The unit of what a chart's vertical axis shows, beside its title.
function unit(described) {
  if (!["timeseries", "scatter", "heatmap"].includes(described.kind)) return null;
  const shown = described.kind === "scatter" ? described.fields[1] : described.fields[0];
  return shown?.unit ? el("span", { class: "unit", text: ` ${shown.unit}` }) : null;
}

export class Panel {
  constructor(described, view) {
    this.id = described.id;
    this.described = described;
    this.view = view;
    this.head = null;
    this.stale = true;
    this.asked = false;
    this.near = false;
    this.inSight = false;
    this.incremental = described.record === "micrograph" && (described.kind === "scatter" || (described.kind === "timeseries" && described.style === "points"));
    this.failed = false;
    this.drawn = null;
    this.note = el("span", { class: "note" });
    this.body = el("div", { class: "body" });
    if (described.kind === "table") this.body.addEventListener("toggle", () => this.fit(), true);
    const small = described.kind === "stat" && described.width <= 3 ? "small" : "";
    this.node = el("section", { class: `panel ${described.kind} ${small} waiting`, "data-panel": described.id, "aria-label": described.title },
      el("header", {}, el("h2", {}, described.title, unit(described)), ...about(described.title, described.id, described.text), this.note), this.body);
    this.node.style.setProperty("--width", described.width);
    this.node.style.setProperty("--medium", described.width <= 3 ? 6 : described.width < 6 ? 6 : described.width === 6 ? 6 : 12);
    this.node.style.setProperty("--height", described.height);
    if (drawer(described) === Gallery) {
      this.node.classList.add("bare");
    }
  }

  show(data, head) {
    this.head = head;
    this.failed = false;
    this.node.classList.remove("waiting", "failed");
    if (data.empty) {
      this.node.hidden = true;
      this.drawn?.dispose?.();
      this.drawn = null;
      this.body.replaceChildren();
      return;
    }
    this.node.hidden = false;
    if (data.quiet) {
      this.say(data.quiet);
      return;
    }
    if (this.drawn === null) {
      this.body.replaceChildren();
      this.drawn = new (drawer(this.described))(this.described, this.view, this.body, (text) => { this.note.textContent = text; });
    }
    this.drawn.update(data);
    if (this.described.kind === "table") this.fit();
  }

  // Why there is nothing to show, in one line.
  say(text) {
    this.drawn?.dispose?.();
    this.drawn = null;
    this.body.replaceChildren(el("p", { class: "quiet", text }));
    this.node.style.setProperty("--height", 1);
  }

  // A table takes no more rows of the grid than it fills.
  fit() {
    const style = getComputedStyle(this.node.parentElement);
    const needed = this.node.querySelector("header").offsetHeight + this.body.querySelector("table").offsetHeight + 16;
    const most = this.body.querySelector("details[open]") ? UNFOLDED : this.described.height;
    const rows = Math.ceil((needed + Number.parseFloat(style.rowGap)) / (ROW + Number.parseFloat(style.rowGap)));
    this.node.style.setProperty("--height", this.described.width < 12 ? this.described.height : Math.min(most, rows));
  }

  // Asked for whole again; what is shown stays until then.
  forget() {
    this.stale = true;
    this.head = null;
  }

  fail(text) {
    this.failed = true;
    this.node.classList.remove("waiting");
    this.node.classList.add("failed");
    this.body.textContent = text;
    this.drawn = null;
    setTimeout(() => { this.failed = false; }, 5000);
  }
}
