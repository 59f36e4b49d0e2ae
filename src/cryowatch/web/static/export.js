// Micrographs to keep: those that are shown, or of them the good ones, as a CSV file.

import { sessionPath } from "./api.js";
import { byId, el } from "./dom.js";

const CHOICES = [["All that are shown (CSV)", {}], ["The good ones (CSV)", { good: "1" }]];

export function offerExport(view) {
  const menu = byId("export");
  menu.hidden = false;
  const links = CHOICES.map(([text, more]) => [el("a", { text, download: "" }), more]);
  menu.append(el("div", {}, ...links.map(([link]) => link)));
  menu.addEventListener("toggle", () => {
    for (const [link, more] of links) link.href = address(view, more);
  });
  addEventListener("click", (event) => {
    if (!menu.contains(event.target) || event.target.closest("a")) menu.open = false;
  });
  menu.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}

function address(view, more) {
  const wanted = Object.entries({ ...view.shown(), ...more }).filter(([, value]) => value !== null && value !== undefined && value !== "");
  return `${sessionPath(view.id)}/export?${new URLSearchParams(wanted)}`;
}
