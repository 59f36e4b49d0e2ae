// What a panel shows, in words, behind an "i" in its head: for fingers and keys, as a `title` is for mice alone.

import { el } from "./dom.js";

const WIDTH = 320;
const EDGE = 8;

// A button and the text that it opens; Escape, or a click elsewhere, closes it.
export function about(title, id, text) {
  if (!text) return [];
  const said = el("p", { class: "explained", id: `about-${id}`, popover: "auto", text });
  const button = el("button", {
    class: "explain", type: "button", text: "i", "aria-label": `About ${title}`, "aria-describedby": said.id, popoverTargetElement: said,
  });
  said.addEventListener("beforetoggle", ({ newState }) => { if (newState === "open") place(said, button); });
  said.addEventListener("toggle", ({ newState }) => { if (newState === "open") said.scrollIntoView({ block: "nearest" }); });
  return [button, said];
}

// Below the button and within the page's sides; it scrolls with the page.
function place(said, button) {
  const { left, bottom } = button.getBoundingClientRect();
  const room = document.documentElement.clientWidth - EDGE;
  said.style.left = `${Math.max(EDGE, Math.min(left, room - WIDTH)) + scrollX}px`;
  said.style.top = `${bottom + 4 + scrollY}px`;
}
