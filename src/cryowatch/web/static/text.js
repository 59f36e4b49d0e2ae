// Words that a facility puts on a dashboard: paragraphs, as text.

import { el } from "./dom.js";

export class Text {
  constructor(described, view, body) {
    this.place = el("div", { class: "words-panel" });
    body.append(this.place);
  }

  update(data) {
    this.place.replaceChildren(...data.text.split("\n").filter(Boolean).map((text) => el("p", { text })));
  }
}
