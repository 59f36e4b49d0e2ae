// What is under way on connections that have died without a word would be waited for without end, and holds the few
// connections that a browser has for a server.  It is given up, and images are asked for again when the agent is heard.

import { idle } from "./idle.js";

const UNREACHED = "cryowatch cannot be reached";

let giving = new AbortController();

export async function reach(address, options) {
  try {
    const headers = { ...options?.headers, "Cryowatch-Idle": idle() };
    return await fetch(address, { ...options, headers, signal: giving.signal });
  } catch {
    throw new Error(UNREACHED);
  }
}

export function giveUp() {
  giving.abort(new Error(UNREACHED));
  giving = new AbortController();
  for (const image of document.images) {
    const address = image.getAttribute("src");
    if (!address || image.complete) continue;
    image.dataset.again = address;
    image.removeAttribute("src");
  }
}

export function askAgain() {
  for (const image of document.querySelectorAll("img[data-again]")) {
    image.src = image.dataset.again;
    delete image.dataset.again;
  }
}
