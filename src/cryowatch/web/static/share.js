// Links that open one session for people without an account: made, copied, and ended.

import { get, post, sessionPath } from "./api.js";
import { byId, el } from "./dom.js";
import { moment } from "./format.js";

const DAYS = [[1, "1 day"], [7, "1 week"], [14, "2 weeks"], [30, "1 month"], [90, "3 months"], [366, "1 year"]];
const USUAL = 14;
const MOST_LABEL = 80; // characters, as on the command line
const FIRST = "summary"; // where a link leads unless it says otherwise

export function offerSharing(view) {
  const button = byId("share");
  if (!button) return;
  button.hidden = false;
  button.addEventListener("click", () => new Shares(view).open());
}

class Shares {
  constructor(view) {
    this.view = view;
    this.session = view.id;
    this.days = el("select", { id: "share-days" }, ...DAYS.map(([days, text]) => el("option", { value: String(days), text, selected: days === USUAL })));
    this.label = el("input", { type: "text", id: "share-label", maxLength: MOST_LABEL, placeholder: "Optional", autocomplete: "off" });
    this.made = el("div", { class: "made", hidden: true });
    this.failure = el("p", { class: "failure", role: "alert", hidden: true });
    this.list = el("ul", { "aria-label": "Links to this session" });
    this.none = el("p", { class: "muted", text: "There are no links to this session.", hidden: true });
    this.dialog = el("dialog", { class: "shares", "aria-label": "Share this session", onclose: () => this.dialog.remove() },
      el("header", {},
        el("h2", { text: "Share this session" }),
        el("button", { class: "quiet", type: "button", text: "✕", title: "Close (Esc)", "aria-label": "Close", onclick: () => this.dialog.close() })),
      el("div", { class: "inside" },
        el("p", { text: "Whoever has the link sees this session, live, and no other one; nothing can be changed with it." }),
        el("div", { class: "wanted" },
          el("label", { for: "share-days", text: "It opens the session for" }), this.days,
          el("label", { for: "share-label", text: "Label" }), this.label,
          el("button", { type: "button", class: "make", text: "Make a link", onclick: () => this.attempt(() => this.make()) })),
        this.made, this.failure, this.list, this.none));
  }

  open() {
    document.body.append(this.dialog);
    this.dialog.showModal();
    this.attempt(() => this.show());
  }

  async attempt(does) {
    this.failure.hidden = true;
    try {
      await does();
    } catch (error) {
      this.failure.textContent = error.message;
      this.failure.hidden = false;
    }
  }

  async make() {
    const { url } = await post(sessionPath(this.session, "shares"), { days: Number(this.days.value), label: this.label.value.trim() });
    this.label.value = "";
    const field = el("input", { type: "text", value: `${url}${this.shown()}`, readOnly: true, "aria-label": "The link", onfocus: () => field.select() });
    const copy = el("button", { type: "button", text: "Copy", onclick: () => this.copy(field, copy) });
    this.made.replaceChildren(field, copy, el("small", { class: "muted", text: "It is shown this once." }));
    this.made.hidden = false;
    field.focus();
    await this.show();
  }

  // What its maker sees: the dashboard, limits, time and filter. Outputs have other numbers for a guest.
  shown() {
    const query = new URLSearchParams(this.view.address);
    query.delete("output");
    if (this.view.dashboard !== FIRST) query.set("dashboard", this.view.dashboard);
    return query.size ? `?${query}` : "";
  }

  // Browsers give the clipboard to pages over https alone; elsewhere the link is selected, for the keyboard.
  async copy(field, button) {
    field.select();
    try {
      await navigator.clipboard.writeText(field.value);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Press Ctrl+C";
    }
  }

  async show() {
    const { shares } = await get(sessionPath(this.session, "shares"));
    this.none.hidden = shares.length > 0;
    this.list.replaceChildren(...shares.map((share) => el("li", {},
      el("span", {}, share.label ? el("b", { text: share.label }) : "", share.label ? " · " : "", `until ${moment(share.until)}`, el("small", { class: "muted", text: ` · made by ${share.by}, ${moment(share.created)}` })),
      el("button", { type: "button", text: "Revoke", onclick: () => this.attempt(() => this.revoke(share)) }))));
  }

  async revoke(share) {
    await post(`/api/shares/${encodeURIComponent(share.id)}/revoke`, {});
    this.made.hidden = true;
    await this.show();
  }
}
