"""The store: one SQLite file in WAL mode, one writer, and every change in one order.

Invariants:

- What a source read and the cursor to go on from are committed together, so nothing is read twice into two rows or
  skipped, whenever the process dies.
- Each changed row gets the next `seq`; a follower that has seen everything up to a position asks for what is after it.
- Rows are only rewritten where something differs: storing the same reading again changes nothing, not even a `seq`.
- When rows are taken away, the session's `generation` grows, which tells followers to compare anew.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, count, repeat
from operator import attrgetter
from pathlib import Path
from typing import Any

from cryowatch.errors import StoreDamaged
from cryowatch.model import DeviceSample, GainResidual, HostSample, Output, OutputKind, Run, Session, quantities
from cryowatch.reading import Reading, Span, Trouble, columns_of
from cryowatch.store import damage, samples, seal
from cryowatch.store.failures import failure
from cryowatch.store.keys import marked, plain
from cryowatch.store.ledger import Ledger
from cryowatch.store.lock import Lock, prepare
from cryowatch.store.reader import Reader
from cryowatch.store.schema import migrate
from cryowatch.store.shifts import write_shifts

log = logging.getLogger(__name__)

FILE_NAME = "cryowatch.sqlite"

SESSION_COLUMNS = tuple(f for f in quantities(Session) if f != "path")
RUN_COLUMNS = tuple(quantities(Run))
OUTPUT_COLUMNS = tuple(quantities(Output))
ITEM_COLUMNS = (
    "name", "time", "enabled", "defocus_u", "defocus_v", "defocus_angle", "phase_shift", "resolution", "fit_quality",
    "motion_total", "motion_early", "motion_late", "pixel_size", "micrograph_path", "power_spectrum_path",
    "shift_plot_path",
)  # fmt: skip
HOST_COLUMNS = tuple(f for f in quantities(HostSample) if f != "devices")
DEVICE_COLUMNS = tuple(quantities(DeviceSample))
GAIN_COLUMNS = tuple(quantities(GainResidual))
STATE_COLUMNS = (
    "status", "software", "voltage", "spherical_aberration", "amplitude_contrast", "magnification", "pixel_size",
    "dose_per_frame",
)  # fmt: skip

_LABEL, _STATUS = RUN_COLUMNS.index("label"), RUN_COLUMNS.index("status")
_session_values = attrgetter(*SESSION_COLUMNS)
_run_values = attrgetter(*RUN_COLUMNS)
_output_values = attrgetter(*OUTPUT_COLUMNS)
_host_values = attrgetter(*HOST_COLUMNS)
_device_values = attrgetter(*DEVICE_COLUMNS)
_gain_values = attrgetter(*GAIN_COLUMNS)
_state_values = attrgetter(*STATE_COLUMNS)


def _insert(table: str, columns: Sequence[str], *, rows: int = 1) -> str:
    row = f"({', '.join('?' * len(columns))})"
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * rows)}"


def _update(table: str, columns: Sequence[str], key: str = "id") -> str:
    return f"UPDATE {table} SET {', '.join(f'{c} = ?' for c in columns)} WHERE {key} = ?"


_NEW_ITEM = ("output_id", "item", *ITEM_COLUMNS, "seq")
_INSERT_ITEM = _insert("micrograph", _NEW_ITEM)
_BLOCK = 999 // len(_NEW_ITEM)
"""How many items one statement takes: 999 parameters are what every SQLite allows.  Row by row costs a third more."""

_INSERT_BLOCK = _insert("micrograph", _NEW_ITEM, rows=_BLOCK)
_UPDATE_ITEM = _update("micrograph", (*ITEM_COLUMNS, "seq"))
_ITEMS_IN_SPAN = (
    f"SELECT item, id, {', '.join(ITEM_COLUMNS)} FROM micrograph WHERE output_id = ? AND item > ? AND item <= ?"
)
_LAST_ITEM = 2**63 - 1

_WRITE_GAIN = f"""
{_insert("gain", ("session_id", *GAIN_COLUMNS, "seq"))} ON CONFLICT (session_id, run, item) DO UPDATE
SET movie = excluded.movie, time = excluded.time, stddev = excluded.stddev, ratio1 = excluded.ratio1,
    ratio2 = excluded.ratio2, seq = excluded.seq
