"""A project is read right in whatever zone the agent runs, and a zone that looks wrong is said."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cryowatch.agent.session import Watch
from cryowatch.alerts.alarms import Alarms
from cryowatch.alerts.rules import STANDARD
from cryowatch.reading import Reading
from cryowatch.sources.scipion import ScipionSource
from cryowatch.sources.scipion.scalars import local_time
from cryowatch.sources.scipion.zone import local_times
from cryowatch.store import Store
from tests.doctor.looking import looked
from tests.support.projects import execute, genuine

SECOND = 10**9
HOUR = 3600 * SECOND
MADRID = ZoneInfo("Europe/Madrid")
CTF = "Runs/000135_CistemProtCTFFind/logs/run.db"
NOW = int(datetime(2026, 11, 24, 10, 0, tzinfo=UTC).timestamp()) * SECOND
SUMMER = int(datetime(2026, 7, 1, 10, 0, tzinfo=UTC).timestamp()) * SECOND
BACK = int(datetime(2026, 10, 25, 1, 0, tzinfo=UTC).timestamp()) * SECOND
"""When clocks in Madrid are set from 3:00 back to 2:00."""

FORTH = int(datetime(2026, 3, 29, 1, 0, tzinfo=UTC).timestamp()) * SECOND
"""When they are set from 2:00 to 3:00."""


@pytest.fixture
def machine() -> Iterator[Callable[[str], None]]:
    """What sets this machine's zone."""
    before = os.environ.get("TZ")

    def set_to(zone: str) -> None:
        os.environ["TZ"] = zone
        time.tzset()

    yield set_to
    os.environ.pop("TZ", None)
    if before is not None:
        os.environ["TZ"] = before
    time.tzset()


