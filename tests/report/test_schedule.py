"""Live sessions are reported at their pace and once more at their end, and what fails is shown and made good."""

from __future__ import annotations

import io
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cryowatch.report import file
from cryowatch.report.after import Command
from cryowatch.report.schedule import Reports
from cryowatch.store.status import status
from tests.report.making import HOSTILE, Sessions, soon
from tests.support.records import SECOND, micrograph, reading, session, span

MINUTE = 60 * SECOND


class Scheduled(Sessions):
    """Sessions with reports every ten minutes; the command keeps a line for each run, or fails while told so."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.log = folder / "log"
        self.broken = folder / "broken"
        script = 'test ! -e "$1" || { echo "web is away"; exit 5; }; printf "%s\\n" "$2 $3" >> "$4"'
        self.command = ["/bin/sh", "-c", script, "publish", str(self.broken), "{session}", "{file}", str(self.log)]
        self.reports = self.restarted()

    def restarted(self, **options: Any) -> Reports:
        command = Command(arguments=options.pop("command", self.command), timeout=5, environment=os.environ)
        usual: dict[str, Any] = {"minutes": 10, "size_mb": 5, "clock": lambda: self.now}
        return Reports(self.store, self.maker, folder=self.folder / "reports", command=command, **{**usual, **options})

    def grow(self, key: str, item: int, status_: str = "running") -> None:
        row = self.store.reader().session(key)
        self.store.commit(
            row["id"],
            reading(
                span([micrograph(item)], after=item - 1),
                cursor=str(item),
                session=session(row["path"], name=row["name"], status=status_),
            ),
            now=self.now,
        )

    def look(self, *, minutes: float = 0) -> int:
        """Let time pass and look once; returns how often the command has run so far."""
        self.now += round(minutes * MINUTE)
        self.reports.look()
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0

    def status(self) -> dict[str, Any]:
        """Return what `cryowatch status` says of the reports."""
        out = io.StringIO()
        code = status(self.store.data_dir, bounds=(), as_json=True, out=out)
        [found] = [d for d in json.loads(out.getvalue())["deliveries"] if d["where"].startswith("report ")]
        return {**found, "code": code}


@pytest.fixture
def scheduled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scheduled]:
    made = Scheduled(tmp_path)
    monkeypatch.setattr("cryowatch.store.status.time.time_ns", lambda: made.now)
    yield made
    made.close()


def test_a_live_session_is_reported_at_its_pace_and_where_it_changed(scheduled: Scheduled) -> None:
    key = scheduled.add("alpha", [micrograph(1)])
    assert scheduled.look() == 1
    assert scheduled.look(minutes=11) == 1
    scheduled.grow(key, 2)
    assert scheduled.look() == 2
    scheduled.grow(key, 3)
    assert scheduled.look(minutes=9) == 2
    assert scheduled.look(minutes=1) == 3
    assert file.is_report(scheduled.folder / "reports" / key / "index.html")
    assert scheduled.log.read_text().splitlines()[-1] == f"{key} {scheduled.folder}/reports/{key}/index.html"


def test_the_end_of_a_session_is_reported_at_once_and_once(scheduled: Scheduled) -> None:
    key = scheduled.add("alpha", [micrograph(1)])
    assert scheduled.look() == 1
    scheduled.grow(key, 2, "finished")
    assert scheduled.look(minutes=1) == 2
    assert scheduled.look(minutes=60) == 2


def test_a_session_that_ended_before_is_not_reported(scheduled: Scheduled) -> None:
    scheduled.add("alpha", [micrograph(1)], status="finished")
    assert scheduled.look(minutes=60) == 0


def test_a_session_that_ended_while_nobody_watched_is_still_reported(scheduled: Scheduled) -> None:
    key = scheduled.add("alpha", [micrograph(1)])
    assert scheduled.look() == 1
    scheduled.reports = scheduled.restarted()
    assert scheduled.look(minutes=60) == 1
    scheduled.grow(key, 2, "finished")
    scheduled.reports = scheduled.restarted()
    assert scheduled.look() == 2


def test_a_hostile_name_goes_by_its_key(scheduled: Scheduled) -> None:
    key = scheduled.add(HOSTILE, [micrograph(1)], folder="../../-rf")
    assert scheduled.look() == 1
    [folder] = (scheduled.folder / "reports").iterdir()
    assert folder.name == key
    assert set(key) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")
    assert not key.startswith(("-", "."))


def test_a_command_that_fails_is_shown_and_tried_again_until_it_works(scheduled: Scheduled) -> None:
    scheduled.broken.touch()
    key = scheduled.add("alpha", [micrograph(1)])
    assert scheduled.look() == 0
    said = scheduled.status()
    assert said["code"] == 1
    assert said["behind"] == 1
    assert said["needs"] == [f"report of {key}: /bin/sh: ended with 5: web is away"]
    described = scheduled.reports.status().shown()
    assert described["problem"] == said["needs"][0]
    assert (described["behind"], described["waiting"], described["needs_person"]) == (1, "reports", False)
    scheduled.broken.unlink()
    assert scheduled.look(minutes=0.5) == 0
    assert scheduled.look(minutes=0.6) == 1
    assert scheduled.status()["needs"] == []
    assert scheduled.reports.status().problem == ""


def test_what_was_not_handed_over_is_not_forgotten_by_a_restart(scheduled: Scheduled) -> None:
    key = scheduled.add("alpha", [micrograph(1)])
    assert scheduled.look() == 1
    scheduled.broken.touch()
    scheduled.grow(key, 2, "finished")
    assert scheduled.look() == 1
    scheduled.broken.unlink()
    scheduled.reports = scheduled.restarted()
    assert scheduled.look(minutes=1) == 2


def test_one_session_that_fails_holds_up_no_other(scheduled: Scheduled) -> None:
    scheduled.add("alpha", [micrograph(1)])
    key = scheduled.add("beta", [micrograph(1)], folder="beta")
    (scheduled.folder / "reports" / "beta" / "index.html").mkdir(parents=True)
    assert scheduled.look() == 1
    described = scheduled.reports.status().shown()
    assert "is a folder" in described["problem"]
    assert described["needs_person"]
    assert (described["behind"], described["accepted"]) == (1, 1)
    assert scheduled.reports.finish() is False
    assert key == "beta"


def test_without_a_command_reports_are_only_written(scheduled: Scheduled) -> None:
    key = scheduled.add("alpha", [micrograph(1)])
    scheduled.reports = scheduled.restarted(command=[])
    assert scheduled.reports.finish() is True
    assert file.is_report(scheduled.folder / "reports" / key / "index.html")


def test_it_ends_soon_also_in_the_middle_of_a_command(scheduled: Scheduled) -> None:
    scheduled.add("alpha", [micrograph(1)])
    started = scheduled.folder / "started"
    reports = scheduled.restarted(command=["/bin/sh", "-c", f"touch {started}; sleep 600"])
    thread = threading.Thread(target=reports.run)
    thread.start()
    soon(started.exists)
    reports.stop()
    thread.join(5)
    assert not thread.is_alive()
    assert reports.status().problem == ""
