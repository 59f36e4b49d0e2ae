// One image that can be looked into: wheel, pinch, double click and buttons zoom, dragging moves, a bar tells the scale.

import { el } from "./dom.js";
import { number } from "./format.js";
import { picture, sourceSize } from "./picture.js";

const FIRST = 512;
const MOST = 24;
const STEP = 1.4;
const BAR = 0.22;

export class Lens {
  constructor() {
    this.frame = el("div", { class: "frame-of-lens", tabIndex: 0, role: "group", "aria-label": "Image; plus and minus zoom, arrows step" });
    this.bar = el("div", { class: "scale-bar", hidden: true }, el("span"));
    this.buttons = el("div", { class: "zooms", role: "group", "aria-label": "Zoom" },
      el("button", { class: "quiet", type: "button", text: "−", title: "Zoom out (−)", "aria-label": "Zoom out", onclick: () => this.zoom(1 / STEP) }),
      el("button", { class: "quiet level", type: "button", title: "Whole image (0)", "aria-label": "Whole image", onclick: () => this.whole() }),
      el("button", { class: "quiet", type: "button", text: "+", title: "Zoom in (+)", "aria-label": "Zoom in", onclick: () => this.zoom(STEP) }));
    this.node = el("div", { class: "lens" }, this.frame, this.bar);
    this.pointers = new Map();
    this.source = null;
    this.scale = 1;
    this.x = 0;
    this.y = 0;
    this.frame.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0016)), event);
    }, { passive: false });
    this.frame.addEventListener("dragstart", (event) => event.preventDefault());
    this.frame.addEventListener("dblclick", (event) => (this.scale > 1 ? this.whole() : this.zoom(3, event)));
    for (const name of ["pointerdown", "pointermove", "pointerup", "pointercancel"]) this.frame.addEventListener(name, (event) => this[name](event));
    new ResizeObserver(() => this.place()).observe(this.frame);
  }

  // Shows an image: what is at hand at once, then the large one. `pixelSize` is that of the source in Å, null for none.
  show(address, label, size, pixelSize) {
    const same = this.label === label;
    Object.assign(this, { address, label, pixelSize, source: null });
    this.box = picture(address, label, FIRST, { eager: true });
    this.image = this.box.querySelector("img");
    this.frame.replaceChildren(this.box);
    this.image?.addEventListener("load", () => this.place());
    if (!same) this.whole();
    else this.place();
    if (this.image && address.startsWith("/")) this.sharpen(`${address}&size=${size}`);
  }

  async sharpen(address) {
    const image = this.image;
    const large = new Image();
    large.src = address;
    await large.decode().catch(() => null);
    if (image !== this.image || !large.naturalWidth) return;
    image.src = address;
    const found = await sourceSize(address);
    if (image !== this.image) return;
    this.source = found;
    this.place();
  }

  whole() {
    Object.assign(this, { scale: 1, x: 0, y: 0 });
    this.place();
  }

  zoom(factor, at = null) {
    const box = this.frame.getBoundingClientRect();
    const px = at ? at.clientX - box.left : box.width / 2;
    const py = at ? at.clientY - box.top : box.height / 2;
    const scale = Math.min(MOST, Math.max(1, this.scale * factor));
    this.x = px - ((px - this.x) * scale) / this.scale;
    this.y = py - ((py - this.y) * scale) / this.scale;
    this.scale = scale;
    this.place();
  }

  place() {
    const { clientWidth: width, clientHeight: height } = this.frame;
    this.x = Math.min(0, Math.max(width * (1 - this.scale), this.x));
    this.y = Math.min(0, Math.max(height * (1 - this.scale), this.y));
    if (this.image) this.image.style.transform = `translate(${this.x}px, ${this.y}px) scale(${this.scale})`;
    this.frame.classList.toggle("zoomed", this.scale > 1);
    this.buttons.querySelector(".level").textContent = `${number(this.scale * 100)} %`;
    this.drawBar(width, height);
  }

  // A bar of a round length near the image's lower left corner; none where the size of a pixel is not known.
  drawBar(width, height) {
    const { naturalWidth: wide, naturalHeight: high } = this.image ?? {};
    this.bar.hidden = !wide || !this.source || !this.pixelSize;
    if (this.bar.hidden) return;
    const fit = Math.min(width / wide, height / high);
    const angstroms = (this.source.width * this.pixelSize) / (wide * fit * this.scale);
    const length = round(angstroms * Math.min(width * BAR, 260));
    const left = ((width - wide * fit) / 2) * this.scale + this.x;
    const below = height - (((height + high * fit) / 2) * this.scale + this.y);
    this.bar.style.left = `${Math.max(0, left) + 16}px`;
    this.bar.style.bottom = `${Math.max(0, below) + 14}px`;
    this.bar.style.width = `${length / angstroms}px`;
    this.bar.dataset.angstroms = length;
    this.bar.firstChild.textContent = length >= 10000 ? `${number(length / 10000)} µm` : `${number(length / 10, length < 10 ? 1 : 0)} nm`;
  }

  pointerdown(event) {
    if (event.button > 0) return;
    this.pointers.set(event.pointerId, event);
    this.frame.setPointerCapture(event.pointerId);
  }

  pointermove(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) return;
    const others = [...this.pointers.values()].filter((one) => one.pointerId !== event.pointerId);
    this.pointers.set(event.pointerId, event);
    if (others.length) {
      const apart = (one) => Math.hypot(one.clientX - others[0].clientX, one.clientY - others[0].clientY);
      const middle = { clientX: (event.clientX + others[0].clientX) / 2, clientY: (event.clientY + others[0].clientY) / 2 };
      this.zoom(apart(event) / Math.max(1, apart(before)), middle);
    } else if (this.scale > 1) {
      this.x += event.clientX - before.clientX;
      this.y += event.clientY - before.clientY;
      this.place();
    }
  }

  pointerup(event) {
    this.pointers.delete(event.pointerId);
  }

  pointercancel(event) {
    this.pointers.delete(event.pointerId);
  }
}

// The longest length of 1, 2 or 5 times a power of ten that is not above a given one.
function round(length) {
  const power = 10 ** Math.floor(Math.log10(length));
  return power * ([5, 2, 1].find((digit) => digit * power <= length) ?? 1);
}
