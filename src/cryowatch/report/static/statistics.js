// Statistics of columns, the same as the store's and the dashboards' (sql.py, payload.py).

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

// Of some rows: how many have a value, its quartiles, how many lie within a limit, and of how many.
export function statistics(columns, rows, field, limit) {
  const values = rows.map((row) => columns[field.name][row]).filter((value) => value !== null).map((value) => value * field.scale);
  const [lower, median, upper] = quartiles(values);
  const judged = field.name === "resolution" ? rows.filter((row) => columns.defocus_u[row] !== null || columns.resolution[row] !== null).length : values.length;
  const within = limit && (limit.low !== null || limit.high !== null) ? values.filter((value) => inside(value, limit)).length : null;
  return { n: values.length, lower, median, upper, within, of: judged };
}

const inside = (value, { low, high }) => (low === null || value >= low) && (high === null || value <= high);

// Good from 90 %, bad below 75 %.
export const verdict = (share) => (share >= 0.9 ? "good" : share >= 0.75 ? "warn" : "bad");
