// Forgetting a session: what would go, what may stay, and that it goes.  Only for operators who are logged in.

import { get, post, sessionPath } from "./api.js";
import { byId, el } from "./dom.js";
import { bytes, number } from "./format.js";

const ITEMS = [["movies", "movie"], ["micrographs", "micrograph"], ["ctf", "CTF estimate"], ["other", "other item"]];

// Calls done() once the session is forgotten, with lines of what is still to be told: each a list of texts and elements.
export function offerForgetting(session, done) {
  const button = byId("forget");
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", () => new Forgetting(session, done).open());
}

class Forgetting {
  constructor(session, done) {
    this.session = session;
    this.done = done;
    this.name = byId("forget").dataset.name;
    this.failure = el("p", { class: "failure", role: "alert", hidden: true });
    this.goes = el("dl", { "aria-busy": "true" }, el("dt", { text: "What goes" }), el("dd", { class: "muted", text: "is being looked up …" }));
    this.also = el("fieldset", { hidden: true }, el("legend", { text: "What was sent elsewhere stays there, unless you say so:" }));
    this.confirm = el("button", { type: "button", class: "danger", text: "Forget it", disabled: true, onclick: () => this.forget() });
    this.dialog = el("dialog", { class: "shares forget", "aria-label": `Forget ${this.name}`, onclose: () => this.dialog.remove() },
      el("header", {},
        el("h2", { text: `Forget ${this.name}?` }),
        el("button", { class: "quiet", type: "button", text: "✕", title: "Close (Esc)", "aria-label": "Close", onclick: () => this.dialog.close() })),
      el("div", { class: "inside" },
        el("p", { text: "All that cryowatch holds of this session is deleted, for everybody." }),
        this.goes, this.also,
        el("p", { class: "muted" }, "The project itself is not touched. Where it is watched, it is passed over from then on, until ", el("code", { text: "cryowatch forget --undo" }), " has it read again."),
        this.failure,
        el("div", { class: "answers" },
          el("button", { type: "button", text: "Keep it", autofocus: true, onclick: () => this.dialog.close() }), this.confirm)));
  }

  async open() {
    document.body.append(this.dialog);
    this.dialog.showModal();
    try {
      this.show(await get(sessionPath(this.session, "forget")));
      this.confirm.disabled = false;
    } catch (error) {
      this.fail(error);
    }
  }

  show(found) {
    const items = Object.entries(found.items).reduce((sum, [kind, count]) => {
      const known = ITEMS.some(([name]) => name === kind) ? kind : "other";
      return { ...sum, [known]: (sum[known] ?? 0) + count };
    }, {});
    const stored = [[found.runs, "run"], [found.outputs, "output"], ...ITEMS.map(([kind, what]) => [items[kind], what]), [found.gains, "gain residual"]];
    const rows = [
      ["In the store", `${listed(stored)} · about ${bytes(found.bytes)}`],
      found.alerts && ["Alerts", `${number(found.alerts)}, ${number(found.acknowledged)} of them acknowledged; ${number(found.muted)} muted`],
      found.links && ["Links that open it", number(found.links)],
      found.images && ["Rendered images", `${number(found.images)} · ${bytes(found.image_bytes)}`],
      found.waiting && ["Waits for InfluxDB", counted(found.waiting, "item")],
    ].filter(Boolean);
    this.goes.removeAttribute("aria-busy");
    this.goes.replaceChildren(...rows.flatMap(([what, text]) => [el("dt", { text: what }), el("dd", { text })]));
    this.influxdb = this.choice(found.influxdb.map(({ where, points }) => `${counted(points, "point")} at ${where}`), "Take away its points in InfluxDB");
    this.images = this.choice(found.published.map(({ where, files }) => `${counted(files, "file")} at ${where}`), "Take away its published images");
    this.also.hidden = !this.influxdb && !this.images;
  }

  choice(places, text) {
    if (!places.length) return null;
    const box = el("input", { type: "checkbox" });
    this.also.append(el("label", {}, box, el("span", {}, text, el("small", { class: "muted", text: places.join("; ") }))));
    return { box, places };
  }

  async forget() {
    this.failure.hidden = true;
    this.confirm.disabled = true;
    const wanted = [this.influxdb, this.images].map((choice) => Boolean(choice?.box.checked));
    try {
      const { undo } = await post(sessionPath(this.session, "forget"), { influxdb: wanted[0], images: wanted[1] });
      const later = [this.influxdb, this.images].filter((_, place) => wanted[place]).flatMap((choice) => choice.places);
      this.dialog.close();
      this.done([...later.map((place) => [`${place}: taken away as soon as that takes it.`]), [el("code", { text: undo }), " has its project read again."]]);
    } catch (error) {
      this.confirm.disabled = false;
      this.fail(error);
    }
  }

  fail(error) {
    this.failure.textContent = error.message;
    this.failure.hidden = false;
  }
}

const counted = (count, what) => `${number(count)} ${what}${count === 1 ? "" : "s"}`;

const listed = (counts) => counts.filter(([count]) => count).map(([count, what]) => counted(count, what)).join(", ") || "nothing but its name";
