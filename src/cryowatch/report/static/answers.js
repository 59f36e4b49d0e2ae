// In a report nobody is asked: this stands in for api.js, with the same answers from what the file holds.

import { content, estimated, micrograph, pictured, placeOf, tableOf } from "./content.js";
import { goodOnes, insideOnes } from "./statistics.js";

export { sessionPath } from "../../web/static/api.js";

export async function get(path, query = {}) {
  const [, , kind, id, part] = path.split("/").map(decodeURIComponent);
  if (kind === "fields") return { micrograph: content.fields };
  if (kind === "micrographs") return single(Number(id), query);
  if (kind === "sessions" && part === "micrographs") return several(query);
  throw new Error("not in this report");
}

function single(id, query) {
  const place = placeOf(id);
  if (place === null) throw new Error("not in this report");
  const [output, row] = place;
  const ids = beside(id, output, query);
  const at = ids.indexOf(id);
  return { ...micrograph(output, row), session: content.session.id, previous: ids[at - 1] ?? null, next: ids[at + 1] ?? null };
}

// The ids among which one steps from a micrograph: itself and those of the gallery's list, by time the earlier first.
function beside(id, own, query) {
  const output = query.output ?? (content.session.leading.includes(own) ? null : own);
  const columns = tableOf(output);
  const rows = new Set(chosen(columns, { ...query, output }));
  if (columns.rows.has(id)) rows.add(columns.rows.get(id));
  const byTime = (query.sort ?? "time") === "time";
  const order = byTime ? { order: "asc" } : query;
  return sorted(columns, [...rows].sort((a, b) => a - b), order).map((row) => columns.id[row]);
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
  if (query.fit) terms.push((row) => estimated(query.output) && (columns.defocus[row] !== null) === (query.fit === "1"));
  if (query.pictured) terms.push((row) => pictured(columns.id[row]));
  if (query.from !== null && query.from !== undefined) terms.push((row) => columns.time[row] >= query.from);
  if (query.to !== null && query.to !== undefined) terms.push((row) => columns.time[row] <= query.to);
  for (const name of ["good", "outside"]) {
    if (query[name]) terms.push(judged(columns, name, query));
  }
  return Array.from({ length: columns.count }, (_, row) => row).filter((row) => terms.every((holds) => holds(row)));
}

// Whether a row is good, or outside of limits, as asked; of what is discarded or was not estimated neither is said.
function judged(columns, name, query) {
  if (!estimated(query.output)) return () => false;
  const rows = Array.from({ length: columns.count }, (_, row) => row).filter((row) => columns.enabled[row]);
  const limits = limitsOf(name, query);
  const fields = Object.fromEntries(limits.map(({ field }) => [field, { name: field, per: content.fields[field].per_shown }]));
  const kept = new Set(name === "good" ? goodOnes(columns, rows, fields, limits) : insideOnes(columns, rows, fields, limits));
  const wanted = new Set(rows.filter((row) => kept.has(row) === ((name === "good") === (query[name] === "1"))));
  return (row) => wanted.has(row);
}

// The limits of the first panel that counts good ones, or of the first gallery, with the readers' own values.
function limitsOf(name, query) {
  const judges = (dashboard, panel) => (name === "good" ? content.made_of[dashboard.name][panel.id]?.aggregate === "good" : panel.kind === "gallery" && panel.limits.length);
  const panel = content.dashboards.flatMap((dashboard) => dashboard.panels.filter((one) => judges(dashboard, one)))[0];
  return (panel?.limits ?? []).map((limit) => ({ ...limit, high: limit.variable ? Number(query[limit.variable] ?? limit.high) : limit.high }));
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
