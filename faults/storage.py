"""The store's disk and file: full at any commit, read-only, damaged; and upgrades from every earlier version."""

from __future__ import annotations

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryowatch.errors import StoreFailed
from cryowatch.store import Store
from cryowatch.store.schema import MIGRATIONS, migrate
from cryowatch.store.writer import FILE_NAME
from faults.site import Project, Site, until, workplace
from faults.verdicts import Verdicts
from tests.support.records import micrograph, reading, session, span


def mounting() -> str:
    """Return why no file system can be mounted here; empty where one can."""
    if os.geteuid() != 0:
        return "a small file system of its own can only be mounted by root"
    return "" if shutil.which("mount") else "there is no mount"


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a file system in memory of a size like `6m`."""
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "cryowatch", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def full_disk(commits: int, *, quiet: bool = False) -> Verdicts:
    """Fill the disk up to a random rest before each commit."""
    found = Verdicts("The disk is full at a commit", quiet=quiet)
    if reason := mounting():
        found.skipped(reason)
        return found
    chance = random.Random(3)
    with workplace() as folder, small_disk(folder / "disk", "12m") as disk:
        store = Store(disk / "data")
        key = store.register(session()).session
        ballast = disk / "ballast"
        written, full, other = 0, 0, []
        for number in range(commits):
            _fill(ballast, disk, rest=chance.randrange(0, 160_000))
            for _ in range(20):
                first = written + 1
                some = [micrograph(first + n, name=f"{'x' * 200}-{first + n}") for n in range(chance.randrange(1, 40))]
                try:
                    store.commit(key, reading(span(some, after=written), cursor=str(first)), now=number)
                    written += len(some)
                except StoreFailed as error:
                    full += error.what == "the disk is full"
                    other += [str(error)] if error.what != "the disk is full" else []
                    break
            ballast.unlink()
            if written > 12_000:
                break
        stored = store.reader().value("SELECT count(*) FROM micrograph")
        cursor_fits = int(store.cursor(key)) <= written
        check = store.reader().value("PRAGMA integrity_check")
        store.close()
        again = Store(disk / "data")
        after = again.reader().value("SELECT count(*) FROM micrograph")
        again.close()
    found.figure(f"{full:,} commits hit a full disk, each at another point; {written:,} items were stored between them")
    found.promise(
        "each commit reports that the disk is full, and nothing else", kept=full > 0 and not other, otherwise=other[:1]
    )
    found.promise("everything that was committed is there, and nothing else", otherwise=(stored, after, written),
                  kept=stored == after == written and cursor_fits)  # fmt: skip
    found.promise("the integrity check finds no errors", kept=check == "ok", otherwise=check)
    return found


def _fill(ballast: Path, disk: Path, *, rest: int) -> None:
    room = os.statvfs(disk)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, room.f_bavail * room.f_frsize - rest))


def full_under_agent(*, quiet: bool = False) -> Verdicts:
    """Fill the disk under a working agent, and free it again; then start one on a read-only disk."""
    found = Verdicts(
        "The disk of a running agent is full, then free again; an agent starts on a read-only disk", quiet=quiet
    )
    if reason := mounting():
        found.skipped(reason)
        return found
    with workplace() as folder, small_disk(folder / "data", "8m") as disk:
        site = Site(folder, more="[alerts]\nenabled = false")
        project = Project(site.projects / "alpha", images=False)
        project.grow(5)
        site.start("--listen", "127.0.0.1:0")
        first = until(lambda: len(site.stored()) == 5)
        ballast = disk / "ballast"
        _fill(ballast, disk, rest=0)
        for _ in range(10):
            project.grow(200)
            if until(lambda: "the disk is full" in site.said(), seconds=2):
                break
        said = until(lambda: "the disk is full" in site.said(), seconds=10)
        answers = site.get("/api/sessions")["sessions"][0]["counts"]["ctf"] >= 5
        ballast.unlink()
        back = until(lambda: site.stored() == project.written)
        took = site.interrupt()
        traces = site.said().count("Traceback")
        check = site.whole()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        site.log.write_text("")
        status = site.start("--once").wait(30)
        refusal = site.said().strip().splitlines()
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
        project.grow(3)
        again = site.finish() == 0 and site.stored() == project.written
    found.promise("a full disk is one line in the log, and the pages keep working",
                  kept=bool(first and said and answers), otherwise=(first, said, answers))  # fmt: skip
    found.promise(
        "once there is space, everything is stored without a restart", kept=bool(back), otherwise="not in 30 s"
    )
    found.promise("starting on a read-only disk is refused in one line, and works once it is writable", kept=status == 2
                  and len(refusal) == 1 and again, otherwise=(status, refusal[-3:], again))  # fmt: skip
    found.promise("no traceback, no integrity errors, a clean shutdown", otherwise=(traces, check, took),
                  kept=traces == 0 and check == "ok" and took is not None and took < 10)  # fmt: skip
    return found


def damaged(places: int, *, quiet: bool = False) -> Verdicts:
    """Overwrite parts of the store's file, under a working agent and between two."""
    found = Verdicts("The store's file is damaged", quiet=quiet)
    chance = random.Random(5)
    with workplace() as folder:
        ends = [_one_damaged(folder / str(number), chance, number % 4) for number in range(places)]
    aside, clean = sum(end.aside for end in ends), sum(not end.aside and end.said for end in ends)
    lost, gone, silent = (sum(not getattr(end, what) for end in ends) for what in ("whole", "kept", "said"))
    found.figure(f"{places} stores overwritten at random places: {aside} were moved aside, {clean} were unaffected")
    found.promise(
        "the agent continues, and its store contains everything that the project contains",
        kept=lost == 0,
        otherwise=f"{lost} do not",
    )
    found.promise("the damaged file is kept", kept=gone == 0, otherwise=f"{gone} are gone")
    found.promise("a text file and a line in the log say so", kept=silent == 0, otherwise=f"{silent} do not")
    return found


