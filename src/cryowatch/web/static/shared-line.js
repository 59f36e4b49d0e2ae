// One line to the agent for all pages of a browser that see the same: a shared worker, which lives as long as one of them.
//
// A browser opens six connections to a server, and a line holds one for good: with a line of its own for each page, the
// seventh would never load.  A page says "join" when somebody looks at it, and again to ask how the line is; "leave" when
// nobody does.  Where no page is looked at there is no line.  The worker's name is the mark of whoever reads.

import { Line } from "./line.js";

const pages = new Set();
const line = new Line("", (message) => {
  for (const page of pages) page.postMessage(message);
});

addEventListener("connect", ({ ports: [page] }) => {
  page.onmessage = ({ data }) => (data === "join" ? join(page) : leave(page));
});

// All pages are told how the line is when one joins; it changes nothing for those who know.  A line that was opened while
// somebody else was logged in is opened anew.
function join(page) {
  pages.add(page);
  if ((line.state.hello?.reader ?? name) !== name) line.close();
  line.open();
}

function leave(page) {
  pages.delete(page);
  if (!pages.size) line.close();
}
