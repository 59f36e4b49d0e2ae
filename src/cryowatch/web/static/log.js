// A run's whole error and the end of its log, in a dialog.

import { get, sessionPath } from "./api.js";
import { el } from "./dom.js";
import { bytes, moment } from "./format.js";

// A button that opens the log of a run; nothing where whoever looks may not see it.
export const logButton = (view, run) => (view.session?.logs
  ? el("button", { class: "log", type: "button", text: "Log", title: "The end of the run's log", "data-run": run, onclick: () => new Log(view, run).open() })
  : null);

class Log {
  constructor(view, run) {
    this.view = view;
    this.run = run;
    this.title = el("h2", { text: `Log of run ${run}` });
    this.body = el("div", { class: "inside" });
    this.dialog = el("dialog", { class: "log", "aria-label": "Log of a run", onclose: () => this.dialog.remove() },
      el("header", {}, this.title,
        el("button", { class: "quiet", type: "button", text: "Read again", onclick: () => this.read() }),
        el("button", { class: "quiet", type: "button", text: "✕", title: "Close (Esc)", "aria-label": "Close", onclick: () => this.dialog.close() })),
      this.body);
  }

  open() {
    document.body.append(this.dialog);
    this.dialog.showModal();
    this.read();
  }

  async read() {
    try {
      this.show(await get(sessionPath(this.view.id, "runs", this.run, "log")));
    } catch (error) {
      this.body.replaceChildren(el("p", { class: "failure", role: "alert", text: error.message }));
    }
  }

  show({ label, error, files }) {
    this.title.textContent = label || `Run ${this.run}`;
    const parts = error ? [el("h3", { text: "Error" }), text(error)] : [];
    for (const file of files) {
      parts.push(el("h3", {}, file.name, el("small", { class: "muted", text: ` ${said(file)}` })));
      parts.push(file.problem ? el("p", { class: "failure", text: `It ${file.problem}.` }) : text(file.text || "It is empty."));
    }
    if (!files.length) parts.push(el("p", { class: "muted", text: "This run has no log yet." }));
    this.body.replaceChildren(...parts);
    for (const part of this.body.querySelectorAll("pre")) part.scrollTop = part.scrollHeight;
  }
}

const text = (lines) => el("pre", { tabIndex: 0, text: lines });

const said = (file) => (file.problem ? "" : `${file.whole ? bytes(file.size) : `the end of ${bytes(file.size)}`}, written ${moment(file.modified)}`);
