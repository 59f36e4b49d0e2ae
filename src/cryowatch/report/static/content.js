// What this file holds: the session, its dashboards, and every micrograph in columns, as content.py and columns.py wrote it.

const read = (id) => JSON.parse(document.getElementById(id).textContent);

export const content = read("content");
const pictures = read("pictures");
const KINDS = ["micrograph", "power-spectrum", "shift-plot"];
const tables = new Map();

// The micrographs of an output by time: as many rows as `id` has; each field is a column.
export function tableOf(output) {
  const id = Number(output ?? content.session.output);
  if (!tables.has(id)) tables.set(id, table(content.tables[id]));
  return tables.get(id);
}

// The output and the row that hold a micrograph.
export function placeOf(id) {
  for (const output of Object.keys(content.tables)) {
    const row = tableOf(output).rows.get(id);
    if (row !== undefined) return [Number(output), row];
  }
  return null;
}

function table(packed) {
  if (!packed) return { count: 0, rows: new Map(), id: [], time: [], name: [] };
  const columns = { count: packed.count };
  for (const [name, column] of Object.entries(packed.columns)) columns[name] = unpacked(column, packed.count);
  const { defocus_u: u, defocus_v: v } = columns;
  const derived = (value) => u.map((one, i) => (one === null || v[i] === null ? null : value(one, v[i])));
  columns.defocus = derived((a, b) => (a + b) / 2);
  columns.astigmatism = derived((a, b) => Math.abs(a - b));
  columns.ratio = derived((a, b) => (b === 0 ? null : a / b));
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
  const { run, name } = content.session.outputs.find((o) => o.id === Number(output ?? content.session.output));
  const values = Object.fromEntries(Object.keys(columns).filter((field) => Array.isArray(columns[field])).map((field) => [field, columns[field][row]]));
  const images = Object.fromEntries(KINDS.map((kind, bit) => [kind, values.images & (1 << bit) ? image(kind, values.id) : null]));
  return { ...values, run, output: name, version: 0, images };
}

function image(kind, id) {
  const found = pictures.images[kind][id];
  if (typeof found === "string") return found.startsWith("=") ? image(kind, Number(found.slice(1))) : address(found);
  return `#${pictures.reasons[found ?? 0]}`;
}

// Whether any image of a micrograph is in the file.
export const pictured = (id) => KINDS.some((kind) => typeof pictures.images[kind][id] === "string");

// Whoever asks for a size adds it to the address: behind "#" it changes nothing.
const address = (base64) => `data:image/${base64.startsWith("iVBOR") ? "png" : "jpeg"};base64,${base64}#`;
