// A line to the agent, on which it says what changed; and whether it is heard.
//
// A connection can die without a word: a router forgets it, the machine sleeps.  So the agent says "alive" where nothing
// changes, and a line on which nothing came for three of these heartbeats is closed, and another one opened.

const HEARTBEATS = 3;
export const LIMIT = HEARTBEATS * 15000; // until the agent has said how often its heart beats
const GREETING = 10000; // for which a new line may take until the agent greets
const LOOK = 1000;
const SHORTEST_WAIT = 500;
const LONGEST_WAIT = 15000;

// Whether so long has passed since a time; also where the clock was put back.
export const passed = (since, limit) => Math.abs(Date.now() - since) >= limit;

export class Line {
  // Calls tell() with each message: {kind, heard, limit}, of which `heard` is when the agent was heard last (null: never)
  // and `limit` for how long it may be silent. `kind` is "hello" (with `hello`), "change" (with `change`), "alive",
  // "opening", or "lost" (with `silent`: nothing came, as opposed to an answer that it is not there).
  constructor(query, tell) {
    this.address = `/api/events${query}`;
    this.tell = tell;
    this.source = null;
    this.retry = null;
    this.look = null;
    this.heard = null;
    this.limit = LIMIT;
    this.state = { kind: "opening" };
    this.wait = SHORTEST_WAIT;
  }

  // Opens the line unless it is open, and says how it is.
  open() {
    if (this.source) this.check();
    else this.connect();
    this.say(this.state);
  }

  close() {
    this.hangUp();
    clearTimeout(this.retry);
    this.wait = SHORTEST_WAIT;
    this.state = { kind: "opening" };
  }

  connect() {
    clearTimeout(this.retry);
    this.begun = Date.now();
    this.greeted = false;
    const source = new EventSource(this.address);
    this.source = source;
    const on = (name, take) => source.addEventListener(name, (event) => {
      if (this.source !== source) return;
      this.heard = Date.now();
      take(JSON.parse(event.data));
    });
    on("hello", (hello) => {
      this.greeted = true;
      this.limit = HEARTBEATS * 1000 * hello.heartbeat;
      this.wait = SHORTEST_WAIT;
      this.state = { kind: "hello", hello };
      this.say(this.state);
    });
    on("change", (change) => this.say({ kind: "change", change }));
    on("alive", () => this.say({ kind: "alive" }));
    source.onerror = () => {
      if (this.source === source) this.lose(false);
    };
    this.watch();
  }

  // Timers stand still while the machine sleeps, so the clock is asked again and again.
  watch() {
    const due = this.greeted ? this.heard + this.limit : this.begun + this.patience;
    this.look = setTimeout(() => this.check(), Math.max(0, Math.min(LOOK, due - Date.now())));
  }

  check() {
    clearTimeout(this.look);
    const silent = this.greeted ? passed(this.heard, this.limit) : passed(this.begun, this.patience);
    if (silent) this.lose(true);
    else this.watch();
  }

  get patience() {
    return Math.min(GREETING, this.limit);
  }

  lose(silent) {
    this.hangUp();
    this.state = { kind: "lost", silent };
    this.retry = setTimeout(() => this.connect(), this.wait * (0.75 + Math.random() / 2));
    this.wait = Math.min(LONGEST_WAIT, this.wait * 2);
    this.say(this.state);
  }

  hangUp() {
    clearTimeout(this.look);
    this.source?.close();
    this.source = null;
  }

  say(message) {
    this.tell({ ...message, heard: this.heard, limit: this.limit });
  }
}
