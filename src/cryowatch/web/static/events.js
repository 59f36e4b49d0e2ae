// What changed, as the agent says it; and whether it can be heard at all.

import { get } from "./api.js";
import { byId } from "./dom.js";
import { clock } from "./format.js";

const LONGEST_WAIT = 15000;

// Calls changed({session, head, generation}) for each change, and renewed() when the agent was restarted or away.
export function listen(session, { changed, renewed }) {
  const query = session ? `?session=${encodeURIComponent(session)}` : "";
  let source = null;
  let wait = 500;
  let lost = null;
  let agent = null;

  function open() {
    source = new EventSource(`/api/events${query}`);
    source.addEventListener("hello", (event) => {
      const hello = JSON.parse(event.data);
      const known = agent !== null;
      const again = known && (lost !== null || hello.started !== agent.started || hello.version !== agent.version);
      agent = hello;
      lost = null;
      wait = 500;
      banner();
      if (again) renewed();
    });
    source.addEventListener("change", (event) => changed(JSON.parse(event.data)));
    source.onerror = () => {
      source.close();
      lost ??= Date.now();
      get("/api/fields").catch(() => {}); // where it is the login that has ended, this asks for a new one
      agent ??= { started: 0 };
      banner();
      setTimeout(open, wait * (0.75 + Math.random() / 2));
      wait = Math.min(LONGEST_WAIT, wait * 2);
    };
  }

  function banner() {
    const place = byId("offline");
    place.hidden = lost === null;
    if (lost !== null) place.textContent = `cryowatch has not answered since ${clock(lost)}. What you see is from before; it goes on by itself.`;
  }

  open();
  addEventListener("pagehide", () => source?.close());
}
