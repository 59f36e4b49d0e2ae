// What a page says once its session is not there any more: nothing on it is asked for again.

import { byId, el } from "./dom.js";

// Called again, it says what there is to say more: whoever has a session forgotten hears of it in two ways.
export function showGone(title, lines, more = []) {
  if (document.body.classList.contains("gone")) {
    byId("gone").lastChild.before(...more.map((line) => el("p", {}, ...line)));
    return;
  }
  document.body.classList.add("gone");
  for (const dialog of document.querySelectorAll("dialog[open]")) dialog.close();
  byId("main").append(el("div", { id: "gone", class: "empty", role: "status" },
    el("h2", { text: title }),
    ...lines.map((text) => el("p", { text })),
    ...more.map((line) => el("p", {}, ...line)),
    el("p", {}, el("a", { href: "/", text: "All sessions" }))));
}
