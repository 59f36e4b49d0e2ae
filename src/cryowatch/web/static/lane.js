// One thing after the other, when it is time.

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

  // What was dealt with, and has changed since, waits for another time.
  async work() {
    this.due = Infinity;
    this.working = true;
    const seen = new Set();
    const wanted = () => this.next().filter((one) => !seen.has(one) || one.head === null);
    try {
      for (let some = wanted(); some.length; some = wanted()) {
        for (const one of some) seen.add(one);
        await this.ask(some);
      }
    } catch {
      // whoever asked has said so, and asks again
    }
    this.working = false;
    this.done(seen.size > 0);
  }
}
