// On paper: every dashboard after the other, in light colours, its charts drawn anew at the width of the page.
// theme.js, which is there before, sees to the colours.

import { el } from "../../web/static/dom.js";
import { number } from "../../web/static/format.js";
import { get, sessionPath } from "./answers.js";
import { content } from "./content.js";

const CARDS = 24;
const SHARPNESS = 2;

// The grid on paper, as in report.css, and how many of its rows fit on a page.
const ROW = 51;
const GAP = 10;
const ROWS_OF_PAGE = 10;

export function printable(sections) {
  let printing = false;
  addEventListener("beforeprint", () => {
    if (printing) return;
    printing = true;
    const panels = sections.flatMap((section) => section.panels);
    const before = panels.filter((panel) => panel.drawn?.chart);
    for (const section of sections) section.drawNow();
    for (const section of sections) section.node.classList.toggle("void", !section.waiting.hidden);
    for (const panel of panels) lay(panel);
    for (const panel of before) again(panel);
    for (const panel of panels) draw(panel);
  });
  addEventListener("afterprint", () => {
    if (!printing) return;
    printing = false;
    for (const copy of document.querySelectorAll(".on-paper")) copy.remove();
    for (const panel of sections.flatMap((section) => section.panels)) {
      if (isTable(panel)) {
        panel.node.classList.remove("long");
        panel.fit();
      }
      again(panel);
    }
  });
}

// A chart at the size and in the colours of now.
function again(panel) {
  panel.drawn?.chart?.renew();
}

const isTable = (panel) => panel.described.kind === "table" && !panel.node.hidden && panel.drawn !== null;

// A table that is as wide as the page is as high as its rows need; one that is higher than a page goes on on the next.
function lay(panel) {
  if (!isTable(panel) || panel.described.width < 12) return;
  const needed = panel.node.querySelector("header").offsetHeight + panel.body.querySelector("table").offsetHeight + 12;
  const rows = Math.ceil((needed + GAP) / (ROW + GAP));
  panel.node.style.setProperty("--height", rows);
  panel.node.classList.toggle("long", rows > ROWS_OF_PAGE);
}

// Many points at once draw on the canvas that they were laid out for, so they are laid out anew.
function draw(panel) {
  const chart = panel.drawn?.chart;
  if (!chart || panel.node.hidden) return;
  for (const shape of chart.chart.getZr().storage.getDisplayList(true)) shape.dirtyShape?.();
  const copy = chart.chart.renderToCanvas({ pixelRatio: SHARPNESS });
  copy.className = "on-paper";
  copy.removeAttribute("style");
  chart.box.append(copy);
}

// The gallery on paper: the newest micrographs whose images are here. Made before anybody prints, as images take a moment.
export async function galleryOnPaper(section) {
  const { gallery } = section;
  await gallery.ready;
  const { total, micrographs } = await get(sessionPath(section.view.id, "micrographs"), { pictured: "1", limit: CARDS });
  if (!micrographs.length) return;
  const cards = micrographs.map((micrograph) => {
    const card = gallery.card(micrograph);
    gallery.fill(card, micrograph);
    return card;
  });
  for (const image of cards.flatMap((card) => [...card.querySelectorAll("img")])) image.loading = "eager";
  const all = number(content.counts.micrographs);
  const said = cards.length < total ? `The newest ${number(cards.length)} of ${number(total)} whose images are in the file; the session has ${all}.` : "";
  section.node.append(el("div", { class: "paper" }, said && el("p", { class: "left-out", text: said }), el("div", { class: "sheet" }, ...cards)));
}
