// The data of a panel, as the agent would answer: computed from the columns, so that limits and time can be moved; what
// is not of micrographs was computed when the report was made, and is only cut to the time.

import { content, tableOf } from "./content.js";
import { quartiles, statistics, verdict, written } from "./statistics.js";

const EMPTY = { empty: true };
const HOUR = 3600000;
const RECENT = 50;

export function panelData(dashboard, panel, query) {
  const kept = content.panels[dashboard][panel.id];
  if (kept) return cut(kept, query);
  const made = content.made_of[dashboard][panel.id];
  const columns = tableOf(query.output);
  const rows = [];
  for (let row = 0; row < columns.count; row += 1) {
    const time = columns.time[row];
    if ((query.from ?? time) <= time && time <= (query.to ?? time)) rows.push(row);
  }
  const fields = panel.fields.map((field) => ({ ...field, scale: content.fields[field.name].scale }));
  const limits = panel.limits.map((limit) => ({ ...limit, high: limit.variable ? Number(query[limit.variable] ?? limit.high) : limit.high }));
  const asked = { columns, rows, fields, limits, made };
  switch (panel.kind) {
    case "timeseries": return points(asked, (row) => fields.some((f) => columns[f.name][row] !== null), (series) => ({ series }));
    case "scatter": return points(asked, (row) => fields.every((f) => columns[f.name][row] !== null), ([x, y]) => ({ x, y }));
    case "histogram": return histogram(asked);
    case "heatmap": return heatMap(asked);
    case "stat": return made.aggregate === "share" ? shares(asked) : medians(asked);
    case "gallery": return columns.count ? { limit: made.rows } : EMPTY;
    default: return comparison(asked);
  }
}

// Steps begin before the time that they count.
function cut(data, { from, to }) {
  if (!data.time || ((from ?? null) === null && (to ?? null) === null)) return data;
  const kept = data.time.map((_, i) => i).filter((i) => data.time[i] + (data.step_ms ?? 1) > (from ?? -Infinity) && data.time[i] <= (to ?? Infinity));
  if (!kept.length) return EMPTY;
  const of = (values) => values && kept.map((i) => values[i]);
  return { ...data, id: of(data.id), time: of(data.time), series: data.series.map((line) => ({ ...line, values: of(line.values) })), shown: kept.length, total: kept.length };
}

const described = ({ label, unit, decimals }) => ({ label, unit, decimals });
const limitOf = (limits, field) => limits.find((limit) => limit.field === field.name) ?? null;
const value = (columns, field, row) => {
  const stored = columns[field.name][row];
  return stored === null ? null : stored * field.scale;
};

function points({ columns, rows, fields }, wanted, shape) {
  const found = rows.filter(wanted);
  if (!found.length) return EMPTY;
  const series = fields.map((field) => ({ ...described(field), values: found.map((row) => value(columns, field, row)) }));
  return {
    id: found.map((row) => columns.id[row]), time: found.map((row) => columns.time[row]), ...shape(series),
    shown: found.length, total: found.length, partial: false,
  };
}

function histogram({ columns, rows, fields: [field], made: { bins } }) {
  const values = rows.map((row) => value(columns, field, row)).filter((x) => x !== null);
  if (!values.length) return EMPTY;
  const counted = (some) => {
    const counts = Array(bins.count).fill(0);
    for (const x of some) {
      if (x >= bins.start && x < bins.stop) counts[Math.min(Math.trunc((x - bins.start) / bins.step), bins.count - 1)] += 1;
    }
    return counts;
  };
  const counts = counted(values);
  const [lower, median, upper] = quartiles(values);
  return {
    ...described(field), start: bins.start, step: bins.step, counts, recent: values.length > RECENT ? counted(values.slice(-RECENT)) : null,
    n: values.length, median, lower, upper, beyond: values.length - counts.reduce((a, b) => a + b, 0),
  };
}

function heatMap({ columns, rows, fields: [field], made: { bins } }) {
  const found = rows.filter((row) => columns[field.name][row] !== null);
  if (!found.length) return EMPTY;
  const width = columns.time[found[found.length - 1]] - columns.time[found[0]];
  const step = [[HOUR / 2, HOUR / 60], [3 * HOUR, HOUR / 12], [8 * HOUR, HOUR / 4], [48 * HOUR, HOUR]].find(([below]) => width < below)?.[1] ?? 4 * HOUR;
  const cells = new Map();
  for (const row of found) {
    const x = value(columns, field, row);
    if (x < bins.start || x >= bins.stop) continue;
    const key = [Math.floor(columns.time[row] / step) * step, Math.min(Math.trunc((x - bins.start) / bins.step), bins.count - 1)].join();
    cells.set(key, (cells.get(key) ?? 0) + 1);
  }
  if (!cells.size) return EMPTY;
  const listed = [...cells].map(([key, n]) => [...key.split(",").map(Number), n]).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const first = listed[0][0];
  const last = listed[listed.length - 1][0];
  return {
    ...described(field), time: Array.from({ length: (last - first) / step + 1 }, (_, i) => first + i * step), step_ms: step,
    start: bins.start, step: bins.step, bins: bins.count, cells: listed.map(([time, bin, n]) => [(time - first) / step, bin, n]),
  };
}

function shares({ columns, rows, fields, limits }) {
  const items = fields.flatMap((field) => {
    const { within, of } = statistics(columns, rows, field, limitOf(limits, field));
    if (!of || within === null) return [];
    return [{ label: field.label, value: (100 * within) / of, unit: "%", decimals: 1, share: true, status: verdict(within / of), detail: `${written(within)} of ${written(of)}` }];
  });
  return items.length ? { items } : EMPTY;
}

function medians({ columns, rows, fields, limits }) {
  const items = fields.flatMap((field) => {
    const { n, lower, median, upper, within, of } = statistics(columns, rows, field, limitOf(limits, field));
    if (!n) return [];
    const unit = field.unit ? ` ${field.unit}` : "";
    const judged = within === null ? "" : `\n${written((100 * within) / of)}\u00a0% in limits`;
    return [{
      ...described(field), label: field.label === "U / V" ? "Median U / V" : `Median ${field.label.toLowerCase()}`, value: median, share: false,
      status: within === null ? null : verdict(within / of), detail: `half within ${written(lower, field.decimals)}–${written(upper, field.decimals)}${unit}${judged}`, n,
    }];
  });
  return items.length ? { items } : EMPTY;
}

function comparison({ columns, rows, fields, limits }) {
  const lines = fields.flatMap((field) => {
    const limit = limitOf(limits, field);
    const all = statistics(columns, rows, field, limit);
    if (!all.n) return [];
    const unit = field.unit ? ` ${field.unit}` : "";
    const cells = [statistics(columns, rows.slice(-RECENT), field, limit), all].flatMap(({ n, lower, median, upper, within, of }) => [
      n ? `${written(median, field.decimals)}${unit}` : "–",
      n ? `${written(lower, field.decimals)}–${written(upper, field.decimals)}${unit}` : "–",
      within === null || !of ? "–" : `${written((100 * within) / of)} %`,
    ]);
    return [[field.label, ...cells]];
  });
  if (!lines.length) return EMPTY;
  const heads = [`last ${RECENT}`, "all"].flatMap((who) => [`Median, ${who}`, `Quartiles, ${who}`, `In limits, ${who}`]);
  return { columns: ["", ...heads].map((label) => ({ unit: "", decimals: null, label, format: "text" })), rows: lines, total: lines.length };
}
