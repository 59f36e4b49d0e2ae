"""The agent reads every session at its own pace; what goes wrong with one concerns no other."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cryowatch.agent.agent import Agent, repeat
from cryowatch.agent.rest import pause
from cryowatch.agent.session import Watch
from cryowatch.errors import SourceBusy, SourceGone, StoreFailed
from cryowatch.reading import Reading
from cryowatch.store import Change, Store
from tests.support.projects import CTFS, append, genuine
from tests.support.records import START, micrograph, reading, session, span
from tests.support.serving import until

SECOND = 10**9


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def started(store: Store) -> Iterator[Callable[..., Agent]]:
    agents: list[Agent] = []

    def start(*paths: Path) -> Agent:
        agents.append(Agent(store, paths, interval=0.05, host_interval=0.1, host="gpu1"))
        agents[-1].start()
        return agents[-1]

    yield start
    for agent in agents:
        agent.stop()


class Scripted:
    """A source that answers as it is told: a reading, or an error to raise."""

    def __init__(self, *answers: Reading | Exception) -> None:
        self.answers = list(answers)
        self.cursors: list[str] = []

    def read(self, cursor: str) -> Reading:
        self.cursors.append(cursor)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def is_whole(self, cursor: str) -> bool:
        return True

    def rest(self) -> None:
        pass


class Clock:
    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> int:
        return self.now


def count(store: Store) -> int:
    return int(store.reader().table("SELECT count(*) FROM micrograph")[1][0][0])


def watch(store: Store, source: Scripted, clock: Clock) -> Watch:
    return Watch(Path("/projects/alpha"), source, store, host="gpu1", clock=clock)


def test_what_is_read_is_stored_with_its_cursor(store: Store) -> None:
    source = Scripted(reading(span([micrograph(1)]), cursor="one", session=session()))
    watched = watch(store, source, Clock())
    watched.step()
    watched.step()
    assert source.cursors == ["", "one"]
    assert (count(store), store.cursor(watched.session)) == (1, "one")


def test_a_short_lock_is_told_to_nobody_and_a_long_one_is(store: Store) -> None:
    clock = Clock()
    watched = watch(store, Scripted(SourceBusy("its writer is at work", where="x")), clock)
    assert watched.step() == (None, None)
    key = watched.key
    clock.now += 9 * SECOND
    watched.step()
    assert store.reader().session(key)["state"] == "ok"
    clock.now += 2 * SECOND
    watched.step()
    assert store.reader().session(key)["state"] == "busy"
    assert watched.problem is None


def test_a_trouble_is_logged_once_and_so_is_its_end(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    gone = SourceGone("is not there", where="/projects/alpha", remedy="Was it moved?")
    good = reading(cursor="one", session=session())
    watched = watch(store, Scripted(gone, gone, gone, good), Clock())
    for _ in range(5):
        watched.step()
    assert [r.getMessage() for r in caplog.records] == [
        "/projects/alpha: is not there. Was it moved?",
        "/projects/alpha: can be read again",
    ]


def test_reading_once_waits_for_a_writer_that_is_at_work(store: Store) -> None:
    busy = SourceBusy("its writer is at work", where="x")
    watched = watch(store, Scripted(busy, busy, reading(span([micrograph(1)]), cursor="one")), Clock())
    assert watched.once(lambda *_: None, wait=lambda _: None) is None
    assert count(store) == 1
    stubborn = watch(store, Scripted(busy), Clock())
    problem = stubborn.once(lambda *_: None, wait=lambda _: None)
    assert problem is not None
    assert "its writer was at work all the time" in problem.text
    assert problem.text.endswith("(x: its writer is at work)")


def test_a_long_reading_says_how_far_it_is(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    clock = Clock()
    part = Reading(cursor="1", finished=False, done=2_000, total=60_000)
    watched = watch(store, Scripted(part), clock)
    assert watched.look(1.0, lambda _: None) == 0.0
    clock.now += 3 * SECOND
    watched.look(1.0, lambda _: None)
    assert [r.getMessage() for r in caplog.records] == ["/projects/alpha: 2,000 of 60,000 items read"]


@pytest.mark.parametrize(
    ("active", "quiet", "seconds"),
    [(True, 1e6, 1.0), (False, 10, 1.0), (False, 3_600, 5.0), (False, 90_000, 30.0)],
)
def test_old_projects_are_looked_at_more_rarely(*, active: bool, quiet: float, seconds: float) -> None:
    assert pause(1.0, active=active, quiet=quiet) == seconds


def test_a_thousand_that_have_just_finished_are_looked_at_in_turn() -> None:
    assert pause(1.0, active=False, quiet=10, took=0.001, crowd=1_000) == 100.0
    assert pause(1.0, active=False, quiet=10, took=0.001, crowd=5) == 1.0
    assert pause(1.0, active=True, quiet=10, took=0.001, crowd=1_000) == 1.0


def test_projects_are_picked_up_as_they_appear(tmp_path: Path, started: Callable[..., Agent], store: Store) -> None:
    projects = tmp_path / "projects"
    genuine(projects, "first")
    agent = started(projects)
    until(lambda: count(store) == 32)
    genuine(projects, "second")
    assert [w.path.name for w in agent.discover()] == ["second"]


def test_followers_are_told_of_every_change(tmp_path: Path, store: Store) -> None:
    project = genuine(tmp_path)
    agent = Agent(store, [project], interval=0.05, host="gpu1")
    told: list[Change] = []
    agent.listen(told.append)
    agent.start()
    until(lambda: count(store) == 32)
    until(lambda: told)
    before = len(told)
    append(project / CTFS, 9)
    until(lambda: len(told) > before and count(store) == 33)
    assert told[-1].key == "small"
    agent.stop()


def test_a_hung_project_holds_up_no_other_and_no_stop(store: Store, tmp_path: Path) -> None:
    hang = threading.Event()

    class Hung:
        def read(self, cursor: str) -> Reading:
            hang.wait()
            return Reading(cursor=cursor)

    agent = Agent(store, [genuine(tmp_path)], interval=0.05, host="gpu1")
    agent._looks.add("hung", lambda: watch_of(Hung()))
    agent.start()
    until(lambda: count(store) == 32)
    began = time.monotonic()
    agent.stop(patience=0.3)
    assert time.monotonic() - began < 30
    hang.set()


def watch_of(source: object) -> float:
    source.read("")  # type: ignore[attr-defined]
    return 1.0


def test_nothing_that_goes_wrong_ends_a_loop(caplog: pytest.LogCaptureFixture) -> None:
    stop = threading.Event()
    script: list[Exception | None] = [
        StoreFailed("the disk is full", where="/data"),
        StoreFailed("the disk is full", where="/data"),
        ZeroDivisionError(),
        None,
    ]

    def step() -> float:
        error = script.pop(0)
        if not script:
            stop.set()
        if error is not None:
            raise error
        return 0.0

    stop.wait = lambda _=None: stop.is_set()  # type: ignore[method-assign,assignment]
    repeat(step, stop, "/projects/alpha")
    texts = [r.getMessage() for r in caplog.records]
    assert texts == ["/data: the disk is full", "/projects/alpha: unexpected; it is tried again"]


def test_a_store_that_fails_once_loses_nothing(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = store.commit
    failures = [1, 2]

    def failing(*args: object, **values: object) -> object:
        if failures:
            failures.pop()
            raise StoreFailed("the disk is full", where="/data")
        return commit(*args, **values)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "commit", failing)
    monkeypatch.setattr("cryowatch.agent.agent.RETRY_SECONDS", 0.05)
    agent = Agent(store, [genuine(tmp_path)], interval=0.05, host="gpu1")
    agent.start()
    until(lambda: count(store) == 32)
    agent.stop()


def test_a_writer_meets_no_lock_while_it_is_watched(tmp_path: Path, started: Callable[..., Agent]) -> None:
    project = genuine(tmp_path)
    started(project)
    with closing(sqlite3.connect(project / CTFS, timeout=0.05)) as writer:
        for number in range(300):
            with writer:
                writer.execute("UPDATE Objects SET comment = ? WHERE id = 1", (str(number),))


def test_a_project_that_does_not_answer_is_said_to_until_it_does(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryowatch.agent.session.SILENT_SECONDS", 0.0)
    hang = threading.Event()

    class Hung(Scripted):
        def read(self, cursor: str) -> Reading:
            hang.wait(30)
            return Reading(cursor=cursor)

    watch = Watch(Path("/projects/alpha"), Hung(), store, host="gpu1")
    assert watch.silence() is None
    thread = threading.Thread(target=watch.step)
    thread.start()
    assert until(watch.silence).key == "alpha"
    row = store.reader().session("alpha")
    assert (row["state"], row["state_text"][:33]) == ("gone", "/projects/alpha: does not answer.")
    hang.set()
    thread.join(10)
    assert store.reader().session("alpha")["state"] == "ok"
