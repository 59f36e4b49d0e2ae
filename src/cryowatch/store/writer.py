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
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from cryowatch.errors import SessionForgotten, StoreDamaged, StoreFailed
from cryowatch.reading import Origin, Reading, Trouble
from cryowatch.records import DeviceSample, HostSample, Run, Session, quantities
from cryowatch.store import compaction, damage, samples, seal
from cryowatch.store.alerts import Ledger
from cryowatch.store.commit import Change, Commit
from cryowatch.store.delivered import Delivered, Settled, note_settled
from cryowatch.store.failures import failure
from cryowatch.store.forgotten import Forgotten
from cryowatch.store.lock import Lock, keep_private, prepare
from cryowatch.store.origins import Place, places_of, settle
from cryowatch.store.published import Publication, publish, unpublish
from cryowatch.store.reader import Reader
from cryowatch.store.schema import migrate
from cryowatch.store.statements import insert, next_seq

log = logging.getLogger(__name__)

FILE_NAME = "cryowatch.sqlite"

HOST_COLUMNS = tuple(f for f in quantities(HostSample) if f != "devices")
DEVICE_COLUMNS = tuple(quantities(DeviceSample))
_host_values = attrgetter(*HOST_COLUMNS)
_device_values = attrgetter(*DEVICE_COLUMNS)

_KNOWN = "SELECT id, key, origin, inode, outside FROM session WHERE path = ?"
_THERE = "SELECT EXISTS (SELECT 1 FROM session WHERE id = ?)"
_FORGOTTEN = "SELECT session_id FROM forgotten"
_CHANGE = "SELECT id, key, seq, generation FROM session WHERE id = ?"

_ARRIVED = """
UPDATE position SET dropped = max(0, dropped - max(0, :samples - (
    SELECT count(*) FROM host_sample WHERE host_sample.seq > position.seq AND host_sample.seq <= :seq)))
WHERE follower = :follower"""


