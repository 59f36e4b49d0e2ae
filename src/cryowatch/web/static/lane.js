// Asks for panels, one group after the other, when it is time.

export class Lane {
  // `next` gives what is wanted now, `ask` sees to it, and `done` is told whether anything was when nothing is left.
  constructor(next, ask, done) {
    this.next = next;
    this.ask = ask;
    this.done = done;
    this.timer = null;
    this.due = Infinity;
    this.working = false;
  }

  // Work after so many ms; a sooner time replaces a later one.
  schedule(wait) {
    const due = performance.now() + wait;
    if (this.working || due >= this.due) return;
    clearTimeout(this.timer);
    this.due = due;
    this.timer = setTimeout(() => this.work(), wait);
  }

  // A panel that is shown and has changed again meanwhile waits for another time.
  async work() {
    this.due = Infinity;
    this.working = true;
    const seen = new Set();
    const wanted = () => this.next().filter((panel) => !seen.has(panel) || panel.head === null);
    try {
      for (let some = wanted(); some.length; some = wanted()) {
        for (const panel of some) seen.add(panel);
        await this.ask(some);
      }
    } catch {
      // whoever asked has said so, and asks again
    }
    this.working = false;
    this.done(seen.size > 0);
  }
}
