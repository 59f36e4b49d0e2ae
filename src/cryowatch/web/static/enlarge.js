// A micrograph enlarged: its images, all its numbers, and its neighbours: in time, or in the gallery those that its filter
// lets through. `#m=17` in the address opens it.

import { get } from "./api.js";
import { el, named } from "./dom.js";
import { moment, number, quantity } from "./format.js";
import { Lens } from "./lens.js";
import { KINDS } from "./picture.js";

const NUMBERS = ["defocus", "defocus_u", "defocus_v", "astigmatism", "defocus_angle", "ratio", "phase_shift", "resolution", "fit_quality", "motion_total", "motion_early", "motion_late", "pixel_size"];
const STEPS = [["previous", "←", "Earlier", "Previous"], ["next", "→", "Later", "Next"]];
let dialog = null;
let fields = null;
let current = null;
let kind = "micrograph";
let opener = null;
let view = null;
let lens = null;
let pushed = false;
let wanted = null; // of several asked for one after the other, the last

export function openFromAddress(view) {
  const show = () => {
    const id = /^#m=(\d+)$/.exec(location.hash)?.[1];
    if (id) open(view, Number(id));
    else {
      wanted = null;
      pushed = false;
      dialog?.close();
    }
  };
  addEventListener("popstate", show); // not hashchange: an answer could come between the step back and that
  show();
}

export async function open(from, id) {
  view = from;
  if (current?.id === id && dialog?.open) return;
  const asked = (wanted = Symbol("wanted"));
  fields ??= (await get("/api/fields")).micrograph;
  if (!dialog) build();
  let found;
  try {
    found = await get(`/api/micrographs/${id}`, view.beside());
  } catch (error) {
    history.replaceState(null, "", location.pathname + location.search);
    if (dialog.open) dialog.querySelector(".name").textContent = error.message;
    return;
  }
  if (wanted !== asked) return;
  current = found;
  remember(id);
  draw();
  if (!dialog.open) {
    opener = document.activeElement;
    dialog.showModal();
  }
}

// The first one opened is a step back in the browser's history, so that a phone's back button closes it.
function remember(id) {
  const address = `${location.pathname}${location.search}#m=${id}`;
  if (location.hash === `#m=${id}`) return;
  if (dialog.open) history.replaceState(null, "", address);
  else {
    history.pushState(null, "", address);
    pushed = true;
  }
}

function forget() {
  if (pushed && location.hash) history.back();
  else history.replaceState(null, "", location.pathname + location.search);
  pushed = false;
}

function build() {
  const step = (way) => () => current?.[way] && open(view, current[way]);
  lens = new Lens();
  const contrast = slider("Contrast", 0.4, 3, 1);
  const brightness = slider("Brightness", 0.4, 2, 1);
  const adjust = () => {
    lens.frame.style.filter = `contrast(${contrast.input.value}) brightness(${brightness.input.value})`;
  };
  for (const one of [contrast, brightness]) one.input.addEventListener("input", adjust);
  const reset = () => {
    for (const one of [contrast, brightness]) one.input.value = "1";
    adjust();
  };
  dialog = el("dialog", { class: "enlarge", "aria-label": "Micrograph" },
    el("header", {},
      ...STEPS.map(([way, sign]) => el("button", { class: `quiet ${way}`, type: "button", text: sign, onclick: step(way) })),
      el("h2", { class: "name" }),
      el("button", { class: "quiet", type: "button", text: "Copy link", onclick: copy }),
      el("button", { class: "quiet", type: "button", text: "✕", title: "Close (Esc)", "aria-label": "Close", onclick: () => dialog.close() })),
    el("div", { class: "inside" },
      el("div", { class: "views" },
        el("div", { class: "tools" }, el("div", { class: "group", role: "group", "aria-label": "Image" }), lens.buttons),
        el("div", { class: "large" }, lens.node),
        el("div", { class: "sliders" }, contrast.node, brightness.node, el("button", { class: "quiet", type: "button", text: "Reset", onclick: reset }))),
      el("div", { class: "numbers", role: "region", "aria-label": "Numbers", tabIndex: 0 }, el("dl"))));
  dialog.addEventListener("close", () => {
    forget();
    wanted = current = null;
    opener?.focus?.();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.target.type === "range" || event.ctrlKey || event.metaKey || event.altKey) return;
    const [chosen] = KINDS[Number(event.key) - 1] ?? [];
    const action = {
      ArrowLeft: step("previous"), ArrowRight: step("next"), "+": () => lens.zoom(1.4), "=": () => lens.zoom(1.4),
      "-": () => lens.zoom(1 / 1.4), 0: () => lens.whole(),
    }[event.key] ?? (chosen && (chosen === "micrograph" || current.images[chosen]) ? () => choose(chosen) : null);
    if (!action) return;
    event.preventDefault();
    action();
  });
  swipes(dialog.querySelector(".views"), step("previous"), step("next"));
  document.body.append(dialog);
}

