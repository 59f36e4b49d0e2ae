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
  const box = el("div", { class: `picture ${address?.includes("/shift-plot") ? "drawn" : ""}` });
  if (!address) {
    box.append(el("span", { class: "reason", text: `no ${label.toLowerCase()}` }));
    return box;
  }
  let tries = 0;
  const image = el("img", { alt: label, loading: eager ? "eager" : "lazy", decoding: "async" });
  image.addEventListener("load", () => {
    box.classList.add("loaded");
    if (address.startsWith("/") && address.includes("/power-spectrum")) mark(box, image, label);
  });
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

// Says so where a power spectrum is none of the project's; its answer is in the browser's cache by now.
async function mark(box, image, label) {
  const answer = await reach(image.src, { cache: "force-cache" }).catch(() => null);
  const reason = answer?.headers.get("X-Computed");
  if (!reason || box.querySelector(".computed")) return;
  const text = `Computed from the micrograph: ${decodeURIComponent(reason)}`;
  image.alt = `${label}. ${text}`;
  box.append(computed(text));
}

// The mark of a power spectrum that is computed from its micrograph.
export function computed(text) {
  return el("span", { class: "computed", text: "computed", title: text });
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
