// A micrograph enlarged: its images, all its numbers, and its neighbours in time. `#m=17` in the address opens it.

import { get } from "./api.js";
import { el } from "./dom.js";
import { moment, number, quantity } from "./format.js";
import { KINDS, picture } from "./picture.js";

const NUMBERS = ["defocus", "defocus_u", "defocus_v", "astigmatism", "defocus_angle", "ratio", "phase_shift", "resolution", "fit_quality", "motion_total", "motion_early", "motion_late", "pixel_size"];
let dialog = null;
let fields = null;
let current = null;
let kind = "micrograph";
let opener = null;
let view = null;

export function openFromAddress(view) {
  const show = () => {
    const id = /^#m=(\d+)$/.exec(location.hash)?.[1];
    if (id) open(view, Number(id));
    else dialog?.close();
  };
  addEventListener("hashchange", show);
  show();
}

export async function open(from, id) {
  view = from;
  if (current?.id === id && dialog?.open) return;
  fields ??= (await get("/api/fields")).micrograph;
  if (!dialog) build();
  let found;
  try {
    found = await get(`/api/micrographs/${id}`);
  } catch (error) {
    history.replaceState(null, "", location.pathname + location.search);
    if (dialog.open) dialog.querySelector(".name").textContent = error.message;
    return;
  }
  current = found;
  if (location.hash !== `#m=${id}`) history.replaceState(null, "", `${location.pathname}${location.search}#m=${id}`);
  draw();
  if (!dialog.open) {
    opener = document.activeElement;
    dialog.showModal();
  }
}

function build() {
  const step = (way) => () => current?.[way] && open(view, current[way]);
  const contrast = slider("Contrast", 0.4, 3, 1);
  const brightness = slider("Brightness", 0.4, 2, 1);
  const adjust = () => {
    dialog.querySelector(".large").style.filter = `contrast(${contrast.input.value}) brightness(${brightness.input.value})`;
  };
  for (const one of [contrast, brightness]) one.input.addEventListener("input", adjust);
  dialog = el("dialog", { class: "enlarge", "aria-label": "Micrograph" },
    el("header", {},
      el("button", { class: "quiet previous", type: "button", text: "←", title: "Earlier (←)", "aria-label": "Earlier micrograph", onclick: step("previous") }),
      el("button", { class: "quiet next", type: "button", text: "→", title: "Later (→)", "aria-label": "Later micrograph", onclick: step("next") }),
      el("h2", { class: "name" }),
      el("button", { class: "quiet", type: "button", text: "Copy link", onclick: copy }),
      el("button", { class: "quiet", type: "button", text: "✕", title: "Close (Esc)", "aria-label": "Close", onclick: () => dialog.close() })),
    el("div", { class: "inside" },
      el("div", { class: "views" }, el("div", { class: "group", role: "group", "aria-label": "Image" }), el("div", { class: "large" }), el("div", { class: "sliders" }, contrast.node, brightness.node)),
      el("dl", { class: "numbers" })));
  dialog.addEventListener("close", () => {
    history.replaceState(null, "", location.pathname + location.search);
    current = null;
    opener?.focus?.();
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.target.type === "range") return;
    if (event.key === "ArrowLeft") step("previous")();
    else if (event.key === "ArrowRight") step("next")();
    else return;
    event.preventDefault();
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
  name.replaceChildren(current.name);
  if (!current.enabled) name.append(" ", el("span", { class: "pill warn", text: "discarded" }));
  dialog.querySelector(".previous").disabled = current.previous === null;
  dialog.querySelector(".next").disabled = current.next === null;
  const kinds = KINDS.filter(([one]) => one === "micrograph" || current.images[one]);
  if (!kinds.some(([one]) => one === kind)) kind = "micrograph";
  dialog.querySelector(".group").replaceChildren(...kinds.map(([one, label]) => el("button", {
    type: "button", text: label, "aria-pressed": String(one === kind),
    onclick: () => { kind = one; draw(); },
  })));
  const label = KINDS.find(([one]) => one === kind)[1];
  dialog.querySelector(".large").replaceChildren(picture(current.images[kind], label, kind === "micrograph" ? 2048 : 1024, { eager: true }));
  const rows = NUMBERS.filter((field) => current[field] !== null).map((field) => {
    const { label: text, shown_unit: unit, scale, decimals } = fields[field];
    return [text, quantity(current[field] * scale, unit, decimals), fields[field].text];
  });
  if (current.defocus === null) rows.unshift(["CTF", view.withoutCtf(current), "No CTF is known of this micrograph."]);
  else if (current.resolution === null) rows.push(["Resolution", "no fit", "The CTF fits at no resolution."]);
  rows.push(["Time", moment(current.time), ""], ["Item", number(current.item), `Run ${current.run}, ${current.output}`], ["File", current.micrograph_path || "–", ""]);
  dialog.querySelector(".numbers").replaceChildren(...rows.flatMap(([term, value, text]) => [el("dt", { text: term, title: text }), el("dd", { text: value, class: term === "File" ? "file" : "" })]));
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
  node.addEventListener("touchstart", (event) => { start = event.touches.length === 1 ? event.touches[0].clientX : null; }, { passive: true });
  node.addEventListener("touchend", (event) => {
    const moved = start === null ? 0 : event.changedTouches[0].clientX - start;
    if (moved > 60) before();
    else if (moved < -60) after();
  }, { passive: true });
}
