"""A project that changes at every look makes the store no larger than another; what is now stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cryowatch.reading import Reading
from cryowatch.records import RunStatus, Severity
from cryowatch.store import Store
from cryowatch.store.alerts import Key, State
from cryowatch.store.writer import FILE_NAME
from tests.support.records import SECOND, START, output, run, session

MOST_BYTES = 5_000_000


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path)
    yield opened
    opened.close()


def size(store: Store) -> int:
    """Return the bytes of the store once everything is written into it."""
    store.close()
    return (store.data_dir / FILE_NAME).stat().st_size


def test_runs_that_start_and_stop_at_every_look_leave_a_store_of_its_size(store: Store) -> None:
    known = store.register(session()).session
    for look in range(600):
        status = RunStatus.RUNNING if look % 2 else RunStatus.FAILED
        runs = tuple(run(str(number), status=status, label="x" * 500, started=None) for number in range(20))
        store.commit(known, Reading(cursor=str(look), runs=runs), now=START + look * SECOND)
    rows = store.reader().runs(known)
    assert {row["seen_running"] for row in rows} == {START + SECOND}, "when they were first seen at work is kept"
    assert {row["status"] for row in rows} == {"running"}
    assert size(store) < MOST_BYTES


def test_an_output_that_changes_its_size_at_every_look_keeps_its_last_sizes(store: Store) -> None:
    known = store.register(session()).session
    for look in range(200):
        values = Reading(cursor=str(look), runs=(run(),), outputs=(output(size=look % 7, path=str(look)),))
        store.commit(known, values, now=START + look)
    times = [row[0] for row in store.reader().table("SELECT time FROM output_size ORDER BY time")[1]]
    assert len(times) == 16
    assert times[-1] == START + 199


def test_a_session_that_changes_at_every_look_keeps_its_last_states(store: Store) -> None:
    known = store.register(session()).session
    for look in range(2_100):
        voltage = 300.0 + look % 2
        values = Reading(cursor=str(look), session=session(voltage=voltage))
        store.commit(known, values, now=START + look)
    assert store.reader().value("SELECT count(*) FROM session_state") == 2_000


def test_alerts_that_come_and_go_make_room_for_the_newest(store: Store) -> None:
    known = store.register(session()).session
    ledger = store.ledger()
    state = State(severity=Severity.CRITICAL, text="has failed", detail="x" * 12_000)
    lasting = ledger.raise_(Key(rule="run", session=known, subject="lasts"), state, since=START, now=START)
    for number in range(800):
        now = START + number * SECOND
        alert = ledger.raise_(Key(rule="run", session=known, subject="135"), state, since=now, now=now)
        ledger.end(alert, known, Severity.CRITICAL, "is running", now=now)
    there = [row[0] for row in store.reader().table("SELECT id FROM alert ORDER BY id")[1]]
    assert there[0] == lasting
    assert there[-1] == alert
    assert len(there) > 200
    assert size(store) < MOST_BYTES
