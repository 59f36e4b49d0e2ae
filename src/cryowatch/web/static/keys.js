// The gallery's keyboard.

import { el } from "./dom.js";

const KEYS = [
  ["j  or  →", "next micrograph"], ["k  or  ←", "previous micrograph"], ["↓  ↑", "one row down or up"], ["Enter", "enlarge"],
  ["←  →", "earlier, later (enlarged)"], ["1  2  3", "micrograph, power spectrum, shifts (enlarged)"],
  ["+  −  0", "zoom in, out, whole image (enlarged)"], ["Esc", "close"], ["/", "search by name"], ["?", "this list"],
];

export function shortcuts(gallery) {
  const help = el("dialog", { class: "help", "aria-label": "Keyboard" }, el("h2", { text: "Keyboard" }),
    el("dl", {}, ...KEYS.flatMap(([key, text]) => [el("dt", { text: key }), el("dd", { text })])));
  help.addEventListener("click", () => help.close());
  document.body.append(help);
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches?.("input, select, textarea");
    if (gallery.list.offsetParent === null) return;
    if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
    if (typing) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const action = {
      j: () => gallery.move(1), ArrowRight: () => gallery.move(1), k: () => gallery.move(-1), ArrowLeft: () => gallery.move(-1),
      ArrowDown: () => gallery.move(gallery.columns), ArrowUp: () => gallery.move(-gallery.columns),
      Enter: () => gallery.enlarge(), "/": () => gallery.filter.focus(), "?": () => help.showModal(),
    }[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}
