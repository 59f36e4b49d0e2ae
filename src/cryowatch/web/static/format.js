// Numbers and times as people read them: units always, a real minus, "–" for no value.

import { now } from "./now.js";

const NONE = "–";
const formats = new Map();

export function number(value, decimals = 0) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NONE;
  const places = decimals ?? 0;
  if (!formats.has(places)) {
    formats.set(places, new Intl.NumberFormat("en", { minimumFractionDigits: places, maximumFractionDigits: places }));
  }
  return formats.get(places).format(value).replace("-", "−");
}

// A share is cut, not rounded: 89.96 % is no 90.0 %, and what is judged by 90 must not look as if it were there.
export function share(percent, decimals = 0) {
  const per = 10 ** (decimals ?? 0);
  return number(Math.floor(percent * per + 1e-6) / per, decimals);
}

export function quantity(value, unit, decimals) {
  const text = number(value, decimals);
  return text === NONE || !unit ? text : `${text}${unit === "°" ? "" : " "}${unit}`;
}

export function duration(milliseconds) {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000));
  const steps = [[86400, "d", 3600, "h"], [3600, "h", 60, "min"], [60, "min", 1, "s"]];
  for (const [size, unit, small, smallUnit] of steps) {
    if (seconds >= size) {
      const rest = Math.floor((seconds % size) / small);
      return rest && size !== 60 ? `${Math.floor(seconds / size)} ${unit} ${rest} ${smallUnit}` : `${Math.floor(seconds / size)} ${unit}`;
    }
  }
  return `${seconds} s`;
}

export const age = (time) => (time === null || time === undefined ? NONE : `${duration(now() - time)} ago`);

const pad = (n) => String(n).padStart(2, "0");

export function clock(time) {
  const date = new Date(time);
  return `${pad(date.getHours())}:${pad(date.getMinutes())}`;
}

export const clockWithSeconds = (time) => `${clock(time)}:${pad(new Date(time).getSeconds())}`;

export function moment(time) {
  if (time === null || time === undefined) return NONE;
  const date = new Date(time);
  const day = `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())}`;
  return `${day} ${clockWithSeconds(time)}`;
}

export const zone = () => Intl.DateTimeFormat().resolvedOptions().timeZone;

export function bytes(value) {
  if (value === null || value === undefined) return NONE;
  const units = ["B", "kB", "MB", "GB", "TB"];
  const step = Math.min(units.length - 1, value > 0 ? Math.floor(Math.log10(value) / 3) : 0);
  return `${number(value / 1000 ** step, step ? 1 : 0)} ${units[step]}`;
}

// What is said where items are dated after the present.
export const future = ({ count, latest }) => `${number(count)} ${count === 1 ? "item is" : "items are"} dated in the future, up to ${moment(latest)}. Is a clock or the time zone wrong?`;

const STATUS = {
  running: ["running", "good"], finished: ["finished", "done"], failed: ["failed", "bad"], aborted: ["stopped", "warn"],
  gone: ["gone", "bad"], empty: ["no runs yet", ""], launched: ["launched", "good"], waiting: ["waiting", ""], scheduled: ["scheduled", ""],
  saved: ["not started", ""], interactive: ["interactive", ""], info: ["info", ""], warning: ["warning", "warn"], critical: ["critical", "bad"],
};

export const status = (word) => STATUS[word] ?? [word ?? NONE, ""];
