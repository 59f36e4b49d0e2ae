// What a chart shows, in words, for who cannot see it.

import { number, quantity } from "./format.js";

// Of each series its median and range: {label, values, unit, decimals}; `counted` says how many values there are.
export function words(title, counted, series) {
  const all = series.map(({ label, values, ...how }) => [label, ends(values), how]).filter(([, found]) => found);
  if (!all.length) return `${title}: no values`;
  const said = all.map(([label, found, how]) => `${all.length > 1 ? `${label} ` : ""}${spread(found, how)}`);
  return `${[`${title}:`, counted && `${counted};`].filter(Boolean).join(" ")} ${said.join("; ")}`;
}

export function spread({ median, least, most }, { unit, decimals }) {
  return `median ${quantity(median, unit, decimals)}, from ${number(least, decimals)} to ${quantity(most, unit, decimals)}`;
}

// Where bins hold counts, the middle one and the ends by their middles.
export function ofBins(counts, start, step) {
  const used = counts.map((count, bin) => [bin, count]).filter(([, count]) => count);
  if (!used.length) return null;
  const half = used.reduce((sum, [, count]) => sum + count, 0) / 2;
  let sum = 0;
  const middle = used.find(([, count]) => (sum += count) >= half);
  return { median: start + (middle[0] + 0.5) * step, least: start + used[0][0] * step, most: start + (used.at(-1)[0] + 1) * step };
}

function ends(values) {
  const sorted = Float64Array.from(values.filter((value) => value !== null && value !== undefined)).sort();
  const { length } = sorted;
  if (!length) return null;
  const median = (sorted[(length - 1) >> 1] + sorted[length >> 1]) / 2;
  return { median, least: sorted[0], most: sorted[length - 1] };
}
