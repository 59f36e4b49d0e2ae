// Finds sessions by words of their name, folder, host, status or date, for a list too long to look through.

import { byId } from "./dom.js";
import { moment, number, status } from "./format.js";

const FEW = 12; // sessions, which need no search

export class Finder {
  // Calls draw() where somebody seeks something else. What is sought is in the address.
  constructor(draw) {
    this.place = byId("find");
    this.field = byId("sought");
    this.said = this.place.querySelector("output");
    this.field.value = new URLSearchParams(location.search).get("find") ?? "";
    this.field.addEventListener("input", () => this.seek(this.field.value, draw));
    byId("unmatched").querySelector("button").addEventListener("click", () => {
      this.field.value = "";
      this.seek("", draw);
      this.field.focus();
    });
  }

  seek(text, draw) {
    const address = new URL(location);
    if (text.trim()) address.searchParams.set("find", text.trim());
    else address.searchParams.delete("find");
    history.replaceState(null, "", address);
    draw();
  }

  // Those of which each word that is sought is found.
  among(sessions) {
    const words = this.field.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = words.length ? sessions.filter((s) => matches(s, words)) : sessions;
    this.place.hidden = sessions.length <= FEW && !words.length;
    this.said.textContent = words.length ? `${number(found.length)} of ${number(sessions.length)}` : number(sessions.length);
    byId("unmatched").hidden = found.length > 0 || !sessions.length;
    return found;
  }
}

function matches(session, words) {
  const times = [session.created, session.newest.time].filter((time) => time !== null).map(moment);
  const text = [session.name, session.path, session.host, status(session.status)[0], ...times].join(" ").toLowerCase();
  return words.every((word) => text.includes(word));
}
