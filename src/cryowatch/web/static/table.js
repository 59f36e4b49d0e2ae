// Rows and columns; a cell may bring its own unit and format. A click on a column's head sorts by it.

import { el } from "./dom.js";
import { age, bytes, duration, moment, number, quantity, status } from "./format.js";
import { logButton } from "./log.js";

const RIGHT = ["number", "count", "bytes", "duration"];
const FALLING = [...RIGHT, "time", "age"];

export class Table {
  constructor(described, view, body) {
    this.place = el("div", { class: "rows", tabIndex: 0 });
    this.sorted = null;
    this.view = view;
    this.opened = new Set();
    body.append(this.place);
  }

  update(data) {
    this.data = data;
    const titled = data.columns.some((c) => c.label);
    this.runs = new Map(data.rows.map((row, i) => [row, data.runs?.[i]]));
    const logs = data.runs && this.view?.session?.logs;
    const place = data.columns.findIndex((column) => column.format === "status") + 1;
    const logged = (cells, more) => (logs ? [...cells.slice(0, place), more(), ...cells.slice(place)] : cells);
    this.place.classList.toggle("pairs", !titled);
    const table = el("table");
    if (titled) table.append(el("thead", {}, el("tr", {}, ...logged(data.columns.map((column, i) => this.head(column, i)), () => el("td")))));
    table.append(el("tbody", {}, ...this.rows().map((row) => {
      const run = this.runs.get(row);
      const cells = row.map((value, i) => (data.columns[i].format === "error" ? this.error(value, run) : cell(value, data.columns[i])));
      return el("tr", {}, ...logged(cells, () => el("td", { class: "act" }, logButton(this.view, run))));
    })));
    const { scrollTop, scrollLeft } = this.place;
    const left = data.total - data.rows.length;
    this.place.replaceChildren(...(left > 0 ? [el("p", { class: "muted", text: `The last ${number(data.rows.length)} of ${number(data.total)}` })] : []), table);
    this.place.scrollTo(scrollLeft, scrollTop);
  }

  head(column, i) {
    const way = this.sorted?.column === i ? this.sorted.way : null;
    const button = el("button", { class: "sort", type: "button", title: "Sort", onclick: () => this.sort(i) },
      column.unit && column.format === "number" ? `${column.label} (${column.unit})` : column.label);
    if (!column.label) return el("td", { class: "head" });
    return el("th", { scope: "col", class: RIGHT.includes(column.format) ? "head number" : "head", "aria-sort": way }, button);
  }

  // A whole error, of which the last line is seen until somebody opens it.
  error(value, run) {
    const lines = (value ?? "").split("\n").filter((line) => line.trim());
    if (!lines.length) return el("td", { text: "" });
    const last = lines.at(-1).trim();
    if (lines.length === 1 && last.length <= 40) return el("td", { text: last });
    const keep = (event) => this.opened[event.target.open ? "add" : "delete"](run);
    return el("td", { class: "error" }, el("details", { open: this.opened.has(run), ontoggle: keep },
      el("summary", { text: last }), el("pre", { text: value.trim() })));
  }

  // Numbers and times first fall, texts first rise; a third click brings the table's own order back.
  sort(i) {
    const first = FALLING.includes(this.data.columns[i].format) ? "descending" : "ascending";
    const second = first === "ascending" ? "descending" : "ascending";
    const way = this.sorted?.column !== i ? first : this.sorted.way === first ? second : null;
    this.sorted = way && { column: i, way };
    this.update(this.data);
    this.place.querySelectorAll(".head")[i].querySelector("button")?.focus();
  }

  rows() {
    if (this.sorted === null || this.sorted.column >= this.data.columns.length) return this.data.rows;
    const { column, way } = this.sorted;
    const sign = way === "ascending" ? 1 : -1;
    return [...this.data.rows].sort((a, b) => compared(a[column], b[column], sign));
  }
}

// What has no value comes last either way.
function compared(a, b, sign) {
  const none = (value) => value === null || value === undefined || value === "" || value === "–";
  if (none(a) || none(b)) return none(a) - none(b);
  if (typeof a === "number" && typeof b === "number") return sign * (a - b);
  return sign * String(a).localeCompare(String(b), "en", { numeric: true });
}

function cell(value, column) {
  if (column.format === "cell") return cell(value.value, { ...value, unitInCell: true });
  const right = RIGHT.includes(column.format) && !column.unitInCell;
  if (column.format === "status") {
    const [word, kind] = status(value);
    return el("td", {}, value ? el("span", { class: `pill ${kind}`, text: word }) : "");
  }
  const text = written(value, column);
  const kind = right ? "number" : column.format === "time" ? "time" : "";
  return el("td", { class: `${kind} ${judged(value, column)}`.trim(), text, title: column.format === "age" ? moment(value) : text });
}

// Outside its limits a number is bad; where a second limit is named, only a warning up to that: above the upper limit,
// or below the lower one where there is no upper one.
function judged(value, { low, high, critical }) {
  if (typeof value !== "number") return "";
  const limited = isNumber(low) || isNumber(high);
  const above = limited ? isNumber(high) && value > high : isNumber(critical) && value > critical;
  const below = isNumber(low) && value < low;
  if (!above && !below) return "";
  if (!isNumber(critical) || (below && isNumber(high))) return "bad";
  return (above ? value > critical : value < critical) ? "bad" : "warn";
}

const isNumber = (value) => value !== null && value !== undefined;

function written(value, column) {
  if (value === null || value === undefined) return "–";
  switch (column.format) {
    case "time": return moment(value);
    case "age": return age(value);
    case "duration": return duration(value);
    case "bytes": return bytes(value);
    case "count": return number(value);
    case "number": return column.unitInCell ? quantity(value, column.unit, column.decimals) : number(value, column.decimals);
    default: return String(value);
  }
}
