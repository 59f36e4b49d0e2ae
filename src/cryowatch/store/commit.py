"""One reading on its way into the tables: what differs is written, each changed row with the next `seq`."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from operator import attrgetter
from typing import Any

from cryowatch.reading import Reading, Span, columns_of
from cryowatch.records import GainResidual, Output, OutputKind, Run, Session, quantities
from cryowatch.store import history
from cryowatch.store.shifts import write_shifts
from cryowatch.store.statements import insert, next_seq, update

SESSION_COLUMNS = tuple(f for f in quantities(Session) if f != "path")
RUN_COLUMNS = tuple(quantities(Run))
OUTPUT_COLUMNS = tuple(quantities(Output))
ITEM_COLUMNS = (
    "name", "time", "enabled", "defocus_u", "defocus_v", "defocus_angle", "phase_shift", "resolution", "fit_quality",
    "motion_total", "motion_early", "motion_late", "pixel_size", "micrograph_path", "power_spectrum_path",
    "shift_plot_path",
)  # fmt: skip
GAIN_COLUMNS = tuple(quantities(GainResidual))
STATE_COLUMNS = (
    "status", "software", "voltage", "spherical_aberration", "amplitude_contrast", "magnification", "pixel_size",
    "dose_per_frame",
)  # fmt: skip

_LABEL, _STATUS = RUN_COLUMNS.index("label"), RUN_COLUMNS.index("status")
session_values = attrgetter(*SESSION_COLUMNS)
_run_values = attrgetter(*RUN_COLUMNS)
_output_values = attrgetter(*OUTPUT_COLUMNS)
_gain_values = attrgetter(*GAIN_COLUMNS)
_state_values = attrgetter(*STATE_COLUMNS)

STEP_NS = 600 * 10**9
"""In the history of an output's size: ten minutes."""

_LAST_STEP = "SELECT time, size FROM output_step WHERE output_id = ? ORDER BY time DESC LIMIT 1"
_PUT_STEP = "INSERT INTO output_step VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET size = excluded.size"
_DROP_STEPS = "DELETE FROM output_step WHERE output_id = ? AND time >= ?"
_ADD_STEPS = f"""
INSERT INTO output_step SELECT ?1, step, sum(items) OVER (ORDER BY step) + (
        SELECT coalesce(max(size), 0) FROM output_step WHERE output_id = ?1 AND time < ?2)
    FROM (SELECT time - time % {STEP_NS} AS step, count(*) AS items FROM micrograph
          WHERE output_id = ?1 AND time >= ?2 GROUP BY 1)"""

_NEW_ITEM = ("output_id", "item", *ITEM_COLUMNS, "seq")
_MOST_PARAMETERS = 999
"""How many one statement takes: every SQLite allows that.  Row by row costs half as much again."""

_UPDATE_ITEM = update("micrograph", (*ITEM_COLUMNS, "seq"))
_ITEMS_IN_SPAN = (
    f"SELECT item, id, {', '.join(ITEM_COLUMNS)} FROM micrograph WHERE output_id = ? AND item > ? AND item <= ?"
)
_LAST_ITEM = 2**63 - 1

_WRITE_GAIN = f"""
{insert("gain", ("session_id", *GAIN_COLUMNS, "seq"))} ON CONFLICT (session_id, run, item) DO UPDATE
SET movie = excluded.movie, time = excluded.time, stddev = excluded.stddev, ratio1 = excluded.ratio1,
    ratio2 = excluded.ratio2, seq = excluded.seq
WHERE (movie, stddev, ratio1, ratio2) IS NOT (excluded.movie, excluded.stddev, excluded.ratio1, excluded.ratio2)"""

_DROP_GAINS = """
DELETE FROM gain WHERE session_id = ? AND run = ? AND item NOT IN (SELECT value FROM json_each(?))"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What a commit did to one session: its last `seq` and generation, and how many items it touched.

    `forgotten` says that somebody had the session forgotten: it is not there any more.
    """

    session: int
    key: str
    seq: int
    generation: int
    added: int = 0
    changed: int = 0
    dropped: int = 0
    forgotten: bool = False


