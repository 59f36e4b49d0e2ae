"""Which images of micrographs lie at a target, and which files there are to be taken away."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from cryowatch.store.statements import next_seq

_INSERT_PUBLISHED = """
INSERT INTO published (micrograph_id, target, time, micrograph, power_spectrum, shift_plot, problem, seq)
SELECT ?, ?, ?, ?, ?, ?, ?, ? WHERE (SELECT seq FROM micrograph WHERE id = ?) = ?
ON CONFLICT DO UPDATE SET target = excluded.target, time = excluded.time, micrograph = excluded.micrograph,
    power_spectrum = excluded.power_spectrum, shift_plot = excluded.shift_plot, problem = excluded.problem,
    seq = excluded.seq"""

_PUBLISHED_AGAIN = "DELETE FROM retracted WHERE target = ? AND name = ?"
_PUBLISHED_TOO_LATE = """
INSERT OR IGNORE INTO retracted (target, name) SELECT ?1, ?2
WHERE EXISTS (SELECT 1 FROM forgotten WHERE key = ?3 AND images)
    AND NOT EXISTS (SELECT 1 FROM session WHERE key = ?3)"""

_UNPUBLISH = """
DELETE FROM published WHERE target = ? AND micrograph_id IN (
    SELECT m.id FROM micrograph AS m JOIN output ON output.id = m.output_id WHERE output.session_id = ?)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """Names under which images of a micrograph lie at a target, empty where there is none, and the reasons for that.

    `seq` is that of the micrograph they were made of.
    """

    micrograph_id: int
    seq: int
    micrograph: str = ""
    power_spectrum: str = ""
    shift_plot: str = ""
    problem: str = ""

    @property
    def shows(self) -> bool:
        """Whether any image is there."""
        return bool(self.micrograph or self.power_spectrum or self.shift_plot)


def publish(tx: sqlite3.Connection, publications: Sequence[Publication], *, target: str, now: int) -> None:
    """Record publications, but of micrographs that are others by now, or gone.

    Files of a session that was forgotten while they were on their way are to be taken away.
    """
    seq = next_seq(tx, len(publications)) - len(publications)
    for place, p in enumerate(publications, seq + 1):
        names = (p.micrograph, p.power_spectrum, p.shift_plot)
        recorded = (p.micrograph_id, target, now, *names, p.problem, place)
        kept = tx.execute(_INSERT_PUBLISHED, (*recorded, p.micrograph_id, p.seq)).rowcount
        for name in filter(None, names):
            if kept:
                tx.execute(_PUBLISHED_AGAIN, (target, name))
            else:
                tx.execute(_PUBLISHED_TOO_LATE, (target, name, name.partition("/")[0]))


def unpublish(tx: sqlite3.Connection, session: int, *, target: str) -> int:
    """Forget what images of a session lie at a target; returns how many."""
    return tx.execute(_UNPUBLISH, (target, session)).rowcount
