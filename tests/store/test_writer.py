"""The store keeps what sources read: exactly once, together with the cursor, in one order of changes."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryowatch.errors import StoreDamaged, StoreInUse, StoreOnNetwork, StoreTooNew
from cryowatch.reading import Reading, Trouble
from cryowatch.records import DeviceSample, HostSample, OutputKind
from cryowatch.store import Store
from cryowatch.store import lock as lock_module
from cryowatch.store.changes import Changes
from cryowatch.store.lock import file_system
from cryowatch.store.schema import MIGRATIONS, migrate
from cryowatch.store.writer import FILE_NAME
from tests.support.records import START, micrograph, output, reading, run, session, span


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path)
    yield opened
    opened.close()


def damaged_stores(data_dir: Path) -> list[Path]:
    """Return the damaged stores that lie aside in a data directory, oldest first."""
    return sorted(p for p in data_dir.glob("*.damaged-*") if not p.name.endswith((".txt", "-wal", "-shm")))


def items(store: Store) -> list[tuple[int, str, float | None]]:
    return store.reader().table("SELECT item, name, defocus_u FROM micrograph ORDER BY item")[1]


def test_reading_and_cursor_are_there_after_a_restart(tmp_path: Path) -> None:
    first = Store(tmp_path)
    known = first.register(session())
    first.commit(known.session, reading(span([micrograph(1), micrograph(2)]), cursor="two"), now=START)
    first.close()
    second = Store(tmp_path)
    again = second.register(session())
    assert (again.session, again.key) == (known.session, "alpha")
    assert second.cursor(again.session) == "two"
    assert [row[0] for row in items(second)] == [1, 2]
    second.close()


def test_storing_the_same_reading_twice_changes_nothing(store: Store) -> None:
    known = store.register(session())
    values = reading(span([micrograph(1), micrograph(2)]), session=session(voltage=300.0))
    assert store.commit(known.session, values, now=START) is not None
    before = store.reader().table("SELECT id, seq, item FROM micrograph")
    head = store.reader().head()
    assert store.commit(known.session, values, now=START + 1) is None
    assert store.reader().table("SELECT id, seq, item FROM micrograph") == before
    assert store.reader().head() == head


def test_a_span_makes_the_range_equal_to_the_source(store: Store) -> None:
    known = store.register(session())
    store.commit(known.session, reading(span([micrograph(i) for i in (1, 2, 5)])), now=START)
    late = [micrograph(1), micrograph(3), micrograph(5, enabled=False)]
    change = store.commit(known.session, reading(span(late)), now=START)
    assert change is not None
    assert (change.added, change.changed, change.dropped) == (1, 1, 1)
    assert change.generation == 1
    assert store.reader().table("SELECT item, enabled FROM micrograph ORDER BY item")[1] == [(1, 1), (3, 1), (5, 0)]


def test_a_span_leaves_what_is_outside_it_alone(store: Store) -> None:
    known = store.register(session())
    store.commit(known.session, reading(span([micrograph(i) for i in range(1, 7)])), now=START)
    store.commit(known.session, reading(span([], after=2, upto=4)), now=START)
    assert [row[0] for row in items(store)] == [1, 2, 5, 6]


def test_an_item_with_another_name_is_another_micrograph(store: Store) -> None:
    known = store.register(session())
    store.commit(known.session, reading(span([micrograph(1)])), now=START)
    (before,) = store.reader().table("SELECT id FROM micrograph")[1]
    store.commit(known.session, reading(span([micrograph(1, name="other.mrcs")])), now=START)
    (after,) = store.reader().table("SELECT id FROM micrograph")[1]
    assert after != before, "its images' addresses must change with it"


def test_runs_and_outputs_that_are_gone_take_their_items_along(store: Store) -> None:
    known = store.register(session())
    runs = (run(), run("67", class_name="ProtMotionCorr"))
    outputs = (output(), output("67", "outputMicrographs", kind=OutputKind.MICROGRAPHS))
    movies = span([micrograph(1, run="67", output="outputMicrographs")], run="67", output="outputMicrographs")
    store.commit(known.session, reading(span([micrograph(1)]), movies, runs=runs, outputs=outputs), now=START)
    store.commit(known.session, Reading(cursor="2", runs=(run(),), outputs=(output(),)), now=START)
    reader = store.reader()
    assert [row["run"] for row in reader.runs(known.session)] == ["135"]
    assert reader.table("SELECT count(*) FROM micrograph")[1] == [(1,)]


def test_derived_values_are_those_of_the_model(store: Store) -> None:
    known = store.register(session())
    record = micrograph(1, defocus_u=23435.1540714769, defocus_v=23408.1521223958)
    store.commit(known.session, reading(span([record, micrograph(2, defocus_v=None)])), now=START)
    found = store.reader().table("SELECT defocus, astigmatism, ratio FROM micrograph ORDER BY item")[1]
    assert found == [(record.defocus, record.astigmatism, record.ratio), (None, None, None)]


def test_followers_find_what_changed_since_their_position(store: Store) -> None:
    known = store.register(session())
    first = store.commit(known.session, reading(span([micrograph(i) for i in range(1, 4)])), now=START)
    assert first is not None
    store.advance("influx", first.seq)
    store.commit(known.session, reading(span([micrograph(2, enabled=False)], after=1, upto=2)), now=START)
    reader = store.reader()
    (row,) = reader.outputs(known.session)
    changed = reader.micrographs_after((row["id"],), reader.position("influx"), limit=10)
    assert [m["item"] for m in changed] == [2]


def test_sizes_of_outputs_leave_one_row_a_change(store: Store) -> None:
    known = store.register(session())
    for now, size in ((1, 5), (2, 5), (3, 9)):
        values = Reading(cursor=str(now), runs=(run(),), outputs=(output(size=size, path=str(now)),))
        store.commit(known.session, values, now=now)
    assert store.reader().table("SELECT time, size FROM output_size")[1] == [(1, 5), (3, 9)]


def test_state_of_a_source_keeps_the_last_good_read(store: Store) -> None:
    known = store.register(session())
    assert store.note(known.session, state="ok", text="", last_read=START) is None
    trouble = Trouble(where="ctfs.sqlite", state="malformed", text="not a database")
    change = store.note(known.session, state="gone", text="unmounted", troubles=[trouble], last_read=None)
    assert change is not None
    row = store.reader().session("alpha")
    assert (row["state"], row["state_text"], row["last_read"]) == ("gone", "unmounted", START)
    assert store.note(known.session, state="gone", text="unmounted", troubles=[trouble], last_read=None) is None


def test_two_projects_of_one_name_have_their_own_addresses(store: Store) -> None:
    first = store.register(session("/a/grid 1 <b>"))
    second = store.register(session("/b/grid 1 <b>"))
    third = store.register(session("/c/alpha"))
    fourth = store.register(session("/d/alpha"))
    keys = [first.key, second.key, third.key, fourth.key]
    assert len(set(keys)) == 4
    assert third.key == "alpha"
    assert all(key.isascii() and "/" not in key and " " not in key for key in keys)


def test_host_samples_are_kept_for_a_while(store: Store) -> None:
    disk = DeviceSample(kind="filesystem", device="/", used=40.0, free=1e12)
    for time in (1, 2, 2, 3):
        store.add_host_sample(HostSample(host="gpu1", time=time, cpu=12.5, devices=(disk,)))
    assert store.forget_host_samples(before=3) == 2
    reader = store.reader()
    assert reader.table("SELECT time FROM host_sample")[1] == [(3,)]
    assert reader.table("SELECT count(*) FROM device_sample")[1] == [(1,)]


def test_samples_beyond_their_megabytes_are_forgotten_oldest_first_and_counted(store: Store) -> None:
    disks = tuple(DeviceSample(kind="filesystem", device=f"/disk{n}", used=40.0, free=1e12) for n in range(5))
    for time in range(1, 5001):
        store.add_host_sample(HostSample(host="gpu1", time=time, cpu=12.5, devices=disks))
    reader = store.reader()
    for follower, time in (("behind", 100), ("level", 5000), ("other", 0)):
        store.advance(follower, reader.value("SELECT seq FROM host_sample WHERE time = ?", (time,)) or 0)
    forgotten = store.forget_host_samples(before=0, most_bytes=1_000_000, now=7, followers=["behind", "level"])
    kept = [time for (time,) in reader.table("SELECT time FROM host_sample ORDER BY time")[1]]
    assert kept == list(range(forgotten + 1, 5001))
    assert 800 < len(kept) < 2_000
    assert reader.dropped("behind") == (forgotten - 100, 7)
    assert reader.dropped("level") == reader.dropped("other") == reader.dropped("nobody") == (0, None)
    assert store.forget_host_samples(before=0, most_bytes=1_000_000, now=8, followers=["behind"]) == 0
    assert reader.dropped("behind") == (forgotten - 100, 7)


def test_a_second_agent_on_the_data_directory_is_refused(store: Store) -> None:
    with pytest.raises(StoreInUse, match=f"process {os.getpid()}"):
        Store(store.data_dir)


def test_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = f"/dev/sda1 / ext4 rw 0 0\nserver:/x {tmp_path}/with\\040space nfs4 rw 0 0\n"
    monkeypatch.setattr(lock_module, "_mounts", lambda: mounts)
    with pytest.raises(StoreOnNetwork, match="nfs4"):
        Store(tmp_path / "with space" / "data")
    assert file_system(tmp_path / "with space-not", mounts) == "ext4"


def test_a_newer_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    Store(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE_NAME) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(StoreTooNew, match="newer"):
        Store(tmp_path)


def test_a_damaged_file_is_moved_aside_with_a_text(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    damaged = b"this is no database" * 100
    (tmp_path / FILE_NAME).write_bytes(damaged)
    store = Store(tmp_path)
    assert store.reader().sessions() == []
    store.close()
    [place] = damaged_stores(tmp_path)
    assert place.read_bytes() == damaged
    assert "is not a database" in place.with_name(f"{place.name}.txt").read_text()
    [record] = caplog.records
    assert f"It lies at {place} now; everything is read anew" in record.getMessage()
    Store(tmp_path).close()
    assert damaged_stores(tmp_path) == [place]


def test_damage_that_shows_while_at_work_is_told_once_and_ends_with_the_next_start(tmp_path: Path) -> None:
    store = Store(tmp_path)
    many = [micrograph(item, name="x" * 500 + str(item)) for item in range(1, 2_000)]
    store.commit(store.register(session()).session, reading(span(many)), now=1)
    told: list[int] = []
    store.when_damaged(lambda: told.append(1))
    with closing(sqlite3.connect(store.path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with store.path.open("r+b") as file:
        file.seek(16_384)
        file.write(b"\xff" * (store.path.stat().st_size - 16_384))
    for _ in range(2):
        with pytest.raises(StoreDamaged, match="reads everything anew"):
            store.reader().rows("SELECT * FROM micrograph WHERE name LIKE '%7'")
    assert (told, store.damaged) == ([1], True)
    store.close()
    again = Store(tmp_path)
    assert again.reader().sessions() == []
    again.close()
    assert len(damaged_stores(tmp_path)) == 1


def test_after_a_crash_a_page_that_was_lost_is_found_before_anybody_reads_it(tmp_path: Path) -> None:
    store = Store(tmp_path / "a")
    many = [micrograph(item, name="x" * 500 + str(item)) for item in range(1, 2_000)]
    store.commit(store.register(session()).session, reading(span(many)), now=1)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    store.close()
    with closing(sqlite3.connect(tmp_path / "b" / FILE_NAME)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        other.execute("UPDATE counter SET seq = seq + 1")
        other.commit()
        shutil.copytree(tmp_path / "b", tmp_path / "c")
    with (tmp_path / "c" / FILE_NAME).open("r+b") as file:
        file.seek(-50 * 16_384, 2)
        file.write(b"\xff" * 16_384)
    Store(tmp_path / "c").close()
    assert len(damaged_stores(tmp_path / "c")) == 1


@pytest.mark.parametrize("share", [0.3, 0.5, 0.7, 0.9])
def test_a_single_byte_that_a_disk_gives_back_wrong_is_found_at_the_next_start(tmp_path: Path, share: float) -> None:
    store = Store(tmp_path)
    store.commit(store.register(session()).session, reading(span([micrograph(n) for n in range(1, 900)])), now=1)
    store.close()
    before = store.path.stat()
    changed = bytearray(store.path.read_bytes())
    changed[int(len(changed) * share)] ^= 4
    store.path.write_bytes(changed)
    os.utime(store.path, ns=(before.st_atime_ns, before.st_mtime_ns))
    Store(tmp_path).close()
    [place] = damaged_stores(tmp_path)
    assert place.read_bytes() == changed
    assert "does not hold what it held when it was closed" in place.with_name(f"{place.name}.txt").read_text()


def test_damage_that_nobody_saw_while_at_work_is_found_when_the_store_is_closed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    many = [micrograph(item, name="x" * 500 + str(item)) for item in range(1, 2_000)]
    store.commit(store.register(session()).session, reading(span(many)), now=1)
    with closing(sqlite3.connect(store.path)) as other:
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with store.path.open("r+b") as file:
        file.seek(-50 * 16_384, 2)
        file.write(b"\xff" * 16_384)
    store.close()
    Store(tmp_path).close()
    assert len(damaged_stores(tmp_path)) == 1


def test_a_copy_that_was_put_back_needs_no_seal(tmp_path: Path) -> None:
    store = Store(tmp_path)
    known = store.register(session())
    store.close()
    copy = store.path.read_bytes()
    store = Store(tmp_path)
    store.commit(known.session, reading(span([micrograph(1)])), now=1)
    store.close()
    store.path.write_bytes(copy)
    store = Store(tmp_path)
    assert [row["id"] for row in store.reader().sessions()] == [known.session]
    store.close()
    assert damaged_stores(tmp_path) == []


def test_an_interrupted_upgrade_is_none(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "x.sqlite", isolation_level=None)
    migrate(connection, where="x")
    broken = (*MIGRATIONS, "CREATE TABLE fresh (a); CREATE TABLE session (a);")
    with pytest.raises(sqlite3.OperationalError):
        migrate(connection, where="x", migrations=broken)
    connection.close()
    connection = sqlite3.connect(tmp_path / "x.sqlite", isolation_level=None)
    assert connection.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),)
    migrate(connection, where="x", migrations=(*MIGRATIONS, "CREATE TABLE fresh (a);"))
    assert connection.execute("SELECT count(*) FROM fresh").fetchone() == (0,)
    connection.close()


def test_an_agent_killed_while_it_writes_loses_and_doubles_nothing(tmp_path: Path) -> None:
    script = textwrap.dedent("""
        import sys
        from pathlib import Path
        from cryowatch.store import Store
        from tests.support.records import START, micrograph, reading, session, span
        store = Store(Path(sys.argv[1]))
        known = store.register(session())
        last = int(store.cursor(known.session) or 0)
        while True:
            new = [micrograph(i) for i in range(last + 1, last + 51)]
            store.commit(known.session, reading(span(new, after=last), cursor=str(last + 50)), now=START)
            last += 50
            print(last, flush=True)
    """)
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": f"{root}{os.pathsep}{root / 'src'}"}
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True, env=environment
        ) as child:
            assert child.stdout is not None
            for _ in range(5):
                promised = int(child.stdout.readline())
            child.send_signal(signal.SIGKILL)
    store = Store(tmp_path)
    known = store.register(session())
    cursor = int(store.cursor(known.session))
    assert cursor >= promised
    assert [row[0] for row in items(store)] == list(range(1, cursor + 1))
    assert store.reader().table("PRAGMA integrity_check")[1] == [("ok",)]
    store.close()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(0, 12),
            st.one_of(st.none(), st.integers(0, 12)),
            st.sets(st.integers(1, 12)),
            st.integers(0, 2),
        ),
        max_size=8,
    )
)
def test_any_sequence_of_spans_ends_equal_to_the_source(
    tmp_path_factory: pytest.TempPathFactory, spans: list[tuple[int, int | None, set[int], int]]
) -> None:
    store = Store(tmp_path_factory.mktemp("store"))
    known = store.register(session())
    truth: dict[int, float] = {}
    for after, upto, numbers, value in spans:
        inside = sorted(n for n in numbers if n > after and (upto is None or n <= upto))
        truth = {n: v for n, v in truth.items() if n <= after or (upto is not None and n > upto)}
        truth.update(dict.fromkeys(inside, float(value)))
        found = [micrograph(n, defocus_u=float(value)) for n in inside]
        store.commit(known.session, reading(span(found, after=after, upto=upto)), now=START)
    assert [(row[0], row[2]) for row in items(store)] == sorted(truth.items())
    store.close()


def test_a_store_of_the_first_version_is_upgraded_with_its_history(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as old:
        migrate(old, where=tmp_path, migrations=MIGRATIONS[:1])
        old.execute(
            "INSERT INTO session (id, key, path, name, source, host, created, status, voltage, seq)"
            " VALUES (1, 'alpha', '/projects/alpha', 'alpha', 'scipion', 'gpu1', 5, 'running', 300.0, 3)"
        )
        old.execute("INSERT INTO run VALUES (1, 1, '135', 'ctffind', 'C', 'finished', 7, 9, '', '', 2)")
        old.execute("INSERT INTO position VALUES ('someone', 2)")
        old.execute("UPDATE counter SET seq = 3")
    store = Store(tmp_path)
    changes = Changes(store.reader())
    kept = changes.session(1)
    assert kept is not None
    assert (kept.row["status"], kept.row["voltage"], kept.row["created"]) == ("running", 300.0, 5)
    assert [(r.run, r.status, r.started, r.ended) for r in kept.runs] == [("135", "finished", 7, 9)]
    assert store.reader().position("someone") == 2
    known = store.register(session("/projects/alpha"))
    store.commit(known.session, reading(span([micrograph(1)])), now=START)
    [(_, output, id_, item, _, name)] = changes.items(0, changes.head(), limit=10, columns=["name"])
    assert item == 1
    [row] = changes.to_publish([id_])
    assert row["name"] == name
    place = changes.places([output])[output]._asdict()
    assert {name: place[name] for name in place.keys() & row.keys()}.items() <= row.items()
    store.close()