WHERE (movie, stddev, ratio1, ratio2) IS NOT (excluded.movie, excluded.stddev, excluded.ratio1, excluded.ratio2)"""

_DROP_GAINS = """
DELETE FROM gain WHERE session_id = ? AND run = ? AND item NOT IN (SELECT value FROM json_each(?))"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a commit did to one session: its last `seq` and generation, and how many items it touched."""

    session: int
    key: str
    seq: int
    generation: int
    added: int = 0
    changed: int = 0
    dropped: int = 0


_INSERT_PUBLISHED = """
INSERT OR REPLACE INTO published (micrograph_id, target, time, micrograph, power_spectrum, shift_plot, problem, seq)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""

_ARRIVED = """
UPDATE position SET dropped = max(0, dropped - max(0, :samples - (
    SELECT count(*) FROM host_sample WHERE host_sample.seq > position.seq AND host_sample.seq <= :seq)))
WHERE follower = :follower"""

_UNPUBLISH = """
DELETE FROM published WHERE target = ? AND micrograph_id IN (
    SELECT m.id FROM micrograph AS m JOIN output ON output.id = m.output_id WHERE output.session_id = ?)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """Names under which images of a micrograph lie at a target, empty where there is none, and the reasons for that."""

    micrograph_id: int
    micrograph: str = ""
    power_spectrum: str = ""
    shift_plot: str = ""
    problem: str = ""

    @property
    def shows(self) -> bool:
        """Whether any image is there."""
        return bool(self.micrograph or self.power_spectrum or self.shift_plot)


