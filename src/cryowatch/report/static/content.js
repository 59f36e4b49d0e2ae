// What this file holds: the session, its dashboards, and every micrograph in columns, as content.py and columns.py wrote it.

const read = (id) => JSON.parse(document.getElementById(id).textContent);

export const content = read("content");
const pictures = read("pictures");
const KINDS = ["micrograph", "power-spectrum", "shift-plot"];
const LEADING = "leading";
const tables = new Map();

// The micrographs of an output by time, or those of all leading outputs together: as many rows as `id` has; each field
// is a column.
export function tableOf(output) {
  const key = output === null || output === undefined || output === "" ? LEADING : Number(output);
  if (!tables.has(key)) tables.set(key, key === LEADING ? together(content.session.leading.map(tableOf)) : table(key));
  return tables.get(key);
}

// Whether an output, or all leading ones, hold CTF estimates.
export function estimated(output) {
  const ids = output === null || output === undefined || output === "" ? content.session.leading : [Number(output)];
  return ids.length > 0 && ids.every((id) => outputOf(id)?.kind === "ctf");
}

const outputOf = (id) => content.session.outputs.find((output) => output.id === id);

// The output and the row that hold a micrograph.
export function placeOf(id) {
  for (const output of Object.keys(content.tables)) {
    const row = tableOf(output).rows.get(id);
    if (row !== undefined) return [Number(output), row];
  }
  return null;
}

function table(output) {
  const packed = content.tables[output];
  if (!packed) return { count: 0, rows: new Map(), id: [], time: [], name: [] };
  const columns = { count: packed.count, output: Array(packed.count).fill(output) };
  for (const [name, column] of Object.entries(packed.columns)) columns[name] = unpacked(column, packed.count);
  const { defocus_u: u, defocus_v: v } = columns;
  const derived = (value) => u.map((one, i) => (one === null || v[i] === null ? null : value(one, v[i])));
  columns.defocus = derived((a, b) => (a + b) / 2);
  columns.astigmatism = derived((a, b) => Math.abs(a - b));
  columns.ratio = derived((a, b) => (b === 0 ? null : a / b));
  columns.rows = new Map(columns.id.map((id, i) => [id, i]));
  return columns;
}

// Tables as one, by time.
function together(all) {
  const full = all.filter((one) => one.count);
  if (full.length < 2) return full[0] ?? table(null);
  const places = full.flatMap((one) => one.id.map((_, row) => [one, row]));
  const order = (a, b, field) => a[0][field][a[1]] - b[0][field][b[1]];
  places.sort((a, b) => order(a, b, "time") || order(a, b, "item") || order(a, b, "id"));
  const columns = { count: places.length };
  for (const field of Object.keys(full[0])) {
    if (Array.isArray(full[0][field])) columns[field] = places.map(([one, row]) => one[field][row]);
  }
  columns.rows = new Map(columns.id.map((id, i) => [id, i]));
  return columns;
}

function unpacked(column, count) {
  if (Array.isArray(column)) return column;
  if ("same" in column) return Array(count).fill(column.same);
  if ("middles" in column) return column.middles.map((text) => column.before + text + column.after);
  let value = column.first;
  return [value, ...column.steps.map((step) => { value += step; return value; })];
}

// One micrograph as the pages know it; its images are in the file, or "#" and the reason why not.
export function micrograph(output, row) {
  const columns = tableOf(output);
  const { run, name } = outputOf(columns.output[row]);
  const values = Object.fromEntries(Object.keys(columns).filter((field) => Array.isArray(columns[field])).map((field) => [field, columns[field][row]]));
  const images = Object.fromEntries(KINDS.map((kind, bit) => [kind, values.images & (1 << bit) ? image(kind, values.id) : null]));
  return { ...values, run, output: name, version: 0, images };
}

function image(kind, id) {
  const found = pictures.images[kind][id];
  if (typeof found === "string") return found.startsWith("=") ? image(kind, Number(found.slice(1))) : address(found) + mark(kind, id);
  return `#${pictures.reasons[found ?? 0]}`;
}

// What is behind "#" of a power spectrum that is not the project's.
const computed = new Set(pictures.computed);
const mark = (kind, id) => (kind === "power-spectrum" && computed.has(id) ? "computed" : "");

// Whether any image of a micrograph is in the file.
export const pictured = (id) => KINDS.some((kind) => typeof pictures.images[kind][id] === "string");

// Whoever asks for a size adds it to the address: behind "#" it changes nothing.
const address = (base64) => `data:image/${base64.startsWith("iVBOR") ? "png" : "jpeg"};base64,${base64}#`;