def local(moment: int, zone: ZoneInfo = MADRID) -> str:
    """Return a time as Scipion writes it on a machine in a zone."""
    seconds = datetime.fromtimestamp(moment // SECOND, zone).strftime("%Y-%m-%d %H:%M:%S")
    return f"{seconds}.{moment % SECOND // 1000:06}"


def utc(moment: int) -> str:
    return datetime.fromtimestamp(moment // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S")


def project(folder: Path, now: int, *, zone: ZoneInfo = MADRID, creation: bool = True) -> Path:
    """Return a genuine project that was made, and whose runs were started, half an hour ago in a zone.

    A minute ago its GUI took over what the runs say; `creation`: whether its rows say when they were made.
    """
    made = now - HOUR // 2 + 123_456_000
    root = genuine(folder)
    taken = now - 60 * SECOND
    for name in ("000002_ProtImportMovies", "000067_ProtMotionCorr", "000135_CistemProtCTFFind"):
        written(root / "Runs" / name / "logs/run.db", made, taken, zone)
    execute(
        root / "project.sqlite",
        f"UPDATE Objects SET value = '{local(taken, zone)}' WHERE name LIKE '%.lastUpdateTimeStamp'",
    )
    written(root / "project.sqlite", made, taken + SECOND, zone)
    if not creation:
        for file in (root / "project.sqlite", *root.glob("Runs/*/logs/run.db")):
            before = file.stat().st_mtime_ns
            execute(file, "UPDATE Objects SET creation = ''")
            os.utime(file, ns=(before, before))
    return root


def written(file: Path, made: int, changed: int, zone: ZoneInfo) -> None:
    """Give the times of a project that was made then to one of its databases, which was changed last then."""
    execute(
        file,
        f"UPDATE Objects SET creation = '{utc(made)}'",
        f"UPDATE Objects SET value = '{local(made, zone)}' WHERE name = 'CreationTime' OR name LIKE '%.initTime'",
    )
    os.utime(file, ns=(changed, changed))


def end(root: Path, moment: int, zone: ZoneInfo = MADRID) -> None:
    """Let the CTF estimation end, which its own database alone says."""
    execute(root / CTF, "UPDATE Objects SET value = 'failed' WHERE name = '135.status'",
            f"UPDATE Objects SET value = '{local(moment, zone)}' WHERE name = '135.endTime'")  # fmt: skip
    os.utime(root / CTF, ns=(moment, moment))


def read(root: Path, now: int, zone: ZoneInfo | None = None) -> Reading:
    return ScipionSource(root, time_zone=zone, clock=lambda: now).read("")


def status(reading: Reading) -> dict[str, str]:
    assert reading.runs is not None
    return {run.run: run.status for run in reading.runs}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "data")
    yield opened
    opened.close()


ZONES = ["UTC", "Europe/Madrid", "Europe/London", "America/Los_Angeles", "Asia/Kolkata", "Asia/Tokyo"]


@pytest.mark.parametrize("creation", [True, False])
@pytest.mark.parametrize("zone", ZONES)
def test_a_run_that_has_ended_is_known_to_have_in_whatever_zone_the_agent_runs(
    tmp_path: Path, machine: Callable[[str], None], zone: str, *, creation: bool
) -> None:
    machine(zone)
    root = project(tmp_path, SUMMER, creation=creation)
    assert set(status(read(root, SUMMER)).values()) == {"running"}
    end(root, SUMMER + 10 * SECOND)
    assert status(read(root, SUMMER + 60 * SECOND))["135"] == "failed"
    execute(root / "project.sqlite", "UPDATE Objects SET value = 'aborted' WHERE name = '135.status'")
    assert status(read(root, SUMMER + 60 * SECOND))["135"] == "aborted", "what the GUI stopped is stopped"


@pytest.mark.parametrize("configured", [None, "UTC", "Asia/Tokyo"])
def test_what_the_gui_has_taken_over_counts(
    tmp_path: Path, machine: Callable[[str], None], configured: str | None
) -> None:
    machine("Europe/Madrid")
    root = project(tmp_path, SUMMER)
    before = (root / "project.sqlite").stat().st_mtime_ns
    execute(root / "project.sqlite", "UPDATE Objects SET value = '7' WHERE name = '135.outputCTF._size'")
    os.utime(root / "project.sqlite", ns=(before, before))
    (root / CTF).write_bytes(b"what nobody needs to open")
    taken = SUMMER - 60 * SECOND
    os.utime(root / CTF, ns=(taken, taken))
    reading = read(root, SUMMER, ZoneInfo(configured) if configured else None)
    assert [trouble for trouble in reading.troubles if trouble.state != "zone"] == []


@pytest.mark.parametrize(
    ("zone", "said"),
    [
        ("UTC", "Scipion's times are 2 h ahead of this machine's zone (UTC)"),
        ("America/Los_Angeles", "Scipion's times are 9 h ahead of this machine's zone (PDT)"),
        ("Asia/Kolkata", "Scipion's times are 3 h 30 min behind this machine's zone (IST)"),
        ("Europe/Paris", ""),
    ],
)
def test_a_zone_that_looks_wrong_is_said_with_the_setting_that_mends_it(
    tmp_path: Path, machine: Callable[[str], None], zone: str, said: str
) -> None:
    machine(zone)
    root = project(tmp_path, SUMMER)
    reading = read(root, SUMMER)
    assert reading.session is not None
    assert reading.runs is not None
    started = SUMMER - HOUR // 2 + 123_456_000
    assert reading.session.created == started
    assert {run.started for run in reading.runs} == {started}, "the project itself shows how to read its times"
    if not said:
        assert reading.troubles == ()
        return
    [trouble] = reading.troubles
    assert (trouble.where, trouble.state, trouble.text.startswith(f"{said}. ")) == ("project.sqlite", "zone", True)
    assert 'time_zone = "Europe/Madrid"' in trouble.text
    assert read(root, SUMMER, MADRID).troubles == ()
    finding = looked(tmp_path, paths=[root])["time zone"]
    assert finding == ("look", f"{root}: {trouble.text}")
    assert "time zone" not in looked(tmp_path, 'time_zone = "Europe/Madrid"\n', paths=[root])


def test_a_zone_that_somebody_named_wrong_is_said_and_no_time_is_after_its_file(
    tmp_path: Path, machine: Callable[[str], None]
) -> None:
    machine("Europe/Madrid")
    root = project(tmp_path, SUMMER)
    reading = read(root, SUMMER, ZoneInfo("America/Los_Angeles"))
    assert reading.runs is not None
    assert {run.started for run in reading.runs} == {SUMMER - HOUR // 2 + 123_456_000}
    [trouble] = reading.troubles
    assert trouble.text.startswith("Scipion's times are 9 h ahead of the zone America/Los_Angeles. ")


def test_a_time_in_the_future_is_none_where_the_project_does_not_show_its_zone(
    tmp_path: Path, machine: Callable[[str], None]
) -> None:
    machine("UTC")
    root = project(tmp_path, SUMMER, creation=False)
    reading = read(root, SUMMER)
    assert reading.session is not None
    assert reading.runs is not None
    assert (reading.session.created, {run.started for run in reading.runs}) == (None, {None})
    [trouble] = reading.troubles
    assert trouble.text.startswith("holds a time that is about 2 h ahead of this machine's zone (UTC)")


def test_the_state_says_that_the_zone_looks_wrong_only_while_a_run_is_at_work(
    tmp_path: Path, store: Store, machine: Callable[[str], None]
) -> None:
    machine("UTC")
    root = project(tmp_path, SUMMER)
    watch = Watch(
        root, ScipionSource(root, host="gpu1", clock=lambda: SUMMER), store, host="gpu1", clock=lambda: SUMMER
    )
    watch.step()
    row = store.reader().session("small")
    assert (row["state"], watch.problem) == ("zone", None), "it can be read, so nothing stands in the way"
    assert row["state_text"].startswith("project.sqlite: Scipion's times are 2 h ahead")
    for file in (root / "project.sqlite", *root.glob("Runs/*/logs/run.db")):
        execute(file, "UPDATE Objects SET value = 'finished' WHERE name LIKE '%.status'")
    watch.step()
    row = store.reader().session("small")
    assert (row["state"], row["status"], '"zone"' in row["troubles"]) == ("ok", "finished", True)


@pytest.mark.parametrize("creation", [True, False])
def test_a_stalled_import_is_told_of_in_whatever_zone_the_agent_runs(
    tmp_path: Path, store: Store, machine: Callable[[str], None], *, creation: bool
) -> None:
    machine("UTC")
    root = project(tmp_path, SUMMER, creation=creation)
    for file in (root / "project.sqlite", *root.glob("Runs/*/logs/run.db")):
        before = file.stat().st_mtime_ns
        execute(file, "DELETE FROM Objects WHERE name LIKE '%.output%'", "DELETE FROM Objects WHERE parent_id > 300")
        os.utime(file, ns=(before, before))
    now = SUMMER
    watch = Watch(root, ScipionSource(root, host="gpu1", clock=lambda: now), store, host="gpu1", clock=lambda: now)
    alarms = Alarms(store, STANDARD, host="gpu1", read_at=lambda _: watch.last_read, clock=lambda: now)
    for _ in range(4):
        watch.step()
        alarms.step()
        now += HOUR // 4
    rules = {row["rule"] for row in store.reader().rows("SELECT rule FROM alert WHERE until IS NULL")}
    assert "import-stalled" in rules
    assert "unreadable" not in rules, "a wrong zone keeps nobody from reading"


def test_the_hour_that_comes_twice_is_the_one_in_which_it_can_have_been(
    tmp_path: Path, machine: Callable[[str], None]
) -> None:
    machine("Europe/Madrid")
    for number, started in enumerate((BACK - HOUR // 4, BACK + 3 * HOUR // 4)):
        now = started + HOUR // 2
        root = project(tmp_path / str(number), now)
        assert local(started).startswith("2026-10-25 02:45")
        reading = read(root, now)
        assert reading.runs is not None
        assert {run.started for run in reading.runs} == {started + 123_456_000}
        assert reading.troubles == ()
        end(root, now + SECOND)
        after = read(root, now + 60 * SECOND)
        assert status(after)["135"] == "failed"


def test_what_was_taken_over_in_the_hour_that_comes_twice_is_known(
    tmp_path: Path, machine: Callable[[str], None]
) -> None:
    machine("Europe/Madrid")
    for moment in (BACK - HOUR // 4, BACK + 3 * HOUR // 4):
        times = local_times(None, None, None, latest=moment)
        assert times.is_that_of(local(moment), moment)
        assert not times.is_that_of(local(moment), moment + HOUR // 2)


@pytest.mark.parametrize("moment", [BACK, FORTH])
def test_a_session_over_a_change_of_the_clocks_keeps_its_times(
    tmp_path: Path, machine: Callable[[str], None], moment: int
) -> None:
    machine("Europe/Madrid")
    root = project(tmp_path, moment - 5 * HOUR)
    end(root, moment + 5 * HOUR)
    reading = read(root, moment + 5 * HOUR + 60 * SECOND)
    assert reading.runs is not None
    [ctf] = [run for run in reading.runs if run.run == "135"]
    assert (ctf.status, ctf.ended, reading.troubles) == ("failed", moment + 5 * HOUR, ())


def test_a_copied_file_that_lost_its_fraction_of_a_second_is_still_the_one_that_was_taken_over() -> None:
    times = local_times(MADRID, None, None, latest=NOW)
    assert times.is_that_of(local(NOW + 987_654_000), NOW)
    assert not times.is_that_of(local(NOW), NOW + 5_000)


def test_a_row_that_was_made_long_after_the_project_shows_no_zone() -> None:
    created = "2026-07-01 12:00:00.250000"
    for made in ("2026-07-01 10:03:20", "2026-07-09 10:00:00", "", None, "now"):
        times = local_times(MADRID, created, made, latest=SUMMER)
        assert (times.ahead, times.created, times.trouble("x")) == (None, local_time(created, MADRID), None)
