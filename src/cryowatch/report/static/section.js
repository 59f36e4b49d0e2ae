// One dashboard of a report: what its reader can choose, and its panels, drawn when it is first looked at.

import { el } from "../../web/static/dom.js";
import { Gallery } from "../../web/static/gallery.js";
import { Panel } from "../../web/static/panel.js";
import { Toolbar } from "../../web/static/toolbar.js";
import { CHOICES, View } from "../../web/static/view.js";
import { content } from "./content.js";
import { panelData } from "./panels.js";

const EMPTY = {
  gain: ["No gain residual", "No run of this session has measured how far movies are from their gain reference."],
  system: ["No sample", "The machine was not sampled while this session ran, or its samples are no longer kept."],
};

class ReportView extends View {
  define(definition) {
    super.define(definition);
    this.ofHost = false;
    const ofMicrographs = definition.panels.some((panel) => panel.record === "micrograph");
    this.session = ofMicrographs ? content.session : { ...content.session, outputs: [] };
  }
}

export class Section {
  constructor(definition) {
    this.name = definition.name;
    this.title = definition.title;
    this.view = new ReportView(content.session.id, definition.name);
    this.view.define(definition);
    this.tools = el("form", { class: "toolbar", "aria-label": "What is shown", hidden: true });
    this.grid = el("div", { class: "grid" });
    this.waiting = el("div", { class: "empty", hidden: true });
    this.node = el("section", { class: "dashboard away", id: `dashboard-${definition.name}`, "aria-label": definition.title },
      el("h2", { class: "chapter", text: definition.title }), this.tools, this.grid, this.waiting);
    this.panels = definition.panels.map((described) => new Panel(described, this.view));
    this.grid.append(...this.panels.map((panel) => panel.node));
    this.toolbar = new Toolbar(this.view, this.tools);
  }

  // Takes over what was chosen on another dashboard.
  adopt(view) {
    for (const name of [...CHOICES, "address"]) this.view[name] = view[name];
    this.toolbar.draw();
    this.forget();
  }

  forget() {
    for (const panel of this.panels) panel.forget();
  }

  // Panel after panel, so that the page answers meanwhile; a newer call ends an older one.
  async draw() {
    const turn = (this.turn = Symbol("turn"));
    for (const panel of this.panels) {
      if (!panel.stale) continue;
      this.drawOne(panel);
      await new Promise((go) => { setTimeout(go); });
      if (turn !== this.turn) return;
    }
    this.settle();
  }

  drawNow() {
    this.turn = null;
    for (const panel of this.panels) if (panel.stale) this.drawOne(panel);
    this.settle();
  }

  // Ahead of need: images take a moment, and paper waits for none.
  drawPictures() {
    for (const panel of this.panels) if (panel.stale && panel.described.kind === "gallery") this.drawOne(panel);
  }

  drawOne(panel) {
    panel.show(panelData(this.name, panel.described, this.view.query()), 1);
    if (panel.drawn instanceof Gallery && !this.gallery) this.offer(panel.drawn);
  }

  // Where images were left out, the gallery can be narrowed to those that are here.
  offer(gallery) {
    this.gallery = gallery;
    if (!content.left_out.length) return;
    const box = el("input", { type: "checkbox", checked: gallery.filter.values.pictured === "1", onchange: () => gallery.filter.set("pictured", box.checked ? "1" : "") });
    gallery.filter.node.insertBefore(el("label", {}, box, "with images"), gallery.filter.clear);
    gallery.filter.node.after(...content.left_out.map((text) => el("p", { class: "left-out", text })));
  }

  settle() {
    const empty = this.panels.every((panel) => panel.node.hidden);
    this.waiting.hidden = !empty;
    this.tools.hidden = empty && !this.view.narrowed();
    if (!empty) return;
    const [title, text] = this.view.narrowed() ? ["Nothing in this window", "No data lies in the chosen time; choose All to see everything."]
      : EMPTY[this.name] ?? ["Nothing yet", "When this report was made, the session had nothing for this page."];
    this.waiting.replaceChildren(el("h2", { text: title }), el("p", { text }));
  }
}
