// Rows and columns; a cell may bring its own unit and format.

import { el } from "./dom.js";
import { age, bytes, duration, moment, number, quantity, status } from "./format.js";

const RIGHT = ["number", "count", "bytes", "duration"];

export class Table {
  constructor(described, view, body) {
    this.place = el("div", { class: "rows", tabIndex: 0 });
    body.append(this.place);
  }

  update(data) {
    const titled = data.columns.some((c) => c.label);
    this.place.classList.toggle("pairs", !titled);
    const table = el("table");
    if (titled) {
      table.append(el("thead", {}, el("tr", {}, ...data.columns.map((c) => el("th", {
        text: c.unit && c.format === "number" ? `${c.label} (${c.unit})` : c.label, scope: "col", class: RIGHT.includes(c.format) ? "number" : "",
      })))));
    }
    table.append(el("tbody", {}, ...data.rows.map((row) => el("tr", {}, ...row.map((value, i) => cell(value, data.columns[i]))))));
    const { scrollTop, scrollLeft } = this.place;
    this.place.replaceChildren(table);
    this.place.scrollTo(scrollLeft, scrollTop);
  }
}

function cell(value, column) {
  if (column.format === "cell") return cell(value.value, { ...value, unitInCell: true });
  const right = RIGHT.includes(column.format) && !column.unitInCell;
  if (column.format === "status") {
    const [word, kind] = status(value);
    return el("td", {}, value ? el("span", { class: `pill ${kind}`, text: word }) : "");
  }
  const text = written(value, column);
  return el("td", { class: right ? "number" : "", text, title: column.format === "age" ? moment(value) : text });
}

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
