// A dashboard on paper has all its panels, also those that nobody has scrolled to yet.  theme.js sees to its looks.

import { byId, el } from "./dom.js";

const PATIENCE = 10000;
const LOOK = 100;

// The keys for printing load what is missing first; who prints by the browser's menu reads how many panels are not there.
export function printable(feed) {
  const left = el("p", { class: "unprinted", hidden: true });
  byId("main").append(left);
  const missing = () => feed.panels.filter((panel) => panel.head === null && !panel.failed);
  addEventListener("beforeprint", () => {
    const count = missing().length;
    left.hidden = count === 0;
    left.textContent = `Not loaded and so not here: ${count} panels. Ctrl+P, pressed on the page, loads them first.`;
  });
  addEventListener("keydown", async (event) => {
    if (event.key.toLowerCase() !== "p" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey) return;
    if (!missing().length) return;
    event.preventDefault();
    for (let waited = 0; missing().length && waited < PATIENCE; waited += LOOK) {
      for (const panel of missing()) panel.near = true;
      feed.look();
      await new Promise((end) => { setTimeout(end, LOOK); });
    }
    print();
  });
}
