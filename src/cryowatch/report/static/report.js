// A report: the dashboards of one session as they were when it was made, in one file that asks nobody.

import { byId, el } from "../../web/static/dom.js";
import { openFromAddress } from "../../web/static/enlarge.js";
import { age, future, moment, status } from "../../web/static/format.js";
import { now } from "../../web/static/now.js";
import { content } from "./content.js";
import { galleryOnPaper, printable } from "./paper.js";
import { Section } from "./section.js";

const PATIENCE = 1500;
const STATES = {
  interrupted: ["warn", "was left unfinished by its writer"],
  gone: ["bad", "could not be reached"],
  denied: ["bad", "could not be read"],
  malformed: ["bad", "was not as it should be"],
};
const sections = content.dashboards.map((definition) => new Section(definition));
let current = sections[0];
const links = sections.map((section) => el("a", { href: `#${section.name}`, text: section.title, onclick: (event) => go(event, section) }));

function go(event, section) {
  if (event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  history.replaceState(null, "", `${location.pathname}${location.search}#${section.name}`);
  show(section);
  scrollTo({ top: 0 });
}

function show(shown) {
  current = shown;
  sections.forEach((section, i) => {
    section.node.classList.toggle("away", section !== shown);
    if (section === shown) links[i].setAttribute("aria-current", "page");
    else links[i].removeAttribute("aria-current");
  });
  links[sections.indexOf(shown)].scrollIntoView({ block: "nearest", inline: "center" });
  shown.draw();
}

const named = () => sections.find((section) => `#${section.name}` === location.hash);

function heading() {
  const { session } = content;
  const [word, kind] = status(session.status);
  byId("status").className = `pill ${kind}`;
  byId("status").textContent = word;
  byId("made").textContent = `as of ${moment(now())}`;
  byId("moment").textContent = `Made ${moment(now())}; ages count back from then.`;
  byId("newest").textContent = session.newest.time === null ? "" : `newest ${age(session.newest.time)}`;
  byId("newest").title = moment(session.newest.time);
  const known = STATES[session.state];
  byId("state").hidden = !known && !session.future;
  if (!known && session.future) {
    byId("state").className = "banner warn";
    byId("state").replaceChildren(future(session.future));
  }
  if (!known) return;
  const since = session.last_read === null ? "It has never been read." : `The last good reading is of ${moment(session.last_read)}; this report shows what was known then.`;
  byId("state").className = `banner ${known[0]}`;
  byId("state").replaceChildren(`What the session wrote ${known[1]} when this report was made.`, el("small", { text: since }));
}

byId("tabs").append(...links);
byId("main").append(...sections.map((section) => section.node));
heading();
for (const section of sections) {
  section.view.addEventListener("change", () => {
    for (const other of sections) if (other !== section) other.adopt(section.view);
    section.forget();
    section.draw();
  });
}
addEventListener("popstate", () => current.view.look());
addEventListener("hashchange", () => { if (named()) show(named()); });
show(named() ?? sections[0]);
openFromAddress(sections[0].view);
printable(sections);
setTimeout(() => {
  for (const section of sections) {
    section.drawPictures();
    if (section.gallery) galleryOnPaper(section);
  }
}, PATIENCE);
document.body.dataset.ready = "yes";
