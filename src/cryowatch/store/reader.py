"""Reading the store, beside the writer and without ever holding it up.

A `Reader` may be used from any thread: each gets a read-only connection of its own, and every query is fetched to its
end before it returns.
"""

from __future__ import annotations

import difflib
import json
import sqlite3
import threading
import weakref
from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

from cryowatch.errors import NotFoundError, QueryEnded, StoreDamaged, StoreFailed
from cryowatch.judgement import of_outputs, quantile
from cryowatch.records import OutputKind
from cryowatch.store.alert_sql import mute_of, weight
from cryowatch.store.failures import failure
from cryowatch.store.forgotten import refuse_forgotten
from cryowatch.store.leading import STAGES, Leading, OutputRow
from cryowatch.store.selection import Selection

Row = dict[str, Any]

MOST_OUTPUTS = 2_000
"""Outputs of a session that are looked at; a source reads no more, an earlier cryowatch stored what there was."""

MOST_TROUBLES = 200_000
"""Characters of a session's troubles; beyond, as an earlier cryowatch stored them, they are told in a line."""

_STEPS = 50_000
"""Steps of SQLite, some milliseconds, after which a query looks whether it is over."""

_SESSION = f"""
SELECT id, key, path, name, source, host, created, status, software, voltage, spherical_aberration,
       amplitude_contrast, magnification, pixel_size, dose_per_frame, state, state_text,
       CASE WHEN length(troubles) <= {MOST_TROUBLES} THEN troubles ELSE
            '[{{"where": "", "state": "malformed", "text": "more than can be shown here"}}]' END AS troubles,
       last_read, generation, seq, origin, replaced
FROM session"""

_OUTPUTS = f"""
SELECT output.id, output.run, run.inputs AS run_inputs, run.label AS run_label, run.status AS run_status,
       run.class_name AS run_class, run.started, output.name, output.class_name, output.kind, output.size,
       output.stream_open,
       (SELECT count(*) FROM micrograph WHERE output_id = output.id) AS count,
       (SELECT max(time) FROM micrograph WHERE output_id = output.id) AS newest
FROM output JOIN run ON run.session_id = output.session_id AND run.run = output.run
WHERE output.session_id = ?
ORDER BY CAST(output.run AS INTEGER), output.run, output.id LIMIT {MOST_OUTPUTS}"""

_MICROGRAPH_COLUMNS = """
m.id, m.seq, output.run, output.name AS output, output.id AS output_id, m.item, m.name, m.time, m.enabled,
m.defocus_u, m.defocus_v, m.defocus, m.defocus_angle, m.astigmatism, m.ratio, m.phase_shift, m.resolution,
m.fit_quality, m.motion_total, m.motion_early, m.motion_late, m.pixel_size, m.micrograph_path,
m.power_spectrum_path, m.shift_plot_path"""

_MICROGRAPHS = f"SELECT {_MICROGRAPH_COLUMNS} FROM micrograph AS m JOIN output ON output.id = m.output_id"

_ALIGNMENTS = """
WITH wanted AS (SELECT key AS place, json_extract(value, '$[0]') AS name, json_extract(value, '$[1]') AS path
                FROM json_each(?2))
SELECT wanted.place, output.id,
       run.working_dir <> '' AND instr('/' || wanted.path, '/' || run.working_dir || '/') > 0
FROM wanted
JOIN output ON output.session_id = ?1 AND output.kind = 'movies'
JOIN run ON run.session_id = output.session_id AND run.run = output.run
JOIN shifts ON shifts.output_id = output.id AND shifts.name = wanted.name"""

_SHIFTS = "SELECT x, y FROM shifts WHERE output_id = ? AND name = ?"

_LASTING_ALERTS = f"""
SELECT alert.rule, session.key AS session, alert.host, alert.subject, alert.severity, alert.since, alert.value,
       alert."limit", alert.unit, alert.acknowledged, alert.text,
       EXISTS (SELECT 1 FROM mute WHERE {mute_of("alert")} AND mute.until > ?) AS muted
FROM alert LEFT JOIN session ON session.id = alert.session_id WHERE alert.until IS NULL
ORDER BY {weight("severity")} DESC, since, alert.id"""