class Known(NamedTuple):
    """A session that the store holds, by its row id, and what it knows of the origin of its project ("": nothing).

    `inode` is that of the project's database, and `outside` what `rests` was told of it ("": nothing).
    """

    session: int
    key: str
    origin: str
    inode: int | None
    outside: str


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
        self.remembered = 0
        """How often somebody had a session forgotten or remembered since this was opened."""
        try:
            self._connection = self._open()
            with _mapped(self.path):
                self.forgotten_sessions = frozenset(row[0] for row in self._connection.execute(_FORGOTTEN).fetchall())
                compaction.compact(self._connection)
        except BaseException:
            self._lock.release()
            raise

    def _open(self) -> sqlite3.Connection:
        """Open the file, or a new one where it is damaged."""
        try:
            return self._whole()
        except StoreDamaged as error:
            why = error.what
        place = damage.set_aside(self.path, why)
        log.error("%s: %s. It lies at %s now; everything is read anew", self.path, why, place)
        return self._connected()

    def _whole(self) -> sqlite3.Connection:
        """Open the file; one without a seal is looked through.  Raises `StoreDamaged`."""
        if damage.is_marked(self.path):
            raise StoreDamaged("is damaged", where=self.path)
        to_look_through = damage.was_left_open(self.path) or damage.is_small(self.path)
        verdict = seal.opened(self.path)
        if verdict is seal.Verdict.CHANGED:
            raise StoreDamaged("is damaged: it does not hold what it held when it was closed", where=self.path)
        connection = self._connected()
        if verdict is seal.Verdict.UNKNOWN and to_look_through:
            try:
                damage.look_through(connection, self.path)
            except StoreFailed:
                connection.close()
                raise
        return connection

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
            keep_private(self.path, *(self.path.with_name(f"{FILE_NAME}{suffix}") for suffix in ("-wal", "-shm")))
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

    def publish_address(self, address: str) -> None:
        """Let commands know where the pages of this process are, as long as it holds the data directory."""
        self._lock.publish(address)

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

    def known(self, paths: Sequence[str]) -> Known | None:
        """Return the session that was in the first of some folders that held one; None where none did."""
        with self._entry, _mapped(self.path, self._found_damaged):
            for path in paths:
                row = self._connection.execute(_KNOWN, (path,)).fetchone()
                if row is not None:
                    return Known(*row)
        return None

    def places_of(self, origin: Origin, created: int | None) -> list[Place]:
        """Return in which folders sessions of an origin were last, the likeliest first."""
        with self._entry, _mapped(self.path, self._found_damaged):
            return places_of(self._connection, origin, created)

    def register(self, session: Session) -> Change:
        """Return the session in this folder, made now if it is new."""
        return self.settle(session, None, ())[0]

    def settle(
        self,
        session: Session,
        origin: Origin | None,
        runs: Sequence[Run],
        *,
        also: Sequence[str] = (),
        left: Collection[int] = (),
        now: int = 0,
    ) -> list[Change]:
        """Return the session that a project is, made now if it is new, then those that it has replaced.

        `also` are other paths of its folder, and `left` those of `places_of` whose project is there no more.  Raises
        `SessionForgotten` for a project that is to be passed over.
        """
        with self._transaction() as tx:
            number, others = settle(tx, session, origin, runs, also=also, left=left, now=now)
            rows = [tx.execute(_CHANGE, (one,)).fetchone() for one in (number, *others) if one]
        if not number:
            raise SessionForgotten("was forgotten", where=session.path)
        return [Change(session=row[0], key=row[1], seq=row[2], generation=row[3]) for row in rows]

    def cursor(self, session: int) -> str:
        """Return the cursor that was committed last for a session."""
        with self._entry, _mapped(self.path, self._found_damaged):
            row = self._connection.execute("SELECT cursor FROM session WHERE id = ?", (session,)).fetchone()
        return "" if row is None else str(row[0])

    def commit(self, session: int, reading: Reading, *, now: int) -> Change | None:
        """Store a reading with its cursor; None where it brought nothing new.  Raises `SessionForgotten`."""
        with self._transaction() as tx:
            if not tx.execute(_THERE, (session,)).fetchone()[0]:
                raise SessionForgotten("was forgotten meanwhile")
            commit = Commit(tx, session, now)
            commit.reading(reading)
            return commit.close()

    def rests(self, session: int, outside: str) -> None:
        """Record what shows of a project from outside, all of which has been read, for the next agent."""
        with self._transaction() as tx:
            tx.execute("UPDATE session SET outside = ? WHERE id = ? AND outside <> ?", (outside, session, outside))

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
            commit = Commit(tx, session, 0)
            commit.touched = True
            return commit.close()

    def add_host_sample(self, sample: HostSample) -> None:
        """Store one sample of a host; a second one of the same time is left out."""
        with self._transaction() as tx:
            seq = next_seq(tx, 1)
            done = tx.execute(
                f"{insert('host_sample', (*HOST_COLUMNS, 'seq'))} ON CONFLICT DO NOTHING",
                (*_host_values(sample), seq),
            )
            if done.rowcount:
                tx.executemany(
                    insert("device_sample", ("sample_id", *DEVICE_COLUMNS)),
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
        """Record which images of micrographs lie at a target, but for micrographs that are others by now, or gone."""
        with self._transaction() as tx:
            publish(tx, publications, target=target, now=now)

    def unpublish(self, session: int, *, target: str) -> int:
        """Forget what images of a session lie at a target, since they do not any more; returns how many."""
        with self._transaction() as tx:
            return unpublish(tx, session, target=target)

    def advance(
        self,
        follower: str,
        seq: int,
        *,
        now: int = 0,
        problem: str = "",
        rejected: int = 0,
        reason: str = "",
        outdated: int = 0,
        samples: int = 0,
        waiting: int | None = None,
        settled: Settled | None = None,
    ) -> None:
        """Record that a follower has dealt with everything up to `seq`, and how it fares at `now`.

        `rejected` is how many points it had to set aside since the last time, and `reason` why it did so last;
        `outdated` is how many superseded points stay at a server that cannot delete.  `waiting` is how much it has
        still to do where that is not the distance to the last change, `settled` what lies at its server now.  Of the
        host samples that it has dealt with since then, of which there are `samples`, those that were forgotten while
        they were on their way are not dropped after all.
        """
        with self._transaction() as tx:
            if samples:
                tx.execute(_ARRIVED, {"follower": follower, "seq": seq, "samples": samples})
            tx.execute(
                "INSERT INTO position (follower, seq, seen, problem, rejected, waiting, since, reason, outdated)"
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, CASE WHEN ?4 = '' THEN NULL ELSE ?3 END, ?7, ?8)"
                " ON CONFLICT DO UPDATE SET seq = excluded.seq, seen = excluded.seen, problem = excluded.problem,"
                " rejected = position.rejected + excluded.rejected, waiting = excluded.waiting,"
                " since = CASE WHEN excluded.problem = '' THEN NULL ELSE coalesce(position.since, excluded.seen) END,"
                " reason = CASE WHEN excluded.reason = '' THEN position.reason ELSE excluded.reason END,"
                " outdated = position.outdated + excluded.outdated",
                (follower, seq, now, problem, rejected, waiting, reason, outdated),
            )
            if settled is not None:
                note_settled(tx, follower, settled, now)

    def delivered(self, follower: str) -> Delivered:
        """Return the record of what a follower has delivered."""
        return Delivered(self._transaction, self.reader(), follower)

    def ledger(self) -> Ledger:
        """Return what writes alerts and notices in this store."""
        return Ledger(self._transaction)

    def forgotten(self) -> Forgotten:
        """Return what forgets sessions of this store."""
        return Forgotten(self._transaction, partial(self._transaction, bound=False), self._have_changed)

    def _have_changed(self, forgotten: frozenset[int]) -> None:
        self.forgotten_sessions = forgotten
        self.remembered += 1

    def compact(self) -> None:
        """Let the file shrink where most of it is free; all who write wait meanwhile."""
        with self._entry, _mapped(self.path, self._found_damaged):
            compaction.compact(self._connection)

    @contextmanager
    def _transaction(self, *, bound: bool = True) -> Iterator[sqlite3.Connection]:
        """Write alone, all or nothing; unless `bound`, what belongs to a row that goes stays."""
        with self._entry, _mapped(self.path, self._found_damaged):
            self._connection.execute(f"PRAGMA foreign_keys = {'ON' if bound else 'OFF'}")
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise


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
