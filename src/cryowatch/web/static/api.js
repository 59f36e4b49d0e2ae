// Asking the agent. Every failure is an Error whose message is one line for a person.

import { reach } from "./under-way.js";

// Who logs out is not asked to log in for the page that is left.
let leaving = false;
addEventListener("submit", ({ target }) => { leaving ||= target.matches(".account"); });

export async function get(path, query = {}) {
  const url = new URL(path, location.origin);
  for (const [name, value] of Object.entries(query)) {
    if (value !== null && value !== undefined && value !== "") url.searchParams.set(name, value);
  }
  return answered(url, { headers: { Accept: "application/json" } });
}

export const post = (path, content) =>
  answered(path, { method: "POST", headers: { Accept: "application/json", "Content-Type": "application/json" }, body: JSON.stringify(content) });

async function answered(url, options) {
  const answer = await reach(url, options);
  if (answer.status === 401 && !leaving) {
    const here = location.pathname + location.search + location.hash;
    location.assign(`/login?next=${encodeURIComponent(here)}`);
  }
  if (!answer.ok) {
    const said = await answer.json().catch(() => ({}));
    throw Object.assign(new Error(said.error ?? `cryowatch answered ${answer.status}`), { status: answer.status });
  }
  return answer.json();
}

export const sessionPath = (id, ...rest) => ["/api/sessions", encodeURIComponent(id), ...rest.map(encodeURIComponent)].join("/");
