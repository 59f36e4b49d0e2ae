// For how long nobody has touched this page.  What it asks for by itself keeps no login alive, so it says this with each
// request; and where somebody only reads and nothing is asked for, it says so once in a while.

const BEAT = 60000;
const TOUCHES = ["pointerdown", "pointermove", "keydown", "wheel", "touchmove"];

let touched = Date.now();
let told = Date.now();

export function idle() {
  told = Date.now();
  return Math.max(0, Math.floor((told - touched) / 1000));
}

function touch() {
  touched = Date.now();
  if (Math.abs(touched - told) < BEAT) return;
  fetch("/api/fields", { method: "HEAD", headers: { "Cryowatch-Idle": idle() } }).catch(() => {});
}

for (const kind of TOUCHES) addEventListener(kind, touch, { capture: true, passive: true });
