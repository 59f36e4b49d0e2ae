"""Sessions that are forgotten: they vanish at once, whatever happens meanwhile, and their projects are passed over."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cryowatch.access.key import key_of
from cryowatch.access.shares import Shares
from cryowatch.errors import SessionForgotten, StoreError
from cryowatch.forgetting import errands
from cryowatch.forgetting.forgetter import Forgetter, figures_of
from cryowatch.records import OutputKind, Severity
from cryowatch.store import Store, forgotten
from cryowatch.store.alerts import Key, State
from cryowatch.store.forgotten import is_cleared, passed_over
from cryowatch.store.reader import Reader, Row
from cryowatch.store.writer import FILE_NAME
from faults.site import Project, Site
from tests.support.projects import CTFS, Watched, append, execute, genuine
from tests.support.records import START, micrograph, output, reading, run, session, span
from tests.support.serving import until

TABLES = (
    "session", "session_state", "run", "run_state", "output", "output_size", "output_step", "micrograph", "gain",
    "shifts", "alert", "mute", "notice", "notice_sent", "published", "superseded", "delivered_series",
    "delivered_session", "delivered_point",
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "data")
    yield opened
    opened.close()


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Watched]:
    made = Watched(genuine(tmp_path / "projects", "alpha"), tmp_path / "data")
    made.look()
    yield made
    made.close()


def rows(data: Path) -> dict[str, int]:
    """Return how many rows each table of a store holds that holds any."""
    with closing(sqlite3.connect(data / FILE_NAME)) as database:
        counts = {table: database.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES}
    return {table: count for table, count in counts.items() if count}


def row_of(store: Store, name: str = "alpha") -> Row:
    return store.reader().session(name)


def forget(store: Store, name: str = "alpha", *, influxdb: bool = False, images: bool = False) -> Forgetter:
    forgetter = Forgetter(store)
    forgetter.forget(row_of(store, name), author="ada", influxdb=influxdb, images=images)
    return forgetter


def filled(store: Store, count: int, path: str = "/projects/alpha") -> int:
    """Store a session of so many CTFs; returns its number."""
    known = store.register(session(path)).session
    items = [micrograph(number) for number in range(1, count + 1)]
    store.commit(known, reading(span(items), session=session(path)), now=START)
    return known


def command(data: Path, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CRYOWATCH_")}
    known = {"CRYOWATCH_DATA_DIR": str(data)} if words[0] == "doctor" else {}
    options = () if known else ("--data-dir", str(data))
    return subprocess.run(
        [sys.executable, "-m", "cryowatch", *words, *options],
        env={**kept, **known, "HOME": str(data.parent)}, input=stdin, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip


def test_nothing_of_a_forgotten_session_is_left_and_all_of_the_others_is(store: Store, tmp_path: Path) -> None:
    filled(store, 20, "/projects/beta")
    before = rows(store.data_dir)
    number = filled(store, 30)
    movies = (output("2", "outputMovies", kind=OutputKind.MOVIES),)
    shifted = {f"{n}": ((0.0, 1.0), (0.0, 2.0)) for n in (1, 2)}
    items = [micrograph(n, run="2", output="outputMovies", name=f"{n}") for n in (1, 2)]
    of_movies = span(items, run="2", output="outputMovies", shifts=shifted)
    store.commit(
        number, reading(of_movies, cursor="2", runs=(run(), run("2")), outputs=(output(), *movies)), now=START + 1
    )
    ledger = store.ledger()
    alert = ledger.raise_(Key(rule="few", session=number, host="gpu1"), _state("few are good"), since=1, now=2)
    ledger.sent([1], "mail", now=3)
    ledger.mute(alert, until=2**62)
    forgetter = forget(store)
    assert [row["key"] for row in store.reader().sessions()] == ["beta"]
    assert store.reader().lasting_alerts(0) == [], "its alert is not taken for one of the machine"
    forgetter.finish()
    assert rows(store.data_dir) == before
    assert store.reader().rows("PRAGMA foreign_key_check") == []


def _state(text: str) -> State:
    return State(severity=Severity.WARNING, text=text)


def test_the_next_session_is_not_taken_for_the_forgotten_one(store: Store) -> None:
    number = filled(store, 3)
    forget(store)
    assert filled(store, 2, "/projects/beta") > number


def test_a_page_or_command_that_asks_for_it_is_told_when_and_by_whom_it_was_forgotten(store: Store) -> None:
    filled(store, 3)
    forget(store)
    with pytest.raises(SessionForgotten, match=r"alpha was forgotten on 20.* UTC \(ada\). `cryowatch forget --undo"):
        store.reader().session("alpha")


def test_others_are_written_while_a_large_session_is_cleared(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgotten, "AT_ONCE", 500)
    filled(store, 20_000)
    beta = filled(store, 1, "/projects/beta")
    forgetter = forget(store)
    clearing = threading.Thread(target=_clear, args=(forgetter,))
    clearing.start()
    took = []
    number = 1
    while clearing.is_alive():
        number += 1
        began = time.perf_counter()
        store.commit(beta, reading(span([micrograph(number)], after=number - 1), cursor=str(number)), now=START)
        took.append(time.perf_counter() - began)
        time.sleep(0.01)
    assert len(took) > 10
    assert sorted(took)[len(took) * 9 // 10] < 0.15, "nine of ten wait for a tenth of a second at most"


def _clear(forgetter: Forgetter) -> None:
    while (wait := forgetter.step()) < 0.5:
        time.sleep(wait)


def test_the_file_shrinks_when_it_is_opened_next(tmp_path: Path) -> None:
    data = tmp_path / "data"
    store = Store(data)
    filled(store, 80_000)
    filled(store, 10, "/projects/beta")
    forget(store).finish()
    store.close()
    large = (data / FILE_NAME).stat().st_size
    Store(data).close()
    assert large > 16_000_000 > 20 * (data / FILE_NAME).stat().st_size


def test_clearing_goes_on_where_it_was_cut(tmp_path: Path) -> None:
    data = tmp_path / "data"
    store = Store(data)
    filled(store, 3_000)
    forgetter = forget(store)
    forgetter.step()
    forgetter.step()
    assert 0 < rows(data)["micrograph"] < 3_000
    store.close()
    store = Store(data)
    Forgetter(store).finish()
    assert rows(data) == {}
    store.close()


def test_its_project_is_passed_over_also_after_a_restart_until_it_is_remembered(watched: Watched) -> None:
    forgetter = forget(watched.store)
    append(watched.project / CTFS, 9)
    assert watched.look() is None
    assert watched.store.reader().sessions() == []
    watched.restart()
    assert watched.look() is None
    assert watched.watch.forgotten
    forgetter.remember(passed_over(watched.store.reader())[0].session)
    watched.look()
    assert len(watched.items()) == 9
    assert not watched.watch.forgotten


def test_a_project_that_was_forgotten_is_read_only_once_it_has_changed(watched: Watched) -> None:
    forget(watched.store)
    watched.restart()
    watched.look()
    asked: list[str] = []
    read = watched.source.read

    def noted(cursor: str) -> Any:
        asked.append(cursor)
        return read(cursor)

    watched.source.read = noted  # type: ignore[method-assign]
    for _ in range(5):
        watched.look()
    assert asked == []
    execute(watched.project / "project.sqlite", "UPDATE Objects SET label = 'other' WHERE id = 2")
    for _ in range(5):
        watched.look()
    assert asked == [""]


def test_it_is_passed_over_where_it_was_moved_to(watched: Watched, tmp_path: Path) -> None:
    forget(watched.store)
    watched.project.rename(tmp_path / "projects" / "renamed")
    watched.project = tmp_path / "projects" / "renamed"
    watched.restart()
    watched.look()
    assert watched.store.reader().sessions() == []
    assert passed_over(watched.store.reader())[0].path == str(watched.project)


def test_a_copy_elsewhere_and_another_project_in_its_folder_are_sessions(watched: Watched, tmp_path: Path) -> None:
    forget(watched.store)
    copy = Path(shutil.copytree(watched.project, tmp_path / "projects" / "copy"))
    project, watched.project = watched.project, copy
    watched.restart()
    watched.look()
    assert [row["key"] for row in watched.store.reader().sessions()] == ["copy"]
    made_anew = "UPDATE Objects SET value = '2026-11-30 10:00:00' WHERE name = 'CreationTime'"
    execute(project / "project.sqlite", made_anew)
    watched.project = project
    watched.restart()
    watched.look()
    assert sorted(row["key"] for row in watched.store.reader().sessions()) == ["alpha", "copy"]


def test_a_session_that_could_never_be_read_can_be_forgotten(tmp_path: Path) -> None:
    project = tmp_path / "projects" / "alpha"
    project.mkdir(parents=True)
    (project / "project.sqlite").write_bytes(b"no database at all" * 100)
    watched = Watched(project, tmp_path / "data")
    watched.look()
    assert row_of(watched.store)["state"] == "malformed"
    forget(watched.store)
    watched.look()
    watched.restart()
    watched.look()
    assert watched.store.reader().sessions() == []
    watched.close()


def test_what_is_read_while_it_is_forgotten_is_not_stored(watched: Watched) -> None:
    append(watched.project / CTFS, 9)
    read = watched.source.read

    def and_forget(cursor: str) -> Any:
        found = read(cursor)
        forget(watched.store)
        return found

    watched.source.read = and_forget  # type: ignore[method-assign]
    watched.look()
    assert watched.store.reader().sessions() == []
    assert watched.watch.forgotten


def test_its_links_end_also_those_of_earlier_versions_and_those_of_others_do_not(watched: Watched) -> None:
    data = watched.store.data_dir
    filled(watched.store, 2, "/projects/beta")
    shares = Shares(data, key_of(data), clock=time.time_ns)
    row, beta = row_of(watched.store), row_of(watched.store, "beta")
    for one in (row, row, beta):
        shares.create(session=one["key"], path=one["path"], origin=one["origin"] or "2026", days=3, by="ada")
    file = data / "shares.json"
    content = json.loads(file.read_text())
    del content["shares"][next(iter(content["shares"]))]["origin"]
    file.write_text(json.dumps(content))
    assert figures_of(watched.store.reader(), data, row, now=time.time_ns()).links == 2
    forget(watched.store)
    assert [share.session for share in shares.listed()] == ["beta"]


def test_the_figures_are_those_of_the_session(store: Store) -> None:
    number = filled(store, 5_000)
    filled(store, 100, "/projects/beta")
    store.ledger().raise_(Key(rule="few", session=number, host="gpu1"), _state("few"), since=1, now=2)
    own = figures_of(store.reader(), store.data_dir, row_of(store), now=time.time_ns()).belongings
    assert (own.runs, own.outputs, own.items, own.alerts) == (1, 1, {"ctf": 5_000}, 1)
    with closing(sqlite3.connect(store.data_dir / FILE_NAME)) as database:
        size = database.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()[0]
    assert 0.6 * size < own.bytes < 1.4 * size


def test_the_command_says_what_goes_and_refuses_where_nobody_says_yes(watched: Watched) -> None:
    data = watched.store.data_dir
    watched.close()
    told = command(data, "forget", "alpha", "--dry-run")
    assert told.returncode == 0, told.stderr
    assert "8 movies, 16 micrographs, 8 CTF estimates" in told.stdout
    assert "passed over" in told.stdout
    refused = command(data, "forget", "alpha")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "nobody is there to say yes" in refused.stderr
    assert rows(data)["session"] == 1


def test_the_command_forgets_and_remembers_while_no_agent_runs(watched: Watched) -> None:
    data = watched.store.data_dir
    watched.close()
    done = command(data, "forget", str(watched.project), "--yes")
    assert done.returncode == 0, done.stderr
    assert "alpha is forgotten" in done.stdout
    assert rows(data) == {}
    again = command(data, "forget", "alpha", "--yes")
    assert again.returncode == 2
    assert "was forgotten on" in again.stderr
    once = command(data, "watch", "--once", str(watched.project.parent))
    assert once.returncode == 0
    assert "1 project was forgotten and is passed over" in once.stderr
    assert f"again: {watched.project}" in command(data, "doctor").stdout, "the doctor names what is passed over"
    assert "no session nobody was forgotten. Known: alpha" in command(data, "forget", "--undo", "nobody").stderr
    assert command(data, "forget", "--undo", "alpha").returncode == 0
    command(data, "watch", "--once", str(watched.project.parent))
    assert rows(data)["session"] == 1


def test_of_two_sessions_of_one_name_the_command_asks_which(store: Store) -> None:
    for folder in ("one", "two"):
        filled(store, 1, f"/{folder}/alpha\u00e9")
    keys = sorted(row["key"] for row in store.reader().sessions())
    told = command(store.data_dir, "forget", "alpha\u00e9", "--yes")
    assert (told.returncode, told.stderr.count("\n")) == (2, 1)
    assert all(key in told.stderr for key in keys)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(tmp_path)
    yield made
    made.kill()


def test_the_command_has_an_agent_at_work_forget_a_session_and_others_go_on(site: Site) -> None:
    alpha, beta = Project(site.projects / "alpha", images=False), Project(site.projects / "beta", images=False)
    alpha.grow(30)
    beta.grow(3)
    site.start()
    until(lambda: len(site.stored_items()) == 33)
    done = command(site.data, "forget", "alpha", "--yes")
    assert done.returncode == 0, done.stderr
    assert site.rows("SELECT key FROM session") == [("beta",)]
    assert len(site.stored_items()) == 3
    alpha.grow()
    beta.grow()
    until(lambda: len(site.stored_items()) == 4)
    assert command(site.data, "forget", "--undo", "alpha").returncode == 0
    until(lambda: len(site.stored_items()) == 35)
    assert site.interrupt() is not None


def test_an_agent_killed_while_it_clears_goes_on_at_its_next_start(site: Site) -> None:
    with closing(Store(site.data)) as store:
        filled(store, 60_000, str(site.projects / "alpha"))
    site.start()
    until(lambda: "watches, without pages" in site.said())
    row = Reader(site.data / FILE_NAME).session("alpha")
    asked = {"what": "forget", "session": row["id"], "influxdb": False, "images": False}
    assert errands.send(site.data, asked) == {"session": row["id"]}
    until(lambda: len(site.stored_items()) < 55_000)
    site.kill()
    assert site.stored_items()
    assert site.rows("SELECT 1 FROM session") == []
    assert site.whole() == "ok"
    site.start()
    until(lambda: is_cleared(Reader(site.data / FILE_NAME), row["id"]))
    assert rows(site.data) == {}
    site.interrupt()


def test_an_agent_that_takes_nothing_up_is_told_and_nothing_is_done(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"did not take this up within 0\.2 s, and nothing was done"):
        errands.send(tmp_path, {"what": "forget"}, taken_seconds=0.2)
    assert list((tmp_path / errands.FOLDER).iterdir()) == []


def test_an_agent_that_refuses_says_why(store: Store) -> None:
    forgetter = Forgetter(store)
    threading.Thread(target=_answer, args=(forgetter,), daemon=True).start()
    with pytest.raises(StoreError, match="the session is not there any more"):
        errands.send(store.data_dir, {"what": "forget", "session": 7, "influxdb": False, "images": False})


def _answer(forgetter: Forgetter) -> None:
    while not forgetter._errands.step():
        time.sleep(0.02)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a file of another user")
def test_what_another_user_or_a_link_asks_for_is_not_done(tmp_path: Path) -> None:
    done: list[Mapping[str, Any]] = []
    folder = tmp_path / errands.FOLDER
    folder.mkdir()
    errand = json.dumps({"what": "forget"})
    (folder / "strange.json").write_text(errand)
    os.chown(folder / "strange.json", 12345, 12345)
    (tmp_path / "elsewhere").write_text(errand)
    (folder / "link.json").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(folder / "pipe.json")
    (folder / "large.json").write_text(errand + " " * 20_000)
    assert errands.Errands(tmp_path, lambda one: done.append(one) or {}).step() == 0  # type: ignore[func-returns-value]
    assert done == []


def test_a_signal_ends_an_agent_that_clears_within_seconds(site: Site) -> None:
    with closing(Store(site.data)) as store:
        filled(store, 40_000, str(site.projects / "alpha"))
    site.start()
    until(lambda: "watches, without pages" in site.said())
    row = Reader(site.data / FILE_NAME).session("alpha")
    errands.send(site.data, {"what": "forget", "session": row["id"], "influxdb": False, "images": False})
    assert site.agent is not None
    site.agent.send_signal(signal.SIGTERM)
    assert site.agent.wait(8) == 0
