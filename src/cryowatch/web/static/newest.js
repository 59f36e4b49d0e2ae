// The newest micrograph on the Summary page.

import { get, sessionPath } from "./api.js";
import { el } from "./dom.js";
import { open } from "./enlarge.js";
import { age, quantity } from "./format.js";
import { KINDS, picture } from "./picture.js";

const PATIENCE = 4000;

// The last pictures stay until the next ones are there, or cannot be.
function settled(pictures) {
  const images = pictures.flatMap((node) => [...node.querySelectorAll("img")]);
  const ends = images.map((image) => new Promise((end) => {
    image.addEventListener("load", end);
    image.addEventListener("error", end);
  }));
  return Promise.race([Promise.all(ends), new Promise((end) => { setTimeout(end, PATIENCE); })]);
}

export class Newest {
  constructor(described, view, body, note) {
    this.view = view;
    this.note = note;
    this.place = el("div", { class: "newest-card" });
    body.append(this.place);
    this.shown = null;
  }

  async update() {
    const query = { output: this.view.output, limit: 1 };
    const { micrographs } = await get(sessionPath(this.view.id, "micrographs"), query).catch(() => ({ micrographs: [] }));
    const [newest] = micrographs;
    if (!newest) return;
    this.note(age(newest.time));
    const key = `${newest.id}.${newest.version}`;
    if (this.shown === key) return;
    this.shown = key;
    const numbers = [
      newest.defocus === null ? null : `defocus ${quantity(newest.defocus / 1e4, "µm", 2)}`,
      newest.resolution === null ? null : `resolution ${quantity(newest.resolution, "Å", 2)}`,
      newest.astigmatism === null ? null : `astigmatism ${quantity(newest.astigmatism / 10, "nm", 1)}`,
      newest.motion_total === null ? null : `motion ${quantity(newest.motion_total, "Å", 1)}`,
    ].filter(Boolean);
    if (newest.defocus === null) numbers.unshift(this.view.withoutCtf(newest));
    const show = () => open(this.view, newest.id);
    const button = (kind, label, size) => el("button", { class: "frame", type: "button", onclick: show, "aria-label": `Enlarge: ${label}` }, picture(newest.images[kind], label, size, { eager: true }));
    const pictures = KINDS.map(([kind, label]) => button(kind, label, 512));
    if (this.place.childElementCount) await settled(pictures);
    if (this.shown !== key) return;
    this.place.replaceChildren(
      ...pictures,
      el("div", { class: "words" }, el("b", { text: newest.name, title: newest.name }), numbers.join(" · ")));
  }
}
