"""What changed or went in the store changes or goes on a real InfluxDB, and nothing else does."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from cryowatch.errors import SinkAway
from cryowatch.influx.batches import Deletions, Receipt, Removal
from cryowatch.influx.client import Access, Influx
from cryowatch.influx.delivery import Delivery
from cryowatch.influx.layout_cryowatch import CryowatchLayout
from cryowatch.store import Store, status
from cryowatch.store.schema import MIGRATIONS
from tests.support.influxd import ADMIN, InfluxServer
from tests.support.projects import CTFS, Watched, change, genuine
from tests.support.records import SECOND, START, micrograph, output, reading, run, session, span
from tests.support.serving import until

Delivering = Callable[..., Delivery]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "data")
    yield opened
    opened.close()


def kept(store: Store, *spans: Any, path: str = "/projects/alpha", **values: Any) -> int:
    known = store.register(session(path))
    store.commit(known.session, reading(*spans, session=session(path), **values), now=START)
    return known.session


def numbers(server: InfluxServer, measurement: str = "micrograph", more: str = "") -> list[int]:
    return [row["ctfID"] for row in server.rows(f'SELECT ctfID FROM "{measurement}"{more}')]


def test_a_ctf_that_is_estimated_again_and_fails_loses_its_numbers_on_the_server(
    store: Store, delivering: Delivering, database: InfluxServer
) -> None:
    kept(store, span([micrograph(1), micrograph(2)]))
    delivery = delivering(store)
    assert delivery.finish()
    nothing = {"defocus_u": None, "defocus_v": None, "defocus_angle": None, "resolution": None, "fit_quality": None}
    kept(store, span([micrograph(1, **nothing), micrograph(2)]), cursor="2")
    assert delivery.finish()
    rows = database.rows("SELECT ctfID, defocusU, resolution, fitQuality, enabled FROM micrograph")
    assert [(r["ctfID"], r["defocusU"], r["resolution"], r["fitQuality"], r["enabled"]) for r in rows] == [
        (1, None, None, None, True), (2, 15_002.0, 3.5, 0.12, True),
    ]  # fmt: skip


def test_a_project_that_was_just_found_holds_up_nobody(
    store: Store, delivering: Delivering, database: InfluxServer
) -> None:
    kept(store, span([micrograph(1)]))
    found = store.register(session("/projects/new", status="", created=START)).session
    store.note(found, state="gone", text="is not there", troubles=(), last_read=None)
    delivery = delivering(store)
    assert delivery.finish()
    assert numbers(database) == [1]
    assert [row["project"] for row in database.rows('SELECT "status", "project" FROM "session"')] == ["alpha"]


def test_a_run_that_was_started_again_stands_once_on_the_server(
    store: Store, delivering: Delivering, database: InfluxServer
) -> None:
    delivery = delivering(store)
    for start in (0, 5_000):
        items = [micrograph(n, time=START + (start + n) * SECOND) for n in range(1, 301)]
        kept(store, span(items), cursor=str(start), runs=(run(started=START + start * SECOND),))
        assert delivery.finish()
    assert numbers(database) == list(range(1, 301))
    assert len(database.rows("SELECT status FROM run WHERE \"output\" = ''")) == 1


def test_what_was_deleted_in_scipion_goes_and_what_others_wrote_stays(
    store: Store, delivering: Delivering, database: InfluxServer
) -> None:
    kept(store, span([micrograph(n) for n in range(1, 101)]))
    delivery = delivering(store)
    assert delivery.finish()
    theirs = [START + n * 4 * SECOND + 2_000 for n in range(1, 101)]
    lines = [f"micrograph,host=gpu1,project=alpha,run=135 defocusU=7.0 {moment}" for moment in theirs]
    lines += [f"micrograph,host=gpu1,project=alpha,run=135,by=them ctfID=7i {START + 8 * SECOND + 2}"]
    database.client.post("/write", params={"db": "scipion"}, content="\n".join(lines).encode(), auth=ADMIN)
    kept(store, span([micrograph(n) for n in (1, 100)]), cursor="2")
    assert delivery.finish()
    rows = database.rows('SELECT ctfID, defocusU, "by" FROM micrograph')
    assert [row["ctfID"] for row in rows if row["ctfID"] is not None] == [1, 7, 100]
    assert [row["time"] for row in rows if row["defocusU"] == 7.0] == theirs
    kept(store, runs=(), outputs=(), cursor="3")
    assert delivery.finish()
    assert [row["time"] for row in database.rows("SELECT defocusU FROM micrograph")] == theirs
    assert database.rows("SELECT status FROM run") == []


class Cut:
    """A server whose agent is killed after points were taken away and before others are written."""

    def __init__(self, sink: Influx) -> None:
        self._sink = sink
        self.where = sink.where
        self.cut = False

    def remove(self, deletions: Deletions) -> Removal:
        return self._sink.remove(deletions)

    def send(self, lines: list[str]) -> Receipt:
        if self.cut:
            raise SinkAway("is cut off", where=self.where)
        return self._sink.send(lines)

    def close(self) -> None:
        self._sink.close()


def test_an_agent_that_dies_between_taking_away_and_writing_loses_nothing(
    tmp_path: Path, database: InfluxServer
) -> None:
    sink = Cut(Influx(Access(url=database.url, database="scipion", username=ADMIN[0], password=ADMIN[1])))
    store = Store(tmp_path / "data")
    kept(store, span([micrograph(n) for n in range(1, 6)]))
    delivery = Delivery(store, sink, CryowatchLayout())
    assert delivery.finish()
    kept(store, span([micrograph(n, resolution=None) for n in range(1, 6)]), cursor="2")
    sink.cut = True
    delivery.step()
    assert numbers(database) == []
    store.close()
    store, sink.cut = Store(tmp_path / "data"), False
    assert Delivery(store, sink, CryowatchLayout()).finish()
    assert numbers(database) == [1, 2, 3, 4, 5]
    sink.close()
    store.close()


def test_without_influxdb_nothing_is_kept_of_what_went(store: Store) -> None:
    kept(store, span([micrograph(n) for n in range(1, 6)]))
    kept(store, span([micrograph(1, resolution=None)]), cursor="2")
    assert store.reader().value("SELECT count(*) FROM superseded") == 0


def test_what_went_is_forgotten_when_all_have_taken_it_away_or_have_not_come_for_a_month(
    store: Store, delivering: Delivering
) -> None:
    sink = Cut(Influx(Access(url="http://127.0.0.1:9", database="gone")))
    away = Delivery(store, sink, CryowatchLayout())
    sink.close()
    kept(store, span([micrograph(n) for n in range(1, 6)]))
    store.advance(away.name, 0, now=time.time_ns())
    delivery = delivering(store)
    assert delivery.finish()
    kept(store, span([micrograph(1)]), cursor="2")
    assert delivery.finish()
    assert store.reader().value("SELECT count(*) FROM superseded") == 4
    store.advance(away.name, 0, now=time.time_ns() - 31 * 86_400 * SECOND)
    kept(store, span([micrograph(2)]), cursor="3")
    assert delivery.finish()
    assert store.reader().value("SELECT count(*) FROM superseded") == 0


def test_every_estimate_is_on_the_server_and_the_accepted_ones_bear_the_runs_id(
    store: Store, delivering: Delivering, database: InfluxServer
) -> None:
    outputs = (output(name="discarded_CTFs"), output(), output(name="outputCTF2"))
    items = [span([micrograph(n, output=each.name)], output=each.name) for n, each in enumerate(outputs, start=1)]
    kept(store, *items, outputs=outputs)
    delivering(store).finish()
    found = {row["run"]: row["ctfID"] for row in database.rows("SELECT ctfID FROM micrograph GROUP BY run")}
    assert found == {"135 discarded_CTFs": 1, "135": 2, "135 outputCTF2": 3}


def two_estimates(store: Store, *names: str, first: str = "135", second: str = "1300") -> None:
    """Keep two CTF estimates of as many micrographs, that of the first run started earlier."""
    runs = (run(first, started=START), run(second, started=START + SECOND))
    spans = [
        span([micrograph(n, run=number, resolution=float(number)) for n in range(1, 41)], run=number)
        for number in names
    ]
    kept(
        store,
        *spans,
        runs=tuple(each for each in runs if each.run in names),
        outputs=tuple(output(number) for number in names),
        cursor=" ".join(names),
    )


def test_when_the_shown_estimate_is_deleted_the_next_one_takes_its_place_as_a_whole(
    store: Store, delivering: Delivering, database: InfluxServer
) -> None:
    delivery = delivering(store, "scipion")
    two_estimates(store, "135", "1300")
    assert delivery.finish()
    two_estimates(store, "1300")
    assert delivery.finish()
    rows = database.rows("SELECT ctfID, resolution FROM alpha WHERE section = 'ctf'")
    assert [(row["ctfID"], row["resolution"]) for row in rows] == [(n, 1300.0) for n in range(1, 41)]


def test_a_run_of_a_lower_number_that_starts_later_does_not_mix_into_the_shown_estimate(
    store: Store, delivering: Delivering, database: InfluxServer
) -> None:
    delivery = delivering(store, "scipion")
    two_estimates(store, "300", first="300", second="135")
    assert delivery.finish()
    two_estimates(store, "300", "135", first="300", second="135")
    assert delivery.finish()
    assert {row["resolution"] for row in database.rows("SELECT resolution FROM alpha WHERE section = 'ctf'")} == {300.0}


def test_discarded_items_are_not_in_the_published_dashboards(
    tmp_path: Path, delivering: Delivering, database: InfluxServer
) -> None:
    watched = Watched(genuine(tmp_path), tmp_path / "data")
    watched.look()
    delivery = delivering(watched.store, "scipion")
    for enabled, expected in ((1, list(range(1, 9))), (0, [1, 2, 4, 5, 6, 7, 8]), (1, list(range(1, 9)))):
        change(watched.project / CTFS, 3, enabled=enabled)
        watched.look()
        assert delivery.finish()
        assert numbers(database, "small", " WHERE section = 'ctf'") == expected
    watched.close()


@pytest.mark.parametrize("layout", ["cryowatch", "scipion"])
def test_two_projects_of_one_name_stay_apart_and_it_is_said(
    store: Store, delivering: Delivering, database: InfluxServer, layout: str
) -> None:
    kept(store, span([micrograph(1, resolution=3.0)]), path="/one/alpha")
    delivery = delivering(store, layout)
    assert delivery.finish()
    second = kept(store, span([micrograph(1, resolution=9.0)]), path="/two/alpha")
    assert delivery.finish()
    key = store.reader().value("SELECT key FROM session WHERE id = ?", (second,))
    assert key != "alpha"
    if layout == "scipion":
        found = {name: database.rows(f'SELECT resolution FROM "{name}"')[0]["resolution"] for name in ("alpha", key)}
    else:
        rows = database.rows("SELECT resolution FROM micrograph GROUP BY project")
        found = {row["project"]: row["resolution"] for row in rows}
    assert found == {"alpha": 3.0, key: 9.0}
    out = StringIO()
    status.status(store.data_dir, bounds=(), as_json=False, out=out)
    assert f"/two/alpha is called {key} there" in out.getvalue()


def test_a_data_directory_made_anew_doubles_nothing(
    tmp_path: Path, delivering: Delivering, database: InfluxServer
) -> None:
    project = genuine(tmp_path)
    counts = []
    for name in ("data", "anew"):
        watched = Watched(project, tmp_path / name)
        watched.look()
        assert delivering(watched.store).finish()
        watched.close()
        rows = database.rows("SELECT * FROM /.*/ GROUP BY *")
        counts.append(
            sorted((row["measurement"], row.get("run", ""), row.get("output", ""), row["time"]) for row in rows)
        )
    assert counts[0] == counts[1]
    assert {row[0] for row in counts[0]} == {"micrograph", "run", "session"}


def test_the_history_of_sizes_is_told_by_the_times_of_the_items(
    store: Store, delivering: Delivering, database: InfluxServer
) -> None:
    items = [micrograph(n, time=START + n * 240 * SECOND) for n in range(1, 8)]
    delivery = delivering(store)
    for count in (2, 7):
        kept(store, span(items[:count]), cursor=str(count))
        assert delivery.finish()
    rows = database.rows("SELECT size FROM run WHERE \"output\" = 'outputCTF'")
    step = 600 * SECOND
    wanted: dict[int, int] = {}
    for count, item in enumerate(items, start=1):
        wanted[item.time // step * step] = count
    assert {row["time"]: row["size"] for row in rows} == wanted


def old_project(store: Store, count: int) -> None:
    """Keep a project whose micrographs are of half a year ago."""
    long_ago = time.time_ns() - 180 * 86_400 * SECOND
    items = [micrograph(n, time=long_ago + n * SECOND) for n in range(1, count + 1)]
    kept(store, span(items), path="/projects/old", runs=(run(started=long_ago),))


@pytest.mark.timeout(60)
def test_old_data_beyond_the_retention_hold_up_no_live_session(
    store: Store, delivering: Delivering, database: InfluxServer
) -> None:
    database.query("CREATE RETENTION POLICY weeks ON scipion DURATION 12w REPLICATION 1 DEFAULT", database="scipion")
    delivery = delivering(store)
    thread = threading.Thread(target=delivery.run)
    old_project(store, 20_000)
    thread.start()
    try:
        waits = []
        for number in range(1, 6):
            now = time.time_ns()
            items = [micrograph(n, time=now - (6 - n) * SECOND) for n in range(1, number + 1)]
            kept(store, span(items), cursor=str(number))
            delivery.wake()
            began = time.monotonic()
            until(lambda: number in numbers(database, more=" WHERE project = 'alpha'"))  # noqa: B023
            waits.append(time.monotonic() - began)
        until(lambda: not delivery.behind, seconds=30)
    finally:
        delivery.stop()
        thread.join()
    assert max(waits) < 2.0
    assert delivery.state.rejected >= 20_000
    assert database.rows("SELECT ctfID FROM micrograph WHERE project = 'old'") == []


def test_what_a_user_may_not_ask_is_found_out_by_writing(
    store: Store, delivering: Delivering, database: InfluxServer
) -> None:
    database.query("CREATE RETENTION POLICY weeks ON scipion DURATION 12w REPLICATION 1 DEFAULT", database="scipion")
    database.query("CREATE USER writer WITH PASSWORD 'w'; GRANT WRITE ON scipion TO writer")
    old_project(store, 3_000)
    kept(store, span([micrograph(1, time=time.time_ns())]))
    delivery = delivering(store, username="writer", password="w")
    assert delivery.finish()
    assert numbers(database) == [1]
    assert delivery.state.rejected >= 3_000
    kept(store, span([micrograph(1, time=time.time_ns(), resolution=None)]), cursor="2")
    assert delivery.finish()
    assert len(numbers(database)) == 1


def put(database: sqlite3.Connection, table: str, **values: object) -> None:
    marks = ", ".join("?" * len(values))
    database.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))


def by_an_earlier_version(folder: Path, server: InfluxServer) -> None:
    """Leave a store and points as version 0.1 did: states at the time when they were read, two projects of one name."""
    folder.mkdir()
    now = START + 900 * SECOND
    known = {"run": "135", "label": "ctffind 4", "status": "running"}
    paths = dict.fromkeys(("micrograph_path", "power_spectrum_path", "shift_plot_path"), "")
    lines = []
    with closing(sqlite3.connect(folder / "cryowatch.sqlite")) as old, old:
        for script in MIGRATIONS[:5]:
            old.executescript(script)
        old.execute("PRAGMA user_version = 5")
        for id_, path in ((1, "/one/alpha"), (2, "/two/alpha")):
            put(old, "session", id=id_, key=f"alpha-{id_}", path=path, name="alpha", source="scipion", host="gpu1",
                created=START, status="running", seq=30)  # fmt: skip
            put(old, "run", session_id=id_, **known, class_name="C", started=START, error="", working_dir="", seq=2)
            put(old, "output", id=id_, session_id=id_, run="135", name="outputCTF", class_name="SetOfCTF", kind="ctf",
                size=3, stream_open=1, path="", seq=3)  # fmt: skip
            put(old, "session_state", session_id=id_, time=now, status="running", software="", seq=id_)
            put(old, "run_state", session_id=id_, time=now, **known, seq=10 + id_)
            put(old, "output_size", output_id=id_, time=now, size=3, seq=20 + id_)
            for n in range(1, 4):
                moment = START + (4 * n + id_) * SECOND
                put(old, "micrograph", output_id=id_, item=n, name="m", time=moment, enabled=1, resolution=float(id_),
                    **paths, seq=23 + n)  # fmt: skip
                fields = f'ctfID={n}i,name="m",resolution={id_}.0,enabled=true'
                lines.append(f"micrograph,host=gpu1,project=alpha,run=135 {fields} {moment + n}")
        old.execute("UPDATE counter SET seq = 30")
        put(old, "position", follower=f"influx cryowatch {server.url} (scipion)", seq=30, seen=1)
    lines += [
        f'session,host=gpu1,project=alpha status="running" {now}',
        f'run,host=gpu1,project=alpha,run=135 label="ctffind 4",status="running" {now}',
        f'run,host=gpu1,output=outputCTF,project=alpha,run=135 label="ctffind 4",status="running",size=3.0 {now + 1}',
    ]
    server.client.post("/write", params={"db": "scipion"}, content="\n".join(lines).encode(), auth=ADMIN)


def test_after_an_upgrade_no_point_stands_twice_and_projects_of_one_name_part(
    tmp_path: Path, delivering: Delivering, database: InfluxServer
) -> None:
    by_an_earlier_version(tmp_path / "data", database)
    store = Store(tmp_path / "data")
    assert delivering(store).finish()
    store.close()
    rows = database.rows("SELECT ctfID, resolution FROM micrograph GROUP BY project")
    assert [(row["project"], row["ctfID"], row["resolution"]) for row in rows] == [
        (name, n, float(id_)) for id_, name in ((1, "alpha"), (2, "alpha-2")) for n in (1, 2, 3)
    ]
    for measurement in ("session", "run"):
        times = {(row["project"], row["time"]) for row in database.rows(f"SELECT * FROM {measurement} GROUP BY *")}
        assert {time for _, time in times} <= {START, START // (600 * SECOND) * 600 * SECOND}
        assert {project for project, _ in times} == {"alpha", "alpha-2"}
