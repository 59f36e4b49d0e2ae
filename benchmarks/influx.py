"""How long 20,000 waiting micrographs take to a real InfluxDB, how fast an outage is replayed and lines are made.

It also measures how long a live session's points wait beside as many points older than the database's retention.

Baselines from the same run: the same without InfluxDB, and one bulk write of the same lines.  `backlog.py` has the
comparison with the reference.
"""

from __future__ import annotations

import argparse
import resource
import threading
import time
from pathlib import Path

import httpx2
from measuring import reference
from measuring.agent import once, until
from measuring.figures import Rounds, ratio, show, title
from measuring.projects import origin, workplace, write

from cryowatch.influx.backlog import Backlog
from cryowatch.influx.batches import Slice
from cryowatch.influx.client import Access, Influx
from cryowatch.influx.delivery import Delivery
from cryowatch.influx.layout_cryowatch import CryowatchLayout
from cryowatch.reading import Reading, Span
from cryowatch.records import Micrograph, Output, OutputKind, Run, Session
from cryowatch.store import Store
from cryowatch.store.changes import Changes


def settings(folder: Path, port: int) -> None:
    """Write a configuration where the agent looks for one."""
    file = folder / ".config" / "cryowatch" / "cryowatch.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f'[influx]\nurl = "http://127.0.0.1:{port}"\n')


def ask(port: int, query: str, database: str = "scipion") -> list[dict[str, object]]:
    """Return the series of a query."""
    answer = httpx2.post(
        f"http://127.0.0.1:{port}/query", data={"q": query, "db": database}, trust_env=False, timeout=60
    )
    series: list[dict[str, object]] = answer.json()["results"][0].get("series", [])
    return series


def lines_of(data: Path) -> tuple[list[str], float]:
    """Return all lines of a store, and how many a second are made of rows at hand."""
    store = Store(data)
    layout = Timed()
    backlog = Backlog(store.delivered("influx of nobody"), Changes(store.reader()), layout)
    lines: list[str] = []
    position = superseded = 0
    while batch := backlog.following(position, superseded):
        lines += batch.lines
        position, superseded = batch.upto, batch.settled.superseded
    store.close()
    return lines, len(lines) / layout.seconds


class Timed(CryowatchLayout):
    """The layout, with the seconds that making lines took."""

    seconds = 0.0

    def lines(self, found: Slice) -> list[str]:
        """Return the lines of a slice."""
        began = time.perf_counter()
        made = list(super().lines(found))
        self.seconds += time.perf_counter() - began
        return made


def bulk(port: int, lines: list[str]) -> float:
    """Return the seconds of writing lines in portions of 5,000 with nothing else to do."""
    began = time.perf_counter()
    with httpx2.Client(trust_env=False, timeout=60) as client:
        for place in range(0, len(lines), 5_000):
            body = "\n".join(lines[place : place + 5_000]).encode()
            client.post(f"http://127.0.0.1:{port}/write", params={"db": "scipion"}, content=body).raise_for_status()
    return time.perf_counter() - began


def replay(data: Path, port: int, times: int) -> tuple[int, float, float]:
    """Deliver a store several times over, as after outages; returns points, seconds and growth of memory in MB."""
    store = Store(data)
    sink = Influx(Access(url=f"http://127.0.0.1:{port}", database="scipion"))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    points = 0
    began = time.perf_counter()
    for _ in range(times):
        delivery = Delivery(store, sink, CryowatchLayout())
        store.advance(delivery.follower, 0)
        delivery = Delivery(store, sink, CryowatchLayout())
        if not delivery.finish():
            raise SystemExit(delivery.state.problem)
        points += delivery.state.accepted
    took = time.perf_counter() - began
    sink.close()
    store.close()
    return points, took, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3 - before


