// In a report nobody is asked: this stands in for api.js, with the same answers from what the file holds.

import { content, micrograph, pictured, placeOf, tableOf } from "./content.js";

export { sessionPath } from "../../web/static/api.js";

export async function get(path, query = {}) {
  const [, , kind, id, part] = path.split("/").map(decodeURIComponent);
  if (kind === "fields") return { micrograph: content.fields };
  if (kind === "micrographs") return single(Number(id));
  if (kind === "sessions" && part === "micrographs") return several(query);
  throw new Error("not in this report");
}

function single(id) {
  const place = placeOf(id);
  if (place === null) throw new Error("not in this report");
  const [output, row] = place;
  const ids = tableOf(output).id;
  return { ...micrograph(output, row), session: content.session.id, previous: ids[row - 1] ?? null, next: ids[row + 1] ?? null };
}

function several(query) {
  const columns = tableOf(query.output);
  const rows = sorted(columns, chosen(columns, query), query);
  const from = Number(query.offset ?? 0);
  return { total: rows.length, micrographs: rows.slice(from, from + Number(query.limit ?? 60)).map((row) => micrograph(query.output, row)) };
}

// Bounds are in shown units; what has no value lies in no range.
function chosen(columns, query) {
  const terms = [];
  for (const [name, text] of Object.entries(query)) {
    const [, bound, field] = /^(min|max)_(\w+)$/.exec(name) ?? [];
    if (!bound || text === "" || !Number.isFinite(Number(text)) || !content.fields[field]) continue;
    const limit = Number(text);
    const { per_shown: per } = content.fields[field];
    const values = columns[field];
    terms.push((row) => values[row] !== null && (bound === "min" ? values[row] / per >= limit : values[row] / per <= limit));
  }
  if (query.search) {
    const wanted = String(query.search).toLowerCase();
    terms.push((row) => columns.name[row].toLowerCase().includes(wanted));
  }
  if (query.enabled) terms.push((row) => columns.enabled[row] === (query.enabled === "1"));
  if (query.fit) terms.push((row) => (columns.defocus[row] !== null) === (query.fit === "1"));
  if (query.pictured) terms.push((row) => pictured(columns.id[row]));
  return Array.from({ length: columns.count }, (_, row) => row).filter((row) => terms.every((holds) => holds(row)));
}

// Rows come by time, and equals go by time.  What every fit gives and an estimate lacks comes where the largest values
// do; what was not measured comes last.
function sorted(columns, rows, query) {
  const field = query.sort || "time";
  const sign = (query.order || (field === "name" ? "asc" : "desc")) === "asc" ? 1 : -1;
  if (field === "time" || !columns[field]) return sign > 0 ? rows : rows.reverse();
  const values = columns[field];
  const missing = sign < 0 && content.of_a_fit.includes(field) ? -1 : 1;
  return rows.sort((a, b) => {
    if (values[a] === null || values[b] === null) return missing * ((values[a] === null) - (values[b] === null)) || sign * (a - b);
    return sign * (values[a] < values[b] ? -1 : values[a] > values[b] ? 1 : a - b);
  });
}
