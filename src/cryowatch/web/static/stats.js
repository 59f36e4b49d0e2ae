// Big numbers with their unit, what they mean, and whether they are within limits.

import { el } from "./dom.js";
import { number, share } from "./format.js";

export class Stats {
  constructor(described, view, body) {
    this.body = body;
  }

  update(data) {
    const items = data.items.map((item) => el("div", { class: item.status ?? "" },
      data.items.length > 1 ? el("div", { class: "label", text: item.label }) : null,
      el("div", { class: "value", title: item.rule ?? "" }, item.share ? share(item.value, item.decimals) : number(item.value, item.decimals), item.unit ? el("small", { text: item.unit }) : null),
      el("div", { class: "detail", text: item.detail ?? "", title: item.detail ?? "" })));
    this.body.replaceChildren(el("div", { class: "stats" }, ...items));
  }
}
