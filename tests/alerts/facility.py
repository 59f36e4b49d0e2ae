"""A store whose contents a test says, a clock, and the watcher of both."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryowatch.alerts.alarms import Alarms
from cryowatch.alerts.rules import STANDARD, Rule
from cryowatch.reading import Reading
from cryowatch.records import Micrograph, OutputKind
from cryowatch.store import Change, Store
from tests.support.records import SECOND, START, micrograph, output, run, session, span

MINUTE = 60 * SECOND
HOST = "gpu1"


class Facility:
    """A store whose contents the test says, a clock, and the watcher of both."""

    def __init__(self, data: Path) -> None:
        self.now = START
        self.read_at: int | None = START
        self.told: list[Change] = []
        self.store = Store(data)
        self.key = self.store.register(session()).session
        self.items: dict[str, list[Micrograph]] = {}
        self.runs = [run("2", label="import movies"), run("67", label="alignment"), run("135", label="ctffind4")]
        self.status = "running"
        self.incoming: dict[str, int] = {}
        self.created: int | None = None
        self.empty = True
        """Whether a run has an output before it has brought anything."""
        self.unread: int | None = None
        self._cursor = 0
        self.use(STANDARD)

    def use(self, rules: Sequence[Rule], *, repeat: float = 0, sampled: float = 10) -> None:
        """Begin anew, as after a restart."""
        self.alarms = Alarms(
            self.store, rules, host=HOST, read_at=lambda _: self.read_at, tell=self.told.append, repeat=repeat,
            sampled=sampled, incoming=lambda files, _: self.incoming.get(files), unread=lambda _: self.unread,
            clock=lambda: self.now,
        )  # fmt: skip

    def commit(self, **values: Any) -> None:
        """Store what the session holds now."""
        self._cursor += 1
        made = (
            output("2", "outputMovies", kind=OutputKind.MOVIES, class_name="SetOfMovies"),
            output("67", "outputMicrographs", kind=OutputKind.MICROGRAPHS, class_name="SetOfMicrographs"),
            output(),
        )
        runs = {r.run for r in self.runs} if self.empty else set()
        outputs = tuple(o for o in made if o.run in runs or self.items.get(o.run))
        spans = tuple(
            span(self.items.get(o.run, []), run=o.run, output=o.name) for o in outputs if self.items.get(o.run)
        )
        found = Reading(
            cursor=str(self._cursor), session=session(status=self.status, created=self.created),
            runs=tuple(self.runs), outputs=outputs, spans=spans, **values,
        )  # fmt: skip
        self.store.commit(self.key, found, now=self.now)
        self.read_at = self.now

    def bring(self, stage: str, count: int, **values: Any) -> None:
        """Add items to a stage at the present time."""
        place = {"2": "outputMovies", "67": "outputMicrographs", "135": "outputCTF"}[stage]
        known = self.items.setdefault(stage, [])
        for _ in range(count):
            number = len(known) + 1
            known.append(micrograph(number, run=stage, output=place, time=self.now, **values))

    def look(self, minutes: float = 0) -> list[tuple[str, str]]:
        """Let time pass, look, and return all that people were to be told: event and rule."""
        self.now += round(minutes * MINUTE)
        if self.read_at is not None:
            self.read_at = self.now
        self.alarms.step()
        return self.notices()

    def notices(self) -> list[tuple[str, str]]:
        _, rows = self.store.reader().table(
            "SELECT event, rule FROM notice JOIN alert ON alert.id = alert_id ORDER BY notice.id"
        )
        return [(event, rule) for event, rule in rows]

    def alerts(self) -> list[dict[str, Any]]:
        return self.store.reader().rows("SELECT * FROM alert ORDER BY id")
