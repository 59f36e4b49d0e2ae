"""How one reader's worst requests affect the pages of others.

Six requests that cannot share an answer ask again and again for the slowest panels of a long session.  Baseline from
the same run: the same answers while nobody asks for anything else.
"""

from __future__ import annotations

import argparse
import itertools
import threading
import time

import httpx2
from measuring.agent import Watching, once
from measuring.figures import Rounds, ratio, show, title
from measuring.projects import multiplied, origin, spread, workplace

SMALL = 100
EVERY = 4.0
GOAL_DATA, GOAL_ALIVE, GOAL_PAGE = 4.0, 0.2, 2.0


class Attack:
    """Requests for all panels of a session, each with a limit of its own, from one address, until `close`."""

    def __init__(self, address: str, session: str, count: int) -> None:
        self.answers: list[int] = []
        self._path = f"{address}/api/sessions/{session}/data/ctf"
        self._numbers = itertools.count()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Ask no more."""
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def _ask(self) -> None:
        transport = httpx2.HTTPTransport(local_address="127.0.0.9")
        with httpx2.Client(transport=transport, timeout=60) as client:
            while not self._stop.is_set():
                limit = 1 + next(self._numbers) % 1_000 / 1_000
                self.answers.append(client.get(self._path, params={"defocus_max": f"{limit:.3f}"}).status_code)


def took(address: str, path: str, rounds: int) -> Rounds:
    """Return the seconds of so many answers, each on a connection of its own."""
    found = []
    for _ in range(rounds):
        began = time.perf_counter()
        httpx2.get(f"{address}{path}", timeout=60, trust_env=False).raise_for_status()
        found.append(time.perf_counter() - began)
        time.sleep(0.1)
    return Rounds(found)


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--micrographs", type=int, default=300_000)
    p.add_argument("--requests", type=int, default=6)
    p.add_argument("--rounds", type=int, default=20)
    a = p.parse_args()
    with workplace() as folder:
        for name, micrographs in (("small", SMALL), ("large", a.micrographs)):
            spread(multiplied(folder / "projects", name, micrographs), EVERY)
        once(folder / "projects", folder / "data")
        with Watching(folder / "projects", folder / "data") as watching:
            watching.wait_for(2, SMALL)
            watching.settle()
            keys = {s["name"]: s["id"] for s in watching.get("/api/sessions")["sessions"]}
            page = f"/api/sessions/{keys['small']}/data/ctf"
            limits = (f"?defocus_max={2 + number / 10:.1f}" for number in range(5))
            large = [took(watching.address, f"/api/sessions/{keys['large']}/data/ctf{limit}", 1) for limit in limits]
            alive, seen = took(watching.address, "/healthz", a.rounds), took(watching.address, page, a.rounds)
            attack = Attack(watching.address, keys["large"], a.requests)
            time.sleep(3)
            alive_then, seen_then = took(watching.address, "/healthz", a.rounds), took(watching.address, page, a.rounds)
            attack.close()
    title(f"attacked: {a.requests} requests at a time for the CTF data of {a.micrographs:,} micrographs; {origin()}")
    show("the CTF data, alone", Rounds([round_.median for round_ in large]), goal=GOAL_DATA)
    show("/healthz meanwhile", alive_then, goal=GOAL_ALIVE)
    ratio(alive_then, alive, "the same alone")
    show(f"the CTF data of another session of {SMALL}, meanwhile", seen_then, goal=GOAL_PAGE)
    ratio(seen_then, seen, "the same alone")
    print(f"  {len(attack.answers):,} of the worst requests were answered, with status {sorted(set(attack.answers))}")


if __name__ == "__main__":
    main()