class Commit:
    """One reading on its way into the tables, inside one transaction."""

    def __init__(self, tx: sqlite3.Connection, session: int, now: int) -> None:
        self._tx = tx
        self._session = session
        self._now = now
        self._seq = next_seq(tx, 0)
        self.touched = False
        self._added = self._changed = self._dropped = 0
        self._taken_away = False

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
            (self._seq, int(self._dropped > 0 or self._taken_away), self._session),
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
        """Write what a reading brought, and its cursor."""
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
        values = session_values(session)
        before = self._tx.execute(
            f"SELECT {', '.join(SESSION_COLUMNS)} FROM session WHERE id = ?", (self._session,)
        ).fetchone()
        if before != values:
            self._tx.execute(update("session", SESSION_COLUMNS), (*values, self._session))
            self._tx.execute(
                insert("session_state", ("session_id", "time", *STATE_COLUMNS, "seq")),
                (self._session, self._now, *_state_values(session), self._stamp()),
            )
            history.trim_session(self._tx, self._session)

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
                self._tx.execute(insert("run", columns), (self._session, *values, self._stamp()))
            elif before != values:
                self._tx.execute(
                    update("run", (*RUN_COLUMNS, "seq"), "session_id = ? AND run"),
                    (*values, self._stamp(), self._session, run.run),
                )
            if before is None or (before[_LABEL], before[_STATUS]) != (run.label, run.status):
                self._tx.execute(
                    "INSERT INTO run_state (session_id, run, time, label, status, seq) VALUES (?, ?, ?, ?, ?, ?)",
                    (self._session, run.run, self._now, run.label, run.status, self._stamp()),
                )
                history.trim_run(self._tx, self._session, run.run)
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
                done = self._tx.execute(insert("output", columns), (self._session, *values, seq))
                output_id = int(done.lastrowid or 0)
            else:
                output_id = before[0]
                self._tx.execute(update("output", (*OUTPUT_COLUMNS, "seq")), (*values, seq, output_id))
            if output.size is not None:
                self._tx.execute(
                    "INSERT INTO output_size SELECT ?, ?, ?, ? WHERE ? IS NOT"
                    " (SELECT size FROM output_size WHERE output_id = ? ORDER BY time DESC LIMIT 1)"
                    " ON CONFLICT DO UPDATE SET size = excluded.size, seq = excluded.seq",
                    (output_id, self._now, output.size, seq, output.size, output_id),
                )
                history.trim_output(self._tx, output_id)
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
            self._grown(output, self._compare(output, old, zip(*items, strict=True)))
        elif new := len(span.items):
            self._add(([output] * new, *items, range(self._seq + 1, self._seq + new + 1)))
            self._seq += new
            self._appended(output, items[1 + ITEM_COLUMNS.index("time")])
        if kind == OutputKind.MOVIES and write_shifts(self._tx, output, span, names):
            self._stamp()

    def _appended(self, output: int, times: Sequence[int]) -> None:
        """Count new items, which nearly always are later than all before."""
        last, size = self._tx.execute(_LAST_STEP, (output,)).fetchone() or (None, 0)
        steps = sorted(Counter([time - time % STEP_NS for time in times]).items())
        if last is not None and steps[0][0] < last:
            self._grown(output, times)
            return
        sizes = accumulate((count for _, count in steps), initial=size)
        next(sizes)
        self._tx.executemany(_PUT_STEP, [(output, step, held) for (step, _), held in zip(steps, sizes, strict=True)])

    def _grown(self, output: int, times: Sequence[int]) -> None:
        """Count the items of an output by time again, from the earliest of those at which some came or went."""
        if times:
            earliest = min(times)
            earliest -= earliest % STEP_NS
            self._tx.execute(_DROP_STEPS, (output, earliest))
            self._tx.execute(_ADD_STEPS, (output, earliest))

    def _compare(self, output: int, old: dict[int, tuple[Any, ...]], items: Iterable[tuple[Any, ...]]) -> list[int]:
        """Make the items that the store holds equal to those of a span; returns when some came or went."""
        new: list[tuple[Any, ...]] = []
        changed: list[tuple[Any, ...]] = []
        gone: list[tuple[int]] = []
        times: list[int] = []
        for item, *values in items:
            before = old.pop(item, None)
            if before is not None and before[2] != values[0]:
                gone.append((before[1],))
                times.append(before[3])
                before = None
            if before is None:
                new.append((output, item, *values, self._stamp()))
                times.append(values[1])
            elif before[2:] != tuple(values):
                self._taken_away = self._taken_away or _takes_away(before[2:], values)
                changed.append((*values, self._stamp(), before[1]))
                if before[3] != values[1]:
                    times += (before[3], values[1])
        gone.extend((r[1],) for r in old.values())
        times.extend(r[3] for r in old.values())
        if gone:
            self._tx.executemany("DELETE FROM micrograph WHERE id = ?", gone)
            self._stamp()
        if changed:
            self._tx.executemany(_UPDATE_ITEM, changed)
        self._changed += len(changed)
        self._dropped += len(gone)
        if new:
            self._add(list(zip(*new, strict=True)))
        return times

    def _add(self, columns: Sequence[Sequence[Any]]) -> None:
        """Insert new items, given by the columns of `_NEW_ITEM`.

        A column without any value is not named: half of a movie's are NULL, and each costs as much as one with values.
        """
        known = {
            name: column
            for name, column in zip(_NEW_ITEM, columns, strict=True)
            if column[0] is not None or column.count(None) < len(column)
        }
        items = list(zip(*known.values(), strict=True))
        block = _MOST_PARAMETERS // len(known)
        whole = len(items) - len(items) % block
        for place in range(0, whole, block):
            values = tuple(chain.from_iterable(items[place : place + block]))
            self._tx.execute(insert("micrograph", tuple(known), rows=block), values)
        self._tx.executemany(insert("micrograph", tuple(known)), items[whole:])
        self._added += len(items)
        self.touched = True

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


_ENABLED = ITEM_COLUMNS.index("enabled")


def _takes_away(before: Sequence[Any], values: Sequence[Any]) -> bool:
    """Return whether an item was disabled or lost a value: what was drawn of it has to go."""
    lost = any(new is None and old is not None for old, new in zip(before, values, strict=True))
    return lost or bool(before[_ENABLED]) != bool(values[_ENABLED])