function slider(label, min, max, value) {
  const input = el("input", { type: "range", min: String(min), max: String(max), step: "0.05", value: String(value) });
  return { input, node: el("label", {}, label, input) };
}

function draw() {
  const name = dialog.querySelector(".name");
  name.replaceChildren(named("span", current.name));
  if (!current.enabled) name.append(el("span", { class: "pill warn", text: "discarded" }));
  const sorted = view.beside().sort ?? "time";
  for (const [way, sign, byTime, inList] of STEPS) {
    const button = dialog.querySelector(`.${way}`);
    button.disabled = current[way] === null;
    button.title = `${sorted === "time" ? byTime : inList} (${sign})`;
    button.setAttribute("aria-label", `${sorted === "time" ? byTime : inList} micrograph`);
  }
  const kinds = KINDS.filter(([one]) => one === "micrograph" || current.images[one]);
  if (!kinds.some(([one]) => one === kind)) kind = "micrograph";
  dialog.querySelector(".group").replaceChildren(...kinds.map(([one, label]) => el("button", {
    type: "button", text: label, "aria-pressed": String(one === kind),
    onclick: () => choose(one),
  })));
  const label = KINDS.find(([one]) => one === kind)[1];
  const whole = kind === "micrograph";
  lens.show(current.images[kind], label, whole ? 2048 : 1024, whole ? current.pixel_size : null);
  const rows = NUMBERS.filter((field) => current[field] !== null).map((field) => {
    const { label: text, shown_unit: unit, per_shown: per, decimals } = fields[field];
    return [text, quantity(current[field] / per, unit, decimals), fields[field].text];
  });
  if (current.defocus === null) rows.unshift(["CTF", view.withoutCtf(current), "No CTF is known of this micrograph."]);
  else if (current.resolution === null) rows.push(["Resolution", "no fit", "The CTF fits at no resolution."]);
  rows.push(["Time", moment(current.time), ""], ["Item", number(current.item), `Run ${current.run}, ${current.output}`], ["File", current.micrograph_path || "–", ""]);
  dialog.querySelector(".numbers dl").replaceChildren(...rows.flatMap(([term, value, text]) => [el("dt", { text: term, title: text }), el("dd", { text: value, class: term === "File" ? "file" : "" })]));
}

function choose(one) {
  kind = one;
  draw();
}

async function copy(event) {
  const button = event.currentTarget;
  try {
    await navigator.clipboard.writeText(location.href);
    button.textContent = "Copied";
  } catch {
    button.textContent = "See the address bar";
  }
  setTimeout(() => { button.textContent = "Copy link"; }, 1500);
}

function swipes(node, before, after) {
  let start = null;
  node.addEventListener("touchstart", (event) => { start = event.touches.length === 1 && lens.scale === 1 ? event.touches[0].clientX : null; }, { passive: true });
  node.addEventListener("touchend", (event) => {
    const moved = start === null ? 0 : event.changedTouches[0].clientX - start;
    if (moved > 60) before();
    else if (moved < -60) after();
  }, { passive: true });
}
