// The live page's picture; here an address may also be "#" and the reason why there is none.

import { computed, picture as shown } from "../../web/static/picture.js";
import { el } from "../../web/static/dom.js";

export * from "../../web/static/picture.js";

export function picture(address, ...rest) {
  if (!address?.startsWith("#")) {
    const box = shown(address, ...rest);
    if (address?.endsWith("#computed")) box.append(computed("Computed from the micrograph"));
    return box;
  }
  return el("div", { class: "picture" }, el("span", { class: "reason", text: address.slice(1) }));
}