class Store:
    """The one writer of a data directory.  Its methods may be called from any thread, one at a time enters.

    Raises `StoreInUse`, `StoreOnNetwork`, `StoreTooNew` or `StoreFailed` when opened, `StoreFailed` afterwards; a
    failed commit leaves what was there before.  A damaged file is moved aside when it is opened; damage that shows
    afterwards is told to `when_damaged`, and then only opening the store anew helps.
    """

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = prepare(data_dir)
        self.path = self.data_dir / FILE_NAME
        self._lock = Lock(self.data_dir)
        self._entry = threading.Lock()
        self.damaged = False
        self._tell_damage: Callable[[], object] = lambda: None
        try:
            self._connection = self._open()
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> sqlite3.Connection:
        """Open the file, or a new one where it is damaged; one without a seal is looked through."""
        why = "is damaged"
        if not damage.is_marked(self.path):
            unsealed = damage.was_left_open(self.path) or damage.is_small(self.path)
            sealed = seal.opened(self.path)
            if sealed is False:
                why = "is damaged: it does not hold what it held when it was closed"
            else:
                try:
                    connection = self._connected()
                    if sealed or not unsealed or (why := damage.found(connection, self.path)) == "":
                        return connection
                    connection.close()
                except StoreDamaged as error:
                    why = error.what
        place = damage.set_aside(self.path, why)
        log.error("%s: %s. It lies at %s now; everything is read anew", self.path, why, place)
        return self._connected()

    def _connected(self) -> sqlite3.Connection:
        with _mapped(self.path):
            connection = sqlite3.connect(self.path, check_same_thread=False, isolation_level=None, timeout=10)
            connection.execute("PRAGMA page_size = 16384")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA wal_autocheckpoint = 1000")
            connection.execute("PRAGMA synchronous = NORMAL")
            connection.execute("PRAGMA foreign_keys = ON")
            connection.execute("PRAGMA cache_size = -2000")
            connection.execute("PRAGMA journal_size_limit = 67108864")
            migrate(connection, where=self.path)
            return connection

    def close(self) -> None:
        """Close the file and let another agent in; the database holds everything then, without the file beside it."""
        with self._entry:
            with suppress(sqlite3.Error):  # on a full or dead disk the next who opens it does this
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.close()
            if not (self.damaged or damage.was_left_open(self.path)) and damage.is_small(self.path):
                if why := damage.beneath(self.path):
                    damage.mark(self.path, why)
                else:
                    seal.seal(self.path)
            self._lock.release()

    def reader(self) -> Reader:
        """Return a reader of this store's file."""
        return Reader(self.path, damaged=self._found_damaged)

    def when_damaged(self, tell: Callable[[], object]) -> None:
        """Call `tell`, which must not wait, from whatever thread finds that the file is damaged."""
        self._tell_damage = tell

    def _found_damaged(self, why: str) -> None:
        if not self.damaged:
            self.damaged = True
            damage.mark(self.path, why)
            self._tell_damage()

    def register(self, session: Session) -> Change:
        """Return the session at this path, made now if it is new."""
        with self._transaction() as tx:
            row = tx.execute("SELECT id, key, seq, generation FROM session WHERE path = ?", (session.path,)).fetchone()
            if row is None:
                key = _free_key(tx, session)
                seq = _next_seq(tx, 1)
                tx.execute(
                    _insert("session", ("key", "path", *SESSION_COLUMNS, "seq")),
                    (key, session.path, *_session_values(session), seq),
                )
                row = tx.execute(
                    "SELECT id, key, seq, generation FROM session WHERE path = ?", (session.path,)
                ).fetchone()
        return Change(session=row[0], key=row[1], seq=row[2], generation=row[3])

    def cursor(self, session: int) -> str:
        """Return the cursor that was committed last for a session."""
        with self._entry, _mapped(self.path, self._found_damaged):
            row = self._connection.execute("SELECT cursor FROM session WHERE id = ?", (session,)).fetchone()
        return "" if row is None else str(row[0])

    def commit(self, session: int, reading: Reading, *, now: int) -> Change | None:
        """Store a reading with its cursor; None where it brought nothing new."""
        with self._transaction() as tx:
            writing = _Writing(tx, session, now)
            writing.reading(reading)
            return writing.close()

    def note(
        self, session: int, *, state: str, text: str, troubles: Sequence[Trouble] = (), last_read: int | None
    ) -> Change | None:
        """Record how reading a session goes; a `last_read` of None keeps the last good one.

        Returns the change where people should see it at once: the time alone is not one.
        """
        listed = json.dumps([{"where": t.where, "state": t.state, "text": t.text} for t in troubles])
        with self._transaction() as tx:
            before = tx.execute("SELECT state, state_text, troubles FROM session WHERE id = ?", (session,)).fetchone()
            tx.execute(
                "UPDATE session SET state = ?, state_text = ?, troubles = ?, last_read = coalesce(?, last_read)"
                " WHERE id = ?",
                (state, text, listed, last_read, session),
            )
            if before is None or before == (state, text, listed):
                return None
            writing = _Writing(tx, session, 0)
            writing.touched = True
            return writing.close()

    def add_host_sample(self, sample: HostSample) -> None:
        """Store one sample of a host; a second one of the same time is left out."""
        with self._transaction() as tx:
            seq = _next_seq(tx, 1)
            done = tx.execute(
                f"{_insert('host_sample', (*HOST_COLUMNS, 'seq'))} ON CONFLICT DO NOTHING",
                (*_host_values(sample), seq),
            )
            if done.rowcount:
                tx.executemany(
                    _insert("device_sample", ("sample_id", *DEVICE_COLUMNS)),
                    [(done.lastrowid, *_device_values(d)) for d in sample.devices],
                )

    def forget_host_samples(
        self, *, before: int, most_bytes: int | None = None, now: int = 0, followers: Sequence[str] = ()
    ) -> int:
        """Drop samples older than a time (UTC ns), and the oldest of what is beyond so many bytes; returns how many.

        Those that one of the `followers` has not had yet are counted for it.  Others may write in between.
        """
        with self._entry, _mapped(self.path, self._found_damaged):
            beyond = samples.beyond(self._connection, most_bytes)
        forgotten = 0
        while True:
            with self._transaction() as tx:
                gone = samples.forget(tx, before=before, beyond=beyond, now=now, followers=followers)
            forgotten += gone
            if gone < samples.AT_ONCE:
                return forgotten

    def publish(self, publications: Sequence[Publication], *, target: str, now: int) -> None:
        """Record which images of micrographs lie at a target."""
        with self._transaction() as tx:
            seq = _next_seq(tx, len(publications)) - len(publications)
            tx.executemany(
                _INSERT_PUBLISHED,
                [
                    (p.micrograph_id, target, now, p.micrograph, p.power_spectrum, p.shift_plot, p.problem, place)
                    for place, p in enumerate(publications, seq + 1)
                ],
            )

    def unpublish(self, session: int, *, target: str) -> int:
        """Forget what images of a session lie at a target, since they do not any more; returns how many."""
        with self._transaction() as tx:
            return tx.execute(_UNPUBLISH, (target, session)).rowcount

    def advance(
        self,
        follower: str,
        seq: int,
        *,
        now: int = 0,
        problem: str = "",
        rejected: int = 0,
        samples: int = 0,
        waiting: int | None = None,
    ) -> None:
        """Record that a follower has dealt with everything up to `seq`, and how it fares at `now`.

        `rejected` is how many points it had to set aside since the last time, `waiting` how much it has still to do
        where that is not the distance to the last change.  Of the host samples that it has dealt with since then, of
        which there are `samples`, those that were forgotten while they were on their way are not dropped after all.
        """
        with self._transaction() as tx:
            if samples:
                tx.execute(_ARRIVED, {"follower": follower, "seq": seq, "samples": samples})
            tx.execute(
                "INSERT INTO position (follower, seq, seen, problem, rejected, waiting, since)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, CASE WHEN ?4 = '' THEN NULL ELSE ?3 END)"
                " ON CONFLICT DO UPDATE SET seq = excluded.seq, seen = excluded.seen, problem = excluded.problem,"
                " rejected = position.rejected + excluded.rejected, waiting = excluded.waiting,"
                " since = CASE WHEN excluded.problem = '' THEN NULL ELSE coalesce(position.since, excluded.seen) END",
                (follower, seq, now, problem, rejected, waiting),
            )

    def ledger(self) -> Ledger:
        """Return what writes alerts and notices in this store."""
        return Ledger(self._transaction)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._entry, _mapped(self.path, self._found_damaged):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