def keep(store: Store, name: str, times: list[int]) -> None:
    """Store a session with an estimate at each of some times (UTC ns)."""
    session = Session(name=name, path=f"/projects/{name}", host="here", created=times[0], status="running")
    run = Run(run="1", label="CTF", class_name="Ctf", status="running", started=times[0])
    output = Output(run="1", name="outputCTF", class_name="SetOfCTF", kind=OutputKind.CTF)
    items = [
        Micrograph(run="1", output="outputCTF", item=n, name=f"m{n}", time=t, defocus_u=1.5e4, defocus_v=1.4e4)
        for n, t in enumerate(times, start=1)
    ]
    reading = Reading(
        cursor=str(len(times)),
        session=session,
        runs=(run,),
        outputs=(output,),
        spans=(Span(run="1", output="outputCTF", after=0, upto=None, items=items),),
    )
    store.commit(store.register(session).session, reading, now=times[-1])


def beside_old(folder: Path, port: int, old: int, arrivals: int) -> list[float]:
    """Return how long each of some live points waits while as many old ones are delivered as the database refuses."""
    query = "CREATE DATABASE short; CREATE RETENTION POLICY weeks ON short DURATION 12w REPLICATION 1 DEFAULT"
    httpx2.post(f"http://127.0.0.1:{port}/query", data={"q": query}, trust_env=False).raise_for_status()
    store = Store(folder)
    sink = Influx(Access(url=f"http://127.0.0.1:{port}", database="short"))
    delivery = Delivery(store, sink, CryowatchLayout())
    day = 86_400 * 10**9
    keep(store, "old", [time.time_ns() - 180 * day + n * 10**9 for n in range(old)])
    follower = threading.Thread(target=delivery.run, daemon=True)
    follower.start()
    waits: list[float] = []
    times: list[int] = []
    for number in range(1, arrivals + 1):
        times.append(time.time_ns())
        keep(store, "live", times)
        began = time.perf_counter()
        delivery.wake()
        sought = f'SELECT "defocus" FROM "micrograph" WHERE "project" = \'live\' AND "ctfID" = {number}'
        until(lambda: ask(port, sought, database="short"), every=0.01, seconds=300)  # noqa: B023
        waits.append(time.perf_counter() - began)
    delivery.stop()
    follower.join()
    sink.close()
    store.close()
    return waits


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--micrographs", type=int, default=20_000)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--arrivals", type=int, default=10, help="live points beside those that are too old")
    p.add_argument("--points", type=int, default=500_000, help="points of the outage")
    a = p.parse_args()
    if lacking := reference.missing():
        print(f"influx: not measured; not here: {lacking}")
        return
    with workplace() as folder, reference.influxd(folder / "server") as port:
        project = write(folder, "session", a.micrographs)
        title(f"influx: {a.micrographs:,} micrographs waiting, through to InfluxDB; {origin()}")
        alone, through = [], []
        for number in range(a.rounds):
            alone.append(once(project, folder / f"alone-{number}" / "data")[0])
            home = folder / f"through-{number}"
            settings(home, port)
            through.append(once(project, home / "data")[0])
        ours = Rounds(through)
        show("watch --once, with everything accepted by the server", ours)
        ratio(ours, Rounds(alone), "the same without InfluxDB")
        data = folder / "through-0" / "data"
        lines, speed = lines_of(data)
        reached = "reached" if speed >= 100_000 else "MISSED"
        print(f"  lines formatted from rows in memory: {speed:,.0f} per second; goal 100,000: {reached}")
        ratio(ours, Rounds([bulk(port, lines)]), "one bulk write of the same lines")
        series = len(ask(port, "SHOW SERIES")[0]["values"])  # type: ignore[arg-type]
        print(f"  series in the database: {series}; goal 10: {'reached' if series <= 10 else 'MISSED'}")
        points, took, grown = replay(data, port, max(1, a.points // len(lines)))
        show(f"{points:,} points after an outage", Rounds([took]), goal=120.0)
        show("additional memory", Rounds([max(0.0, grown)], "MB"))
        waits = beside_old(folder / "old", port, a.micrographs, a.arrivals)
        show(f"a live point beside {a.micrographs:,} that are too old, until a query finds it", Rounds(waits), goal=2.0)
        print(f"    longest: {max(waits):.2f} s")


if __name__ == "__main__":
    main()
