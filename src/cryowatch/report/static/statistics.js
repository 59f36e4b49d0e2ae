// Statistics of columns, the same as the store's and the dashboards' (judgement.py, sql.py, pace.py, payload.py).

import { content } from "./content.js";

const HOUR = 3600000;
const FEWEST = 5;
const formats = new Map();

// As Python writes a number: ties go to the even digit.
export function written(value, decimals) {
  if (value === null || value === undefined) return "–";
  const places = decimals ?? 0;
  if (!formats.has(places)) formats.set(places, new Intl.NumberFormat("en", { minimumFractionDigits: places, maximumFractionDigits: places, roundingMode: "halfEven" }));
  return formats.get(places).format(value).replace("-", "−");
}

// Linear between the two nearest of ordered values.
export function quantile(ordered, q) {
  if (!ordered.length) return null;
  const place = q * (ordered.length - 1);
  const below = Math.floor(place);
  const above = Math.min(below + 1, ordered.length - 1);
  return ordered[below] + (place - below) * (ordered[above] - ordered[below]);
}

export const quartiles = (values) => {
  const ordered = Float64Array.from(values).sort();
  return [0.25, 0.5, 0.75].map((q) => quantile(ordered, q));
};

// A value in the shown unit: divided, as a product may miss a limit that the value lies on.
export function value(columns, field, row) {
  const stored = columns[field.name][row];
  return stored === null ? null : stored / field.per;
}

// Of some rows: how many have a value, its quartiles, how many lie within a limit, and of how many that are judged.
export function statistics({ columns, estimates }, rows, field, limit) {
  const values = rows.map((row) => value(columns, field, row)).filter((one) => one !== null);
  const [lower, median, upper] = quartiles(values);
  const every = estimates && content.of_a_fit.includes(field.name);
  const of = every ? rows.length : values.length;
  const within = limited(limit) ? values.filter((one) => inside(one, limit)).length : null;
  return { n: values.length, lower, median, upper, within, of };
}

const limited = (limit) => Boolean(limit) && (limit.low !== null || limit.high !== null);

export const inside = (one, { low, high }) => (low === null || one >= low) && (high === null || one <= high);

// Which rows have a fit and keep all limits.
export const goodOnes = (columns, rows, fields, limits) => insideOnes(columns, rows.filter((row) => columns.defocus[row] !== null), fields, limits);

// Which rows are outside of none of the limits.
export function insideOnes(columns, rows, fields, limits) {
  const judged = limits.filter(limited).map((limit) => ({ limit, field: fields[limit.field], needed: content.of_a_fit.includes(limit.field) }));
  const kept = (row) => ({ limit, field, needed }) => {
    const one = value(columns, field, row);
    return one === null ? !needed : inside(one, limit);
  };
  return rows.filter((row) => judged.every(kept(row)));
}

// How fast items come that have these times, in ms and in their order: in the hour that ends with the newest, usually.
export function pace(times) {
  const newest = times[times.length - 1];
  const recent = times.filter((time) => time > newest - HOUR);
  const width = newest - recent[0];
  const hours = Math.floor((newest - times[0]) / HOUR);
  const counts = Array(hours).fill(0);
  for (const time of times) {
    const hour = Math.floor((time - times[0]) / HOUR);
    if (hour < hours) counts[hour] += 1;
  }
  return { newest, recent: recent.length, per_hour: width > 0 && recent.length >= FEWEST ? ((recent.length - 1) * HOUR) / width : null, usual: quantile(counts.sort((a, b) => a - b), 0.5) };
}

// Limits as people say them.
export function inWords({ low, high }, { unit, decimals }) {
  const said = (one) => `${written(one, decimals)}${unit === "" || unit === "°" ? unit : ` ${unit}`}`;
  if (low !== null && high !== null) return `within ${written(low, decimals)}–${said(high)}`;
  return high !== null ? `below ${said(high)}` : `above ${said(low)}`;
}

// A share in whole percent, cut: what is below 90 % must not read 90 %.
export const wholePercent = (part, of) => Math.floor((100 * part) / of);

export const verdict = (share) => (share >= 0.9 ? "good" : share >= 0.75 ? "warn" : "bad");