@dataclass(frozen=True, slots=True)
class _Damaged:
    """What became of a damaged store: whether it was moved aside, is kept, was told of, and all was read anew."""

    aside: bool
    kept: bool
    said: bool
    whole: bool


def _one_damaged(place: Path, chance: random.Random, way: int) -> _Damaged:
    """Damage a store: its head (`way` 0), its middle (1), there under the working agent (2), or one byte of it (3)."""
    place.mkdir()
    site = Site(place, more="[alerts]\nenabled = false")
    project = Project(site.projects / "alpha", images=False)
    project.grow(300)
    site.finish()
    if way == 3:
        _change_a_byte(site.data / FILE_NAME, chance)
    elif way < 2:
        _overwrite(site.data / FILE_NAME, chance, head=way == 0)
    site.start()
    if way == 2:
        until(lambda: "watching" in site.said(), seconds=10)
        _overwrite(site.data / FILE_NAME, chance, head=False)
    project.grow(5)
    whole = until(lambda: site.stored_or_nothing() == project.written, seconds=20)
    site.interrupt()
    if way == 2 and not list(site.data.glob(f"{FILE_NAME}.damaged-*")):
        whole = site.finish() == 0 and site.stored_or_nothing() == project.written
    aside = list(site.data.glob(f"{FILE_NAME}.damaged-*"))
    said = any(p.suffix == ".txt" for p in aside) and "read anew" in site.said() if aside else site.whole() == "ok"
    kept = not aside or any(p.stat().st_size > 100_000 for p in aside)
    return _Damaged(aside=bool(aside), kept=kept, said=said, whole=bool(whole))


def _overwrite(file: Path, chance: random.Random, *, head: bool) -> None:
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    size = file.stat().st_size
    with file.open("r+b") as out:
        if head:
            out.write(os.urandom(4096))
            return
        for _ in range(20):
            out.seek(chance.randrange(16384, size - 4096) if size > 32768 else 100)
            out.write(os.urandom(2048))


def _change_a_byte(file: Path, chance: random.Random) -> None:
    """Change one byte as a disk does that gives back something else than was written: no time of a change tells."""
    before = file.stat()
    place = chance.randrange(100, before.st_size)
    with file.open("r+b") as out:
        out.seek(place)
        (byte,) = out.read(1)
        out.seek(place)
        out.write(bytes([byte ^ chance.randrange(1, 256)]))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))


def upgrades(*, quiet: bool = False) -> Verdicts:
    """Open stores that earlier versions wrote."""
    found = Verdicts("Upgrades from every earlier version of the store", quiet=quiet)
    with workplace() as folder:
        for version in range(1, len(MIGRATIONS)):
            data = folder / str(version)
            earlier(data, version, items=500)
            before = _contents(data)
            store = Store(data)
            now = store.reader().value("PRAGMA user_version")
            check = store.reader().value("PRAGMA integrity_check")
            store.close()
            kept = _contents(data) == before and now == len(MIGRATIONS) and check == "ok"
            found.promise(f"version {version}: everything is kept", kept=kept, otherwise=(now, check))
    return found