_SPAN = """
SELECT min(time), max(time) FROM (
    SELECT created AS time FROM session WHERE id = :session AND created IS NOT NULL
    UNION ALL SELECT started FROM run WHERE session_id = :session AND started IS NOT NULL
    UNION ALL SELECT ended FROM run WHERE session_id = :session AND ended IS NOT NULL
    UNION ALL SELECT micrograph.time FROM micrograph JOIN output ON output.id = output_id
        WHERE output.session_id = :session)"""

_FREE_SPACE = """
SELECT device, time, free, total FROM host_sample JOIN device_sample ON sample_id = host_sample.id
WHERE host = ? AND time > ? AND kind = 'filesystem' AND free IS NOT NULL ORDER BY time"""

CACHE_KIB = 1_024
"""Of each thread's connection: the system keeps the file in memory anyway, and more made no query faster."""


class Reader:
    """Queries over one store.  Raises `StoreFailed` where the file cannot be read."""

    def __init__(self, path: Path, *, damaged: Callable[[str], object] = lambda _: None) -> None:
        self.path = path
        self._damaged = damaged
        self._threads = threading.local()

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Let everything that this thread reads within be of one moment, whatever is written meanwhile."""
        self.table("BEGIN")
        try:
            yield
        finally:
            self.table("ROLLBACK")

    @contextmanager
    def while_not(self, is_over: Callable[[], bool]) -> Iterator[None]:
        """Let the queries of this thread within end with `QueryEnded` once it is over, in the middle of one too."""
        self._threads.is_over = is_over
        try:
            self.go_on()
            yield
        finally:
            del self._threads.is_over

    def go_on(self) -> None:
        """Raise `QueryEnded` where it is over for this thread; does nothing outside of `while_not`."""
        if self._is_over():
            raise QueryEnded("the query was ended", where=self.path)

    def _is_over(self) -> bool:
        is_over: Callable[[], bool] | None = getattr(self._threads, "is_over", None)
        return is_over is not None and is_over()

    def rows(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> list[Row]:
        """Return the rows of a query as dictionaries."""
        columns, values = self.table(sql, parameters)
        return [dict(zip(columns, row, strict=True)) for row in values]

    def value(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Any:
        """Return the first value of a query's first row; None of nothing."""
        rows = self.table(sql, parameters)[1]
        return rows[0][0] if rows else None

    def table(
        self,
        sql: str,
        parameters: Sequence[Any] | Mapping[str, Any] = (),
        taken: Callable[[sqlite3.Cursor], list[tuple[Any, ...]]] = sqlite3.Cursor.fetchall,
    ) -> tuple[list[str], list[tuple[Any, ...]]]:
        """Return the names of a query's columns and its rows, or those that are `taken` of them."""
        try:
            cursor = self._connection().execute(sql, parameters)
            columns = [d[0] for d in cursor.description or ()]
            return columns, taken(cursor)
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_INTERRUPT:
                raise QueryEnded("the query was ended", where=self.path) from None
            failed = failure(error, self.path)
            if isinstance(failed, StoreDamaged):
                self._damaged(failed.what)
                raise failed from error
            raise StoreFailed(f"cannot be read: {error}", where=self.path) from error

    def sessions(self) -> list[Row]:
        """Return every session, the one that changed last first."""
        return self.rows(f"{_SESSION} ORDER BY seq DESC")

    def session(self, name: str) -> Row:
        """Return the session with this key, name or path; raises `NotFoundError`, of one of them `SessionForgotten`."""
        for column in ("key", "path", "name"):
            found = self.rows(f"{_SESSION} WHERE {column} = ? ORDER BY seq DESC", (name,))
            if len(found) == 1:
                return found[0]
            if found:
                several = ", ".join(str(row["key"]) for row in found)
                raise NotFoundError(f"more than one session is called {name}", remedy=f"Say which: {several}")
        refuse_forgotten(self, name)
        keys = [str(row["key"]) for row in self.rows("SELECT key FROM session ORDER BY seq DESC LIMIT 200")]
        keys.sort(key=lambda key: -_likeness(name[:200], key))
        known = ", ".join(keys[:8])
        raise NotFoundError(
            f"there is no session {name}", remedy=f"Known: {known}" if known else "No session is known yet"
        )

    def sessions_at(self, key: str, path: str) -> list[Row]:
        """Return the sessions with this key or in this folder, the one with the key first."""
        return self.rows(f"{_SESSION} WHERE key = ?1 OR path = ?2 ORDER BY key = ?1 DESC", (key, path))

    def head(self) -> int:
        """Return the position of the last change in the whole store."""
        return int(self.table("SELECT seq FROM counter")[1][0][0])

    def outputs(self, session: int) -> list[Row]:
        """Return the outputs of a session in order of their runs, with the items known of each."""
        return self.rows(_OUTPUTS, (session,))

    def leading(self, session: int) -> Leading:
        """Return the outputs that stand for the stages of a session."""
        return Leading(self.outputs(session))

    def runs(self, session: int, *, last: int = -1) -> list[Row]:
        """Return the runs of a session in the order in which they were made, or so many of the last ones.

        `seen_running` is when the store first had it that a run is running (UTC ns).
        """
        return self.rows(
            "SELECT run, label, class_name, status, started, ended, error, working_dir, files, inputs,"
            " (SELECT min(time) FROM run_state WHERE session_id = run.session_id AND run_state.run = run.run"
            "  AND run_state.status = 'running') AS seen_running"
            " FROM run WHERE session_id = ? ORDER BY CAST(run AS INTEGER) DESC, run DESC LIMIT ?",
            (session, last),
        )[::-1]

    def micrograph(self, micrograph: int) -> Row:
        """Return one micrograph with its session's key and path; raises `NotFoundError`."""
        found = self.rows(
            f"SELECT {_MICROGRAPH_COLUMNS}, session.key AS session, session.id AS session_id,"
            " session.path AS session_path FROM micrograph AS m JOIN output ON output.id = m.output_id"
            " JOIN session ON session.id = output.session_id WHERE m.id = ?",
            (micrograph,),
        )
        if not found:
            raise NotFoundError(f"there is no micrograph {micrograph}")
        return found[0]

    def shifted(self, session: int, micrographs: Sequence[Row]) -> set[int]:
        """Return the ids of those micrographs of a session whose movie's frames have known shifts."""
        return {micrographs[place]["id"] for place in self._alignments(session, micrographs)}

    def _alignments(self, session: int, micrographs: Sequence[Row]) -> dict[int, int]:
        """Return the output that holds the movie's shifts, by the place of each micrograph for which it can be told.

        It is that of the run in whose folder the micrograph lies; where there is but one alignment, that one.
        """
        wanted = json.dumps([[row["name"], row["micrograph_path"]] for row in micrographs])
        found: dict[int, list[tuple[int, bool]]] = {}
        for place, output, own in self.table(_ALIGNMENTS, (session, wanted))[1]:
            found.setdefault(place, []).append((output, bool(own)))
        chosen = {place: [o for o, own in several if own or len(several) == 1] for place, several in found.items()}
        return {place: outputs[0] for place, outputs in chosen.items() if outputs}

    def shifts(self, session: int, micrograph: Row) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
        """Return where the frames of a micrograph's movie were, in Å: x and y, of as many frames; None if unknown."""
        output = self._alignments(session, [micrograph]).get(0)
        found = [] if output is None else self.rows(_SHIFTS, (output, micrograph["name"]))
        if not found:
            return None
        x, y = (tuple(map(float, found[0][axis].split())) for axis in ("x", "y"))
        return x, y

    def neighbours(self, micrograph: Row, selection: Selection) -> tuple[int | None, int | None]:
        """Return the ids of the micrographs of a selection that come just before and just after one."""
        where, values = selection.where()
        found = []
        for after in (False, True):
            beside, order, own = selection.beside(micrograph, after=after)
            sql = f"SELECT m.id FROM micrograph AS m WHERE {where} AND {beside} ORDER BY {order} LIMIT 1"
            rows = self.table(sql, {**values, **own})[1]
            found.append(rows[0][0] if rows else None)
        return found[0], found[1]

    def micrographs(self, selection: Selection, *, offset: int, limit: int) -> tuple[int, list[Row]]:
        """Return how many micrographs match, and those from `offset` on."""
        where, values = selection.where()
        (total,) = self.table(f"SELECT count(*) FROM micrograph AS m WHERE {where}", values)[1][0]
        rows = self.rows(
            f"{_MICROGRAPHS} WHERE {where} ORDER BY {selection.order()} LIMIT :limit OFFSET :offset",
            {**values, "limit": limit, "offset": offset},
        )
        return total, rows

    def micrographs_after(self, outputs: Sequence[int], after: int, *, limit: int) -> list[Row]:
        """Return micrographs of some outputs that were added or changed since a position, oldest change first."""
        where = f"{of_outputs(outputs, 'm.output_id')} AND m.seq > ?"
        return self.rows(f"{_MICROGRAPHS} WHERE {where} ORDER BY m.seq LIMIT ?", (after, limit))

    def every_micrograph(self, session: int) -> Iterator[Row]:
        """Yield what is known of each micrograph of a session, once: its CTF estimate, or what there is before that.

        A micrograph or movie is left out where a later stage holds one of the same name that comes from the same grid.
        """
        leading = self.leading(session)
        later: list[tuple[OutputRow, set[str]]] = []
        for kind in reversed(STAGES):
            found: list[tuple[OutputRow, set[str]]] = []
            for output in leading[kind].outputs:
                covered = set().union(*(names for other, names in later if leading.together(output, other)))
                names: set[str] = set()
                for row in self._items(output["id"]):
                    if row["name"] not in covered:
                        yield row
                    names.add(row["name"])
                found.append((output, names))
            later += found

    def every_estimate(self, session: int) -> Iterator[Row]:
        """Yield every CTF estimate of a session, output by output: also those of selections, and several of one."""
        for output in self.outputs(session):
            if output["kind"] == OutputKind.CTF:
                yield from self._items(output["id"])

    def _items(self, output: int, *, page: int = 2000) -> Iterator[Row]:
        """Yield the items of an output in the order of their ids."""
        sql, item = f"{_MICROGRAPHS} WHERE m.output_id = ? AND m.item > ? ORDER BY m.item LIMIT ?", -1
        while rows := self.rows(sql, (output, item, page)):
            yield from rows
            item = rows[-1]["item"]

    def lasting_alerts(self, now: int) -> list[Row]:
        """Return the alerts that last, the worst first, with their session's key (None: the machine's) and `muted`."""
        return self.rows(_LASTING_ALERTS, (now,))

    def followers(self, *, since: int) -> list[Row]:
        """Return those who follow the store and were seen after a time (UTC ns), with how far behind each is."""
        return self.rows(
            "SELECT follower, seq, seen, problem, rejected, reason, outdated, since, dropped, dropped_at,"
            " coalesce(waiting, (SELECT seq FROM counter) - seq) AS behind"
            " FROM position WHERE seen >= ? ORDER BY follower",
            (since,),
        )

    def renamed(self) -> list[tuple[str, str, str]]:
        """Return follower, path and name of the sessions that a follower calls otherwise than they are called here."""
        return self.table(
            "SELECT d.follower, session.path, d.name FROM delivered_session AS d"
            " JOIN session ON session.id = d.session_id WHERE d.name <> session.name ORDER BY d.follower, d.session_id"
        )[1]

    def free_space(self, host: str, *, since: int) -> list[tuple[str, int, float, float]]:
        """Return mount, time (UTC ns), free and total bytes of a host's file systems, in order of time."""
        return self.table(_FREE_SPACE, (host, since))[1]

    def dropped(self, follower: str) -> tuple[int, int | None]:
        """Return how many host samples were forgotten before a follower had them, and when that was last (UTC ns)."""
        rows = self.table("SELECT dropped, dropped_at FROM position WHERE follower = ?", (follower,))[1]
        return rows[0] if rows else (0, None)

    def position(self, follower: str) -> int:
        """Return how far a follower has come; 0 for an unknown one."""
        return self.known_position(follower) or 0

    def known_position(self, follower: str) -> int | None:
        """Return how far a follower has come; None for an unknown one."""
        rows = self.table("SELECT seq FROM position WHERE follower = ?", (follower,))[1]
        return int(rows[0][0]) if rows else None

    def count_of_gains(self, session: int) -> int:
        """Return of how many movies a session has gain residuals."""
        return int(self.value("SELECT count(*) FROM gain WHERE session_id = ?", (session,)))

    def path_of(self, session: int) -> str:
        """Return where a session's project lies."""
        return str(self.value("SELECT path FROM session WHERE id = ?", (session,)))

    def items_of(self, output: int, fields: Sequence[str]) -> list[Row]:
        """Return every item of an output with some fields and its images, the oldest first."""
        columns = ", ".join(
            ("id", "item", "name", "time", "enabled", *fields, "power_spectrum_path", "shift_plot_path")
        )
        return self.rows(f"SELECT {columns} FROM micrograph WHERE output_id = ? ORDER BY time, item", (output,))

    def span_of(self, session: int) -> tuple[int | None, int | None]:
        """Return when the first and when the last happened that is known of a session (UTC ns)."""
        first, last = self.table(_SPAN, {"session": session})[1][0]
        return first, last

    def newest_of(self, outputs: Sequence[int]) -> Row | None:
        """Return the newest item of some outputs: its id, name, time and the position of its last change."""
        found = self.rows(
            f"SELECT id, name, time, seq FROM micrograph WHERE {of_outputs(outputs)}"
            " ORDER BY time DESC, item DESC LIMIT 1"
        )
        return found[0] if found else None

    def _connection(self) -> sqlite3.Connection:
        held: _Held | None = getattr(self._threads, "held", None)
        if held is None:
            uri = f"file:{quote(str(self.path))}?mode=ro"
            connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10)
            connection.execute("PRAGMA query_only = ON")
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            connection.set_progress_handler(_asked(weakref.WeakMethod(self._is_over)), _STEPS)
            connection.create_aggregate("quantile", 2, _Quantile)  # type: ignore[arg-type]
            held = self._threads.held = _Held(connection)
        return held.connection


def _asked(is_over: weakref.WeakMethod[Callable[[], bool]]) -> Callable[[], bool]:
    """Return what SQLite asks whether a query is over; it keeps no reader alive, which would keep its connections."""

    def asked() -> bool:
        ask = is_over()
        return ask is not None and ask()

    return asked


class _Held:
    """A connection that is closed when its thread ends.

    Python's own is part of a cycle with its statements, and would stay open until the next garbage collection.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def __del__(self) -> None:
        with suppress(sqlite3.ProgrammingError):  # the reader itself was dropped by another thread
            self.connection.close()


def _likeness(name: str, key: str) -> float:
    """Return how alike two names are, from 0 to 1, whatever their case."""
    return difflib.SequenceMatcher(None, name.lower(), key.lower()).ratio()


class _Quantile:
    """SQL aggregate `quantile(x, q)`: linear between the two nearest values, NULLs left out."""

    def __init__(self) -> None:
        self._values = array("d")
        self._q = 0.5

    def step(self, value: float | None, q: float) -> None:
        if value is not None:
            self._values.append(value)
            self._q = q

    def finalize(self) -> float | None:
        return quantile(sorted(self._values), self._q)
