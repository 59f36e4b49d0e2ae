// The data of a panel, as the agent would answer: computed from the columns, so that limits and time can be moved; what
// is not of micrographs was computed when the report was made, and is only cut to the time.

import { now } from "../../web/static/now.js";
import { content, estimated, tableOf } from "./content.js";
import { goodOnes, inside, inWords, pace, quartiles, statistics, value, verdict, wholePercent, written } from "./statistics.js";

const EMPTY = { empty: true };
const HOUR = 3600000;
const RECENT = 50;

export function panelData(dashboard, panel, query) {
  const kept = content.panels[dashboard][panel.id];
  if (kept) return cut(kept, query);
  const made = content.made_of[dashboard][panel.id];
  const columns = tableOf(query.output);
  const chosen = [];
  for (let row = 0; row < columns.count; row += 1) {
    const time = columns.time[row];
    if ((query.from ?? time) <= time && time <= (query.to ?? time)) chosen.push(row);
  }
  const rows = chosen.filter((row) => columns.enabled[row]);
  const fields = panel.fields.map((field) => ({ ...field, per: content.fields[field.name].per_shown }));
  const limits = panel.limits.map((limit) => ({ ...limit, high: limit.variable ? Number(query[limit.variable] ?? limit.high) : limit.high }));
  const asked = { columns, rows, chosen, fields, limits, made, estimates: estimated(query.output) };
  switch (panel.kind) {
    case "timeseries": return points(asked, (row) => fields.some((f) => columns[f.name][row] !== null), (series) => ({ series }));
    case "scatter": return points(asked, (row) => fields.every((f) => columns[f.name][row] !== null), ([x, y]) => ({ x, y }));
    case "histogram": return histogram(asked);
    case "heatmap": return heatMap(asked);
    case "stat": return STATS[made.aggregate](asked);
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
const drawnAt = (time) => Math.min(time, now());

// The bin of a value, by its edges; the last bin holds its upper edge too.
function binOf(x, { edges, count, step }) {
  if (x < edges[0] || x > edges[count]) return null;
  let bin = Math.trunc((x - edges[0]) / step);
  if (x < edges[bin]) bin -= 1;
  if (x >= edges[bin + 1]) bin += 1;
  return Math.min(bin, count - 1);
}

function points({ columns, rows, fields }, wanted, shape) {
  const found = rows.filter(wanted);
  if (!found.length) return EMPTY;
  const series = fields.map((field) => ({ ...described(field), values: found.map((row) => value(columns, field, row)) }));
  return {
    id: found.map((row) => columns.id[row]), time: found.map((row) => drawnAt(columns.time[row])), ...shape(series),
    shown: found.length, total: found.length, partial: false,
  };
}

function histogram({ columns, rows, fields: [field], made: { bins } }) {
  const values = rows.map((row) => value(columns, field, row)).filter((x) => x !== null);
  if (!values.length) return EMPTY;
  const counted = (some) => {
    const counts = Array(bins.count).fill(0);
    for (const bin of some.map((x) => binOf(x, bins))) if (bin !== null) counts[bin] += 1;
    return counts;
  };
  const counts = counted(values);
  const [lower, median, upper] = quartiles(values);
  return {
    ...described(field), start: bins.edges[0], step: bins.step, counts, recent: values.length > RECENT ? counted(values.slice(-RECENT)) : null,
    n: values.length, median, lower, upper, beyond: values.length - counts.reduce((a, b) => a + b, 0),
  };
}

function heatMap({ columns, rows, fields: [field], made: { bins } }) {
  const found = rows.filter((row) => columns[field.name][row] !== null);
  if (!found.length) return EMPTY;
  const width = drawnAt(columns.time[found[found.length - 1]]) - drawnAt(columns.time[found[0]]);
  const steps = [[HOUR / 2, HOUR / 60], [3 * HOUR, HOUR / 12], [8 * HOUR, HOUR / 4], [48 * HOUR, HOUR]];
  const step = steps.find(([below]) => width < below)?.[1] ?? (Math.floor(width / (160 * HOUR)) + 1) * 4 * HOUR;
  const cells = new Map();
  for (const row of found) {
    const bin = binOf(value(columns, field, row), bins);
    if (bin === null) continue;
    const key = [Math.floor(drawnAt(columns.time[row]) / step) * step, bin].join();
    cells.set(key, (cells.get(key) ?? 0) + 1);
  }
  if (!cells.size) return EMPTY;
  const listed = [...cells].map(([key, n]) => [...key.split(",").map(Number), n]).sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const first = listed[0][0];
  const last = listed[listed.length - 1][0];
  return {
    ...described(field), time: Array.from({ length: (last - first) / step + 1 }, (_, i) => first + i * step), step_ms: step,
    start: bins.edges[0], step: bins.step, bins: bins.count, cells: listed.map(([time, bin, n]) => [(time - first) / step, bin, n]),
  };
}

const unfitOf = ({ columns, rows, estimates }) => (estimates ? rows.filter((row) => columns.defocus[row] === null).length : 0);
const linesOf = (...lines) => lines.filter(Boolean).join("\n");
const without = (name, unfit) => (unfit && content.of_a_fit.includes(name) ? `${written(unfit)} without a fit` : "");

function shares(asked) {
  const { rows, fields, limits } = asked;
  const unfit = unfitOf(asked);
  const items = fields.flatMap((field) => {
    const limit = limitOf(limits, field);
    const { within, of } = statistics(asked, rows, field, limit);
    if (!of || within === null) return [];
    return [{
      label: field.label, value: (100 * within) / of, unit: "%", decimals: 1, share: true, status: verdict(within / of), rule: content.share_rule,
      detail: linesOf(`${written(within)} of ${written(of)} ${inWords(limit, field)}`, without(field.name, unfit)),
    }];
  });
  return items.length ? { items } : EMPTY;
}

function medians(asked) {
  const { rows, fields, limits } = asked;
  const unfit = unfitOf(asked);
  const items = fields.flatMap((field) => {
    const limit = limitOf(limits, field);
    const { n, lower, median, upper, within, of } = statistics(asked, rows, field, limit);
    if (!n) return [];
    const unit = field.unit ? ` ${field.unit}` : "";
    const rule = within === null ? null : inWords(limit, field);
    const share = within !== null && of ? `${wholePercent(within, of)}\u00a0% of ${written(of)} in limits` : "";
    return [{
      ...described(field), label: field.label === "U / V" ? "Median U / V" : `Median ${field.label.toLowerCase()}`, value: median, share: false,
      status: within === null ? null : inside(median, limit) ? "good" : "bad", rule, n,
      detail: linesOf(`middle half ${written(lower, field.decimals)}–${written(upper, field.decimals)}${unit}`, share, without(field.name, unfit)),
    }];
  });
  return items.length ? { items } : EMPTY;
}

// The count of good ones first, then what makes the rest; of what was not estimated nothing is said.
function good(asked) {
  const { columns, rows, chosen, limits, estimates } = asked;
  if (!estimates || !rows.length) return EMPTY;
  const fields = Object.fromEntries(limits.map((limit) => [limit.field, { name: limit.field, per: content.fields[limit.field].per_shown }]));
  const kept = goodOnes(columns, rows, fields, limits);
  const of = rows.length;
  const speed = pace(rows.map((row) => drawnAt(columns.time[row])));
  const lately = kept.filter((row) => drawnAt(columns.time[row]) > speed.newest - HOUR).length;
  const unfit = unfitOf(asked);
  const disabled = chosen.length - of;
  const count = (label, number, detail) => ({ label, value: number, unit: "", decimals: 0, share: false, status: null, detail });
  const share = kept.length / of;
  const items = [
    { ...count("Good", 100 * share, `${written(kept.length)} of ${written(of)}\nall limits kept`), unit: "%", decimals: 1, share: true, status: verdict(share), rule: content.share_rule },
  ];
  if (speed.per_hour !== null) {
    const usual = speed.usual === null ? "" : `usually ${written(speed.usual)} estimated`;
    items.push(count("Good per hour", (speed.per_hour * lately) / speed.recent, linesOf(`of ${written(speed.per_hour)} estimated`, usual)));
  }
  items.push(count("Outside a limit", of - kept.length, `${100 - wholePercent(kept.length, of)}\u00a0% of ${written(of)}`));
  items.push(count("Without a fit", unfit, unfit ? "they count as outside" : "each has a fit"));
  if (disabled) items.push(count("Disabled", disabled, "they count nowhere else"));
  return { items };
}

const STATS = { share: shares, median: medians, good };

function comparison(asked) {
  const { rows, fields, limits } = asked;
  const lines = fields.flatMap((field) => {
    const limit = limitOf(limits, field);
    const all = statistics(asked, rows, field, limit);
    if (!all.n) return [];
    const unit = field.unit ? ` ${field.unit}` : "";
    const cells = [statistics(asked, rows.slice(-RECENT), field, limit), all].flatMap(({ n, lower, median, upper, within, of }) => [
      n ? `${written(median, field.decimals)}${unit}` : "–",
      n ? `${written(lower, field.decimals)}–${written(upper, field.decimals)}${unit}` : "–",
      within === null || !of ? "–" : `${wholePercent(within, of)} %`,
    ]);
    return [[field.label, ...cells]];
  });
  if (!lines.length) return EMPTY;
  const heads = [`last ${RECENT}`, "all"].flatMap((who) => [`Median, ${who}`, `Quartiles, ${who}`, `In limits, ${who}`]);
  return { columns: ["", ...heads].map((label) => ({ unit: "", decimals: null, label, format: "text" })), rows: lines, total: lines.length };
}
