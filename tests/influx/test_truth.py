"""What the server holds is what the store holds, whatever happens to a project, and no other point is touched.

Projects are edited at random and delivered now and then, with the server away or the agent killed between taking away
and writing.  Afterwards the server holds exactly what a new store of the same projects gives an empty database.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryowatch.errors import SinkAway
from cryowatch.influx.batches import Deletions, Layout, Receipt, Removal
from cryowatch.influx.client import Access, Influx
from cryowatch.influx.delivery import Delivery
from cryowatch.influx.layout_cryowatch import CryowatchLayout
from cryowatch.influx.layout_scipion import ScipionLayout
from cryowatch.reading import Reading
from cryowatch.records import GainResidual, Micrograph, OutputKind
from cryowatch.store import Publication, Store
from tests.support.influxd import ADMIN, InfluxServer
from tests.support.records import SECOND, START, micrograph, output, run, session, span

LAYOUTS: dict[str, type[Layout]] = {"cryowatch": CryowatchLayout, "scipion": ScipionLayout}
OUTPUTS = (
    ("outputCTF", OutputKind.CTF),
    ("outputCTFdiscarded", OutputKind.CTF),
    ("outputCTF2", OutputKind.CTF),
    ("outputMicrographs", OutputKind.MICROGRAPHS),
    ("outputMicrographsDW", OutputKind.MICROGRAPHS),
)
PATHS = ("/one/alpha", "/two/alpha", "/one/alpha beta")
FOREIGN = START - 7 * SECOND
"""The time of points that somebody else wrote, and a nanosecond that no item has: 999."""


@dataclass
class Run:
    """A run in a made-up project: its outputs hold items by number, in the order in which they were made."""

    number: str
    started: int
    ended: int | None = None
    outputs: dict[str, dict[int, Micrograph]] = field(default_factory=dict)
    gains: dict[int, GainResidual] = field(default_factory=dict)


@dataclass
class Project:
    """A made-up project, and what is published of it, by output and item."""

    path: str
    runs: dict[str, Run] = field(default_factory=dict)
    images: dict[tuple[str, str, int], str] = field(default_factory=dict)

    def reading(self, cursor: int) -> Reading:
        """Return all there is."""
        kinds = dict(OUTPUTS)
        runs = self.runs.values()
        gains = tuple(gain for each in runs for gain in each.gains.values())
        return Reading(
            cursor=str(cursor),
            session=session(
                self.path, created=START, status="running" if any(r.ended is None for r in runs) else "finished"
            ),
            runs=tuple(
                run(r.number, started=r.started, ended=r.ended, status="running" if r.ended is None else "finished")
                for r in runs
            ),
            outputs=tuple(
                output(r.number, name, kind=kinds[name], size=len(items))
                for r in runs
                for name, items in r.outputs.items()
            ),
            spans=tuple(
                span(items.values(), run=r.number, output=name) for r in runs for name, items in r.outputs.items()
            ),
            gains=gains,
            gains_anew=frozenset(r.number for r in runs),
        )


def keep(store: Store, project: Project, cursor: int) -> None:
    """Store a project as it is, and what is published of it."""
    known = store.register(session(project.path))
    store.commit(known.session, project.reading(cursor), now=START + cursor)
    rows = store.reader().rows(
        "SELECT m.id, m.seq, o.run, o.name, m.item, coalesce(p.micrograph, '') AS image FROM micrograph AS m"
        " JOIN output AS o ON o.id = m.output_id LEFT JOIN published AS p ON p.micrograph_id = m.id"
        " WHERE o.session_id = ?",
        (known.session,),
    )
    wanted = [(row, project.images.get((row["run"], row["name"], row["item"]), "")) for row in rows]
    news = [
        Publication(micrograph_id=row["id"], seq=row["seq"], micrograph=image)
        for row, image in wanted
        if image != row["image"]
    ]
    if news:
        store.publish(news, target="t", now=START)


class Faulty:
    """A server that is away at some calls, counted from now."""

    def __init__(self, sink: Influx) -> None:
        self._sink = sink
        self.where = sink.where
        self.away: set[int] = set()
        self.calls = 0

    def _called(self) -> None:
        self.calls += 1
        if self.calls in self.away:
            raise SinkAway("is away", where=self.where)

    def send(self, lines: list[str]) -> Receipt:
        self._called()
        return self._sink.send(lines)

    def remove(self, deletions: Deletions) -> Removal:
        self._called()
        return self._sink.remove(deletions)


class World:
    """Projects, the store and the server that follow them."""

    def __init__(self, server: InfluxServer, layout: str, folder: Path) -> None:
        server.query('DROP DATABASE "live"; CREATE DATABASE "live"; DROP DATABASE "fresh"; CREATE DATABASE "fresh"')
        self.server = server
        self.layout = layout
        self.folder = folder
        self.projects: dict[str, Project] = {}
        self.store = Store(folder / "data")
        self.cursor = 0
        self.clock = START
        self.sink = Influx(self.access("live"))
        self.faulty = Faulty(self.sink)
        self.delivery = self.delivering()
        self.foreign: list[tuple[Any, ...]] = []

    def access(self, database: str) -> Access:
        return Access(url=self.server.url, database=database, username=ADMIN[0], password=ADMIN[1])

    def delivering(self) -> Delivery:
        return Delivery(self.store, self.faulty, LAYOUTS[self.layout](), chance=lambda: 0.0, most=7)

    def now(self) -> int:
        self.clock += 3 * SECOND
        return self.clock

    def act(self, what: str, a: int, b: int, c: int) -> None:
        """Do one thing to one of the projects, or to the delivery; nothing where there is nothing to do it to."""
        if what == "deliver":
            self.faulty.calls, self.faulty.away = 0, {1 + a, 2 + a + b, 4 + a + b + c}
            for _ in range(2 + c):
                self.delivery.step()
            self.faulty.away = set()
            return
        if what == "restart":
            self.store.close()
            self.store = Store(self.folder / "data")
            self.delivery = self.delivering()
            return
        path = PATHS[a % len(PATHS)]
        project = self.projects.setdefault(path, Project(path))
        known = project.runs.setdefault(str(135 + b % 2), Run(str(135 + b % 2), self.now()))
        name = OUTPUTS[c % len(OUTPUTS)][0]
        if what in ("end", "rerun", "delete output", "delete run"):
            self.act_on_run(what, project, known, name)
        elif what == "unpublish":
            project.images = dict.fromkeys(project.images, "")
        else:
            self.act_on_items(what, project, known, name, a + b)
        project.images = {
            (r, o, n): image
            for (r, o, n), image in project.images.items()
            if r in project.runs and n in project.runs[r].outputs.get(o, {})
        }
        self.cursor += 1
        keep(self.store, project, self.cursor)

    def act_on_items(self, what: str, project: Project, known: Run, name: str, chance: int) -> None:
        items = known.outputs.setdefault(name, {}) if what == "insert" else known.outputs.get(name, {})
        chosen = [n for n in items if (n + chance) % 3]
        match what:
            case "insert":
                first = max(items, default=0) + 1
                items.update({n: self.item(known, name, n) for n in range(first, first + 1 + chance % 5)})
                line = len(known.gains) + 1
                known.gains[line] = GainResidual(
                    run=known.number, item=line, movie="m", time=self.now(), stddev=0.1, ratio1=1.1
                )
            case "again":
                items.update({n: self.item(known, name, n, time=items[n].time, resolution=9.5) for n in chosen})
            case "failed":
                items.update({n: self.item(known, name, n, time=items[n].time, **NO_FIT) for n in chosen})
            case "anew":
                items.update({n: self.item(known, name, n) for n in chosen})
            case "delete":
                for n in chosen:
                    del items[n]
            case "disable" | "enable":
                items.update({n: changed(items[n], enabled=what == "enable") for n in chosen})
            case "publish":
                images = {(known.number, name, n): f"alpha/{known.number}-{name}-{n}.jpg" for n in chosen}
                project.images.update(images)

    def act_on_run(self, what: str, project: Project, known: Run, name: str) -> None:
        match what:
            case "end":
                known.ended = self.now()
            case "rerun":
                known.started, known.ended = self.now(), None
                for of, old in known.outputs.items():
                    known.outputs[of] = {n: self.item(known, of, n) for n in old}
                known.gains = {}
            case "delete output":
                known.outputs.pop(name, None)
            case "delete run":
                del project.runs[known.number]

    def item(self, known: Run, name: str, number: int, **values: Any) -> Micrograph:
        time = values.pop("time", None) or self.now()
        return micrograph(number, run=known.number, output=name, name=f"m{number}", time=time, **values)

    def meddle(self, measurements: Sequence[str]) -> None:
        """Let somebody else write into what is ours: with a tag more, and at times of their own."""
        for name in measurements:
            tags = ",section=ctf" if self.layout == "scipion" else ",host=gpu1,project=alpha,run=135"
            lines = [f"{name}{tags},id=9 defocusU=1.0 {START + n}" for n in range(40)]
            lines += [f"{name}{tags} defocusU=1.0 {FOREIGN + n * SECOND + 999}" for n in range(40)]
            answer = self.server.client.post(
                "/write", params={"db": "live"}, content="\n".join(lines).encode(), auth=ADMIN
            )
            assert answer.status_code == 204, answer.text
        self.foreign = sorted(self.points("live"))

    def points(self, database: str) -> set[tuple[Any, ...]]:
        rows = self.server.rows("SELECT * FROM /.*/ GROUP BY *", database=database)
        return {tuple(sorted((k, v) for k, v in row.items() if v is not None and v != "")) for row in rows}

    def check(self) -> None:
        """Deliver, and compare with a new store of the same projects and an empty database."""
        assert self.delivery.finish(pause=lambda _: None)
        assert self.delivery.behind == 0
        fresh = Store(self.folder / "fresh")
        sink = Influx(self.access("fresh"))
        try:
            for project in self.projects.values():
                known = self.store.reader().value("SELECT count(*) FROM session WHERE path = ?", (project.path,))
                if known:
                    keep(fresh, project, self.cursor + 1)
            assert Delivery(fresh, sink, LAYOUTS[self.layout]()).finish(pause=lambda _: None)
        finally:
            sink.close()
            fresh.close()
        there, wanted = self.points("live") - set(self.foreign), self.points("fresh")
        assert there - wanted == set(), "what is no more is still at the server"
        assert wanted - there == set(), "what is there is not at the server"
        assert set(self.foreign) <= self.points("live"), "what somebody else wrote is gone"

    def close(self) -> None:
        self.sink.close()
        self.store.close()


NO_FIT = {"defocus_u": None, "defocus_v": None, "defocus_angle": None, "resolution": None, "fit_quality": None}


def changed(item: Micrograph, **values: Any) -> Micrograph:
    known = {name: getattr(item, name) for name in Micrograph.__dataclass_fields__}
    return Micrograph(**{**known, **values})


ACTIONS = st.tuples(
    st.sampled_from(
        ["insert", "insert", "again", "failed", "anew", "delete", "disable", "enable", "publish", "unpublish", "end",
         "rerun", "delete output", "delete run", "deliver", "deliver", "restart"]
    ),
    st.integers(0, 3), st.integers(0, 3), st.integers(0, 4),
)  # fmt: skip


@pytest.mark.timeout(240)
@pytest.mark.parametrize("layout", LAYOUTS)
@settings(max_examples=15, deadline=None)
@given(actions=st.lists(ACTIONS, min_size=5, max_size=25), foreign=st.booleans())
def test_after_any_edits_the_server_holds_what_a_new_store_would_deliver(
    influx: InfluxServer, *, layout: str, actions: list[tuple[str, int, int, int]], foreign: bool
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        world = World(influx, layout, Path(folder))
        try:
            if foreign:
                world.meddle(["alpha"] if layout == "scipion" else ["micrograph", "image", "run"])
            for action in actions:
                world.act(*action)
            world.check()
        finally:
            world.close()