def interrupted_upgrades(times: int, *, items: int = 60_000, quiet: bool = False) -> Verdicts:
    """Kill upgrades in the middle."""
    found = Verdicts("An upgrade is killed", quiet=quiet)
    chance = random.Random(9)
    script = (
        "import sys; from pathlib import Path; from cryowatch.store import Store\n"
        "print(1, flush=True); Store(Path(sys.argv[1]))"
    )
    with workplace() as folder:
        earlier(folder / "whole", 1, items=items)
        expected = _contents(folder / "whole")
        shutil.copytree(folder / "whole", folder / "timed")
        began = time.monotonic()
        Store(folder / "timed").close()
        longest = 1.2 * (time.monotonic() - began)
        versions: list[int] = []
        wrong = []
        for number in range(times):
            data = folder / str(number)
            shutil.copytree(folder / "whole", data)
            process = subprocess.Popen([sys.executable, "-c", script, data], stdout=subprocess.PIPE)
            assert process.stdout is not None
            process.stdout.readline()
            time.sleep(chance.uniform(0, longest))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            versions.append(_version(data))
            Store(data).close()
            if _contents(data) != expected or _version(data) != len(MIGRATIONS):
                wrong.append(number)
            shutil.rmtree(data)
    stages = ", ".join(f"{versions.count(v)} at version {v}" for v in sorted(set(versions)))
    found.figure(f"{times} upgrades of a store of {items:,} items were killed; then there were {stages}")
    found.promise("the next start completes every upgrade, and nothing is lost", kept=not wrong, otherwise=wrong)
    return found


def earlier(data: Path, version: int, *, items: int) -> None:
    """Write a store as an earlier version did, with a session and as many items."""
    data.mkdir(parents=True)
    with closing(sqlite3.connect(data / FILE_NAME, isolation_level=None)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        migrate(database, where=data, migrations=MIGRATIONS[:version])
        database.execute("BEGIN")
        database.execute(
            "INSERT INTO session (key, path, name, source, host, seq, cursor)"
            " VALUES ('a', '/a', 'a', 'scipion', 'h', 1, 'c')"
        )
        for number in (2, 67, 135):
            database.execute("INSERT INTO run (session_id, run, label, class_name, status, error, working_dir, seq)"
                             " VALUES (1, ?, 'run', 'P', 'running', '', '', ?)", (str(number), number))  # fmt: skip
            database.execute("INSERT INTO output (session_id, run, name, class_name, kind, size, path, seq)"
                             " VALUES (1, ?, 'out', 'S', 'ctf', 1, '', ?)", (str(number), number + 1))  # fmt: skip
        database.executemany(
            "INSERT INTO micrograph (output_id, item, name, time, enabled, defocus_u, defocus_v, micrograph_path,"
            " power_spectrum_path, shift_plot_path, seq) VALUES (3, ?, 'm' || ?, ?, 1, ?, 9000, 'a', 'b', 'c', ?)",
            ((n, n, n * 10**9, 9000 + n / 7, 200 + n) for n in range(1, items + 1)),
        )
        database.executemany("INSERT INTO host_sample (host, time, cpu, seq) VALUES ('h', ?, 1, ?)",
                             ((n, 100_000_000 + n) for n in range(items // 4)))  # fmt: skip
        database.execute("UPDATE counter SET seq = 200000000")
        database.execute("INSERT INTO position (follower, seq) VALUES ('influx', 250)")
        database.execute(
            "INSERT INTO alert (rule, session_id, severity, since, text, seq) VALUES ('r', 1, 'warning', 1, 't', 9)"
        )
        database.execute("COMMIT")


def _contents(data: Path) -> list[object]:
    """Return what every version of a store can hold."""
    queries = (
        "SELECT key, path, cursor, seq FROM session",
        "SELECT run, label, status, seq FROM run",
        "SELECT run, name, kind, seq FROM output",
        "SELECT output_id, item, name, time, defocus_u, defocus, astigmatism, seq FROM micrograph ORDER BY id",
        "SELECT host, time, cpu, seq FROM host_sample ORDER BY id",
        "SELECT follower, seq FROM position",
        "SELECT rule, text, since, seq FROM alert",
        "SELECT seq FROM counter",
    )
    with closing(sqlite3.connect(data / FILE_NAME)) as database:
        return [database.execute(query).fetchall() for query in queries]


def _version(data: Path) -> int:
    with closing(sqlite3.connect(data / FILE_NAME)) as database:
        return int(database.execute("PRAGMA user_version").fetchone()[0])
