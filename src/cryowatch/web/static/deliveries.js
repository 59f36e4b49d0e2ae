// A line for each server that takes nothing just now; whatever it misses is kept.

import { byId, el } from "./dom.js";
import { number } from "./format.js";

export function showDeliveries(deliveries) {
  const troubled = (deliveries ?? []).filter((d) => d.problem);
  const place = byId("deliveries");
  place.hidden = troubled.length === 0;
  place.replaceChildren(...troubled.map((d) => el("div", {}, `${d.problem}`,
    el("small", { text: `${number(d.behind)} ${d.waiting} wait; they are kept and sent later.` }))));
}