class _Writing:
    """One reading on its way into the tables, inside one transaction."""

    def __init__(self, tx: sqlite3.Connection, session: int, now: int) -> None:
        self._tx = tx
        self._session = session
        self._now = now
        self._seq = first = _next_seq(tx, 0)
        self._first = first
        self.touched = False
        self._added = self._changed = self._dropped = 0

    def _stamp(self) -> int:
        self._seq += 1
        self.touched = True
        return self._seq

    def close(self) -> Change | None:
        """Write the counter and the session's own `seq`; None where nothing changed."""
        if not self.touched:
            return None
        self._stamp()
        self._tx.execute("UPDATE counter SET seq = ?", (self._seq,))
        self._tx.execute(
            "UPDATE session SET seq = ?, generation = generation + ? WHERE id = ?",
            (self._seq, int(self._dropped > 0), self._session),
        )
        key, generation = self._tx.execute(
            "SELECT key, generation FROM session WHERE id = ?", (self._session,)
        ).fetchone()
        return Change(
            session=self._session,
            key=key,
            seq=self._seq,
            generation=generation,
            added=self._added,
            changed=self._changed,
            dropped=self._dropped,
        )

    def reading(self, reading: Reading) -> None:
        if reading.session is not None:
            self._session_row(reading.session)
        if reading.runs is not None:
            self._runs(reading.runs)
        if reading.outputs is not None:
            self._outputs(reading.outputs)
        for span in reading.spans:
            self._span(span)
        self._gains(reading.gains, reading.gains_anew)
        self._tx.execute("UPDATE session SET cursor = ? WHERE id = ?", (reading.cursor, self._session))

    def _session_row(self, session: Session) -> None:
        values = _session_values(session)
        before = self._tx.execute(
            f"SELECT {', '.join(SESSION_COLUMNS)} FROM session WHERE id = ?", (self._session,)
        ).fetchone()
        if before != values:
            self._tx.execute(_update("session", SESSION_COLUMNS), (*values, self._session))
            self._tx.execute(
                _insert("session_state", ("session_id", "time", *STATE_COLUMNS, "seq")),
                (self._session, self._now, *_state_values(session), self._stamp()),
            )

    def _runs(self, runs: Sequence[Run]) -> None:
        old = {
            row[0]: row
            for row in self._tx.execute(
                f"SELECT {', '.join(RUN_COLUMNS)} FROM run WHERE session_id = ?", (self._session,)
            ).fetchall()
        }
        for run in runs:
            values = _run_values(run)
            before = old.pop(run.run, None)
            if before is None:
                columns = ("session_id", *RUN_COLUMNS, "seq")
                self._tx.execute(_insert("run", columns), (self._session, *values, self._stamp()))
            elif before != values:
                self._tx.execute(
                    _update("run", (*RUN_COLUMNS, "seq"), "session_id = ? AND run"),
                    (*values, self._stamp(), self._session, run.run),
                )
            if before is None or (before[_LABEL], before[_STATUS]) != (run.label, run.status):
                self._tx.execute(
                    "INSERT INTO run_state (session_id, run, time, label, status, seq) VALUES (?, ?, ?, ?, ?, ?)",
                    (self._session, run.run, self._now, run.label, run.status, self._stamp()),
                )
        for run_id in old:
            self._tx.execute("DELETE FROM run WHERE session_id = ? AND run = ?", (self._session, run_id))
            self._dropped += 1
            self._stamp()

    def _outputs(self, outputs: Sequence[Output]) -> None:
        old = {
            (row[1], row[2]): row
            for row in self._tx.execute(
                f"SELECT id, {', '.join(OUTPUT_COLUMNS)} FROM output WHERE session_id = ?", (self._session,)
            ).fetchall()
        }
        for output in outputs:
            values = _output_values(output)
            before = old.pop((output.run, output.name), None)
            if before is not None and before[1:] == values:
                continue
            seq = self._stamp()
            if before is None:
                columns = ("session_id", *OUTPUT_COLUMNS, "seq")
                done = self._tx.execute(_insert("output", columns), (self._session, *values, seq))
                output_id = done.lastrowid
            else:
                output_id = before[0]
                self._tx.execute(_update("output", (*OUTPUT_COLUMNS, "seq")), (*values, seq, output_id))
            if output.size is not None:
                self._tx.execute(
                    "INSERT INTO output_size SELECT ?, ?, ?, ? WHERE ? IS NOT"
                    " (SELECT size FROM output_size WHERE output_id = ? ORDER BY time DESC LIMIT 1)"
                    " ON CONFLICT DO UPDATE SET size = excluded.size, seq = excluded.seq",
                    (output_id, self._now, output.size, seq, output.size, output_id),
                )
        for row in old.values():
            self._tx.execute("DELETE FROM output WHERE id = ?", (row[0],))
            self._dropped += 1
            self._stamp()

    def _span(self, span: Span) -> None:
        row = self._tx.execute(
            "SELECT id, kind FROM output WHERE session_id = ? AND run = ? AND name = ?",
            (self._session, span.run, span.output),
        ).fetchone()
        if row is None:
            raise ValueError(f"a span of {span.output} of run {span.run}, which the reading's outputs do not name")
        output, kind = row
        upto = _LAST_ITEM if span.upto is None else span.upto
        old = {r[0]: r for r in self._tx.execute(_ITEMS_IN_SPAN, (output, span.after, upto)).fetchall()}
        items = columns_of(span.items, ("item", *ITEM_COLUMNS))
        names = {r[2] for r in old.values()} if kind == OutputKind.MOVIES else set()
        if old:
            self._compare(output, old, zip(*items, strict=True))
        else:
            self._add(list(zip(repeat(output), *items, count(self._seq + 1))))
            self._seq += len(span.items)
        if kind == OutputKind.MOVIES and write_shifts(self._tx, output, span, names):
            self._stamp()

    def _compare(self, output: int, old: dict[int, tuple[Any, ...]], items: Iterable[tuple[Any, ...]]) -> None:
        """Make the items that the store holds equal to those of a span."""
        new: list[tuple[Any, ...]] = []
        changed: list[tuple[Any, ...]] = []
        gone: list[tuple[int]] = []
        for item, *values in items:
            before = old.pop(item, None)
            if before is not None and before[2] != values[0]:
                gone.append((before[1],))
                before = None
            if before is None:
                new.append((output, item, *values, self._stamp()))
            elif before[2:] != tuple(values):
                changed.append((*values, self._stamp(), before[1]))
        gone.extend((r[1],) for r in old.values())
        if gone:
            self._tx.executemany("DELETE FROM micrograph WHERE id = ?", gone)
            self._stamp()
        if changed:
            self._tx.executemany(_UPDATE_ITEM, changed)
        self._changed += len(changed)
        self._dropped += len(gone)
        self._add(new)

    def _add(self, items: Sequence[tuple[Any, ...]]) -> None:
        whole = len(items) - len(items) % _BLOCK
        for place in range(0, whole, _BLOCK):
            self._tx.execute(_INSERT_BLOCK, tuple(chain.from_iterable(items[place : place + _BLOCK])))
        self._tx.executemany(_INSERT_ITEM, items[whole:])
        self._added += len(items)
        self.touched = self.touched or bool(items)

    def _gains(self, gains: Sequence[GainResidual], anew: Iterable[str]) -> None:
        """Add gain residuals; the time of one that says the same as before stays."""
        for run in sorted(anew):
            items = json.dumps([gain.item for gain in gains if gain.run == run])
            dropped = self._tx.execute(_DROP_GAINS, (self._session, run, items)).rowcount
            if dropped:
                self._dropped += dropped
                self._stamp()
        for gain in gains:
            if self._tx.execute(_WRITE_GAIN, (self._session, *_gain_values(gain), self._seq + 1)).rowcount:
                self._stamp()


def _next_seq(tx: sqlite3.Connection, count: int) -> int:
    """Take `count` numbers from the order of changes and return the last one taken."""
    if count:
        tx.execute("UPDATE counter SET seq = seq + ?", (count,))
    return int(tx.execute("SELECT seq FROM counter").fetchone()[0])


def _free_key(tx: sqlite3.Connection, session: Session) -> str:
    """Return an unused name for a session's addresses: its own where that is short and plain ASCII."""
    own = plain(session.name)
    taken = tx.execute("SELECT 1 FROM session WHERE key = ?", (own,)).fetchone()
    return own if own == session.name and not taken else marked(session.name, session.path)


@contextmanager
def _mapped(path: Path, damaged: Callable[[str], object] = lambda _: None) -> Iterator[None]:
    """Turn SQLite's own exceptions into `StoreFailed`, and tell of damage."""
    try:
        yield
    except sqlite3.Error as error:
        failed = failure(error, path)
        if isinstance(failed, StoreDamaged):
            damaged(failed.what)
        raise failed from error
