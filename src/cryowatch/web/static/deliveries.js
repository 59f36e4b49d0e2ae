// A line for each server that takes nothing just now, and for each that has missed something within a day.

import { byId, el } from "./dom.js";
import { number } from "./format.js";

const DAY_MS = 86_400_000;

function missed(delivery) {
  return delivery.dropped > 0 && Date.now() - delivery.last_dropped < DAY_MS;
}

function line(delivery) {
  const said = [];
  if (delivery.problem) said.push(`${number(delivery.behind)} ${delivery.waiting} wait; they are kept and sent later.`);
  if (missed(delivery)) {
    said.push(`${number(delivery.dropped)} host samples were dropped before they could be delivered: host.keep_days`
      + " and host.keep_mb say how many are kept.");
  }
  return el("div", {}, delivery.problem || delivery.where, el("small", { text: said.join(" ") }));
}

export function showDeliveries(deliveries) {
  const troubled = (deliveries ?? []).filter((d) => d.problem || missed(d));
  const place = byId("deliveries");
  place.hidden = troubled.length === 0;
  place.replaceChildren(...troubled.map(line));
}
