// One image of a micrograph in a box of fixed shape; where there is none, the reason.

import { el } from "./dom.js";
import { reach } from "./under-way.js";

export const KINDS = [
  ["micrograph", "Micrograph"],
  ["power-spectrum", "Power spectrum"],
  ["shift-plot", "Shifts"],
];
const RETRIES = 4;

export function picture(address, label, size, { eager = false } = {}) {
  const box = el("div", { class: "picture" });
  if (!address) {
    box.append(el("span", { class: "reason", text: `no ${label.toLowerCase()}` }));
    return box;
  }
  let tries = 0;
  const image = el("img", { alt: label, loading: eager ? "eager" : "lazy", decoding: "async" });
  image.addEventListener("load", () => box.classList.add("loaded"));
  image.addEventListener("error", async () => {
    const { reason, again } = await why(image.src);
    if (again && tries < RETRIES && box.isConnected) {
      tries += 1;
      setTimeout(() => { image.src = `${address}&size=${size}&try=${tries}`; }, 3000 * tries);
    }
    box.replaceChildren(image, el("span", { class: "reason", text: reason }));
    image.hidden = !again;
  });
  image.src = `${address}&size=${size}`;
  box.append(image);
  return box;
}

async function why(address) {
  try {
    const answer = await reach(address);
    if (answer.ok) return { reason: "the image could not be drawn", again: false };
    const said = await answer.json();
    return { reason: said.error, again: answer.status === 503 };
  } catch {
    return { reason: "cryowatch cannot be reached", again: true };
  }
}

// How many pixels the file has that an image was rendered from; null where that is not known.
export async function sourceSize(address) {
  const answer = await reach(address, { method: "HEAD" }).catch(() => null);
  const width = Number(answer?.headers.get("X-Source-Width"));
  const height = Number(answer?.headers.get("X-Source-Height"));
  return width && height ? { width, height } : null;
}
