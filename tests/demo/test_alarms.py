"""Whoever starts `cryowatch demo` sees no alarm that is none: what is told is what happens in the story."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Executor, Future
from pathlib import Path

from cryowatch.agent.session import Watch
from cryowatch.alerts.alarms import Alarms
from cryowatch.alerts.rules import STANDARD, About
from cryowatch.demo.gain import residual
from cryowatch.demo.session import DemoSession, Event, unfold
from cryowatch.sources.scipion import ScipionSource
from cryowatch.store import Store

BEGIN = 1_795_000_000.0
MINUTE = 60
SECOND = 10**9
OF_MACHINE = (About.HOST, About.FILESYSTEM, About.GPU)
STAGES = ("outputMovies", "outputMicrographs", "outputCTF")


class Unpictured(DemoSession):
    """Takes its time for images, by the clock of the test, and draws none."""

    def __init__(self, folder: Path, watcher: Watcher) -> None:
        super().__init__(folder)
        self._watcher = watcher

    def draw(self, event: Event) -> None:
        self._watcher.pass_(0.5)

    def drawing(self, past: Sequence[Event], crew: Executor) -> list[Future[None]]:
        del past, crew
        self._watcher.pass_(2)
        return []


class Watcher:
    """An agent that looks every 15 s of a clock that runs as fast as it can, from the start of the demo on."""

    def __init__(self, folder: Path) -> None:
        self.now = BEGIN
        self.project = folder / "demo-session"
        self.store = Store(folder / "data")
        rules = [rule for rule in STANDARD if rule.about not in OF_MACHINE]
        self.alarms = Alarms(self.store, rules, host="gpu1", read_at=lambda _: self.clock(), clock=self.clock)
        self.watch: Watch | None = None
        self.looked = 0.0
        self.told: list[tuple[float, str, str]] = []
        """Minute, rule, and whether it was raised or over."""
        self.counts: list[tuple[float, list[int]]] = []

    def clock(self) -> int:
        return int(self.now * SECOND)

    @property
    def minute(self) -> float:
        return (self.now - BEGIN) / MINUTE

    def pass_(self, seconds: float) -> None:
        self.now += seconds
        if self.now - self.looked >= 15 and (self.project / "project.sqlite").exists():
            self.looked = self.now
            self.look()

    def look(self) -> None:
        if self.watch is None:
            source = ScipionSource(self.project, host="gpu1", clock=self.clock)
            self.watch = Watch(self.project, source, self.store, host="gpu1", clock=self.clock)
        while True:
            reading, _ = self.watch.step()
            if reading is None or reading.finished:
                break
        self.alarms.step()
        counts = {output["name"]: output["count"] for output in self.store.reader().outputs(self.watch.session)}
        self.counts.append((self.minute, [counts[stage] for stage in STAGES]))
        for row in self.store.reader().rows("SELECT rule, until FROM alert ORDER BY id"):
            change = (row["rule"], "raised" if row["until"] is None else "over")
            if change not in [(rule, what) for _, rule, what in self.told]:
                self.told.append((self.minute, *change))

    def wait(self, seconds: float) -> bool:
        """Let time pass in small steps; says whether the demo's first 13 minutes are not over."""
        while seconds > 0:
            self.pass_(min(seconds, 1.0))
            seconds -= 1.0
        return self.minute < 13


def test_the_first_minutes_have_no_alarm_but_that_of_the_story(tmp_path: Path) -> None:
    watcher = Watcher(tmp_path)
    session = Unpictured(watcher.project, watcher)
    unfold(session, micrographs=500, every=4.0, wait=watcher.wait, clock=lambda: watcher.now)
    first, counts = watcher.counts[0]
    assert first < 0.5
    assert counts == [202, 201, 200], "what lies in the past has its results, but what came last"
    assert all(before[0] - before[2] <= 4 for _, before in watcher.counts), "nothing waits for long"
    assert [(rule, what) for _, rule, what in watcher.told] == [("gain-ratio2", "raised"), ("gain-ratio2", "over")]
    watcher.store.close()
    raised, over = (minute for minute, _, _ in watcher.told)
    assert 1 < raised < 4
    assert raised + 5 < over < 13
    bad = [number for number in range(1, 401, 10) if residual(number, 7).most / residual(number, 7).high > 4.5]
    assert min(bad) > 200, "the reference is as good as new when somebody begins to look"
