"""What a store holds of a session, and what of it was delivered: what goes when the session is forgotten."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryowatch.store.delivered import FORGET_DAYS
from cryowatch.store.reader import Reader, Row
from cryowatch.times import DAY

SAMPLED = 2_000
"""Of how many items the sizes are looked at: those of all would take seconds."""

_ITEM_BYTES = 130
"""What an item takes in the file beside its texts, with its places in three indexes; as measured."""

_ROW_BYTES = 60
"""What another row takes beside its texts, likewise."""

_OUTPUTS = "SELECT id FROM output WHERE session_id = :session"

_ITEMS = """
SELECT output.kind, count(*) FROM output JOIN micrograph ON micrograph.output_id = output.id
WHERE output.session_id = :session GROUP BY output.kind"""

_ITEM_TEXTS = f"""
SELECT avg(length(name) + length(micrograph_path) + length(power_spectrum_path) + length(shift_plot_path))
FROM (SELECT * FROM micrograph WHERE output_id IN ({_OUTPUTS}) LIMIT {SAMPLED})"""

_SHIFTS = f"SELECT count(*) FROM shifts WHERE output_id IN ({_OUTPUTS})"
_SHIFT_TEXTS = f"""
SELECT avg(length(name) + length(x) + length(y))
FROM (SELECT * FROM shifts WHERE output_id IN ({_OUTPUTS}) LIMIT {SAMPLED})"""

_OTHERS = f"""
SELECT count(*), sum(bytes) FROM (
    SELECT 3 * length(run) + 2 * length(label) + length(class_name) + length(error) + length(working_dir)
           + length(files) + length(coalesce(inputs, '')) AS bytes FROM run WHERE session_id = :session
    UNION ALL
    SELECT 2 * (length(run) + length(name)) + length(class_name) + length(path) FROM output
    WHERE session_id = :session
    UNION ALL SELECT length(movie) + 2 * length(run) FROM gain WHERE session_id = :session
    UNION ALL SELECT length(run) + length(label) FROM run_state WHERE session_id = :session
    UNION ALL SELECT 24 FROM output_size WHERE output_id IN ({_OUTPUTS})
    UNION ALL SELECT 24 FROM output_step WHERE output_id IN ({_OUTPUTS})
    UNION ALL SELECT length(text) + length(detail) + 100 FROM alert WHERE session_id = :session
    UNION ALL
    SELECT 2 * length(path) + 2 * length(key) + length(name) + length(troubles) + length(state_text)
           + length(cursor) + 200 FROM session WHERE id = :session)"""

_COUNTS = """
SELECT (SELECT count(*) FROM run WHERE session_id = :session),
       (SELECT count(*) FROM output WHERE session_id = :session),
       (SELECT count(*) FROM gain WHERE session_id = :session),
       (SELECT count(*) FROM alert WHERE session_id = :session),
       (SELECT count(*) FROM alert WHERE session_id = :session AND acknowledged IS NOT NULL),
       (SELECT count(*) FROM mute WHERE session_id = :session)"""

_FOLLOWERS = """
SELECT follower, seq FROM position
WHERE follower GLOB 'influx *' AND seen >= :since AND EXISTS (
    SELECT 1 FROM delivered_session AS d WHERE d.follower = position.follower AND d.session_id = :session)
ORDER BY follower"""

_POINTS = """
SELECT (SELECT count(*) FROM delivered_series AS d JOIN micrograph AS m ON m.output_id = d.owner AND m.seq <= :seq
        WHERE d.follower = :follower AND d.kind = 'item' AND d.retired IS NULL
        AND d.owner IN (SELECT id FROM output WHERE session_id = :session))
     + (SELECT count(*) FROM delivered_series AS d JOIN published AS p JOIN micrograph AS m ON m.id = p.micrograph_id
        AND m.output_id = d.owner AND p.seq <= :seq
        WHERE d.follower = :follower AND d.kind = 'item' AND d.retired IS NULL AND :follower GLOB 'influx cryowatch *'
        AND d.owner IN (SELECT id FROM output WHERE session_id = :session))
     + (SELECT count(*) FROM gain WHERE session_id = :session AND seq <= :seq)
     + (SELECT count(*) FROM delivered_point WHERE follower = :follower AND holder = 'session:' || :session)
     + (SELECT count(*) FROM delivered_point WHERE follower = :follower
        AND holder IN (SELECT 'alert:' || id FROM alert WHERE session_id = :session))"""

_WAITING = f"SELECT count(*) FROM micrograph WHERE output_id IN ({_OUTPUTS}) AND seq > :seq"

_FILES = f"""
SELECT p.target, sum((p.micrograph <> '') + (p.power_spectrum <> '') + (p.shift_plot <> ''))
FROM micrograph AS m JOIN published AS p ON p.micrograph_id = m.id
WHERE m.output_id IN ({_OUTPUTS})
AND EXISTS (SELECT 1 FROM position WHERE follower = 'images ' || p.target AND seen >= :since)
GROUP BY p.target HAVING sum((p.micrograph <> '') + (p.power_spectrum <> '') + (p.shift_plot <> '')) > 0
ORDER BY p.target"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Belongings:
    """What there is of a session: rows by kind, and about how many bytes of the store they take.

    `waiting` is how many items have not been delivered to every InfluxDB.

    `points` are those at each InfluxDB, by its name in the store, and `files` the published ones at each target.  Both
    are as far as cryowatch wrote them, at places that were in use within 30 days.
    """

    runs: int
    outputs: int
    items: Mapping[str, int]
    gains: int
    alerts: int
    acknowledged: int
    muted: int
    bytes: int
    waiting: int
    points: Mapping[str, int]
    files: Mapping[str, int]


def belongings_of(reader: Reader, session: Row, *, now: int) -> Belongings:
    """Return what there is of a row of the session table; `now` is in UTC ns.

    It looks at every item once, some 0.3 s for 300,000.
    """
    known: dict[str, Any] = {"session": session["id"], "since": now - FORGET_DAYS * DAY}
    with reader.snapshot():
        items = dict(reader.table(_ITEMS, known)[1])
        shifts = reader.value(_SHIFTS, known)
        others, texts = reader.table(_OTHERS, known)[1][0]
        runs, outputs, gains, alerts, acknowledged, muted = reader.table(_COUNTS, known)[1][0]
        bytes_ = sum(items.values()) * (_ITEM_BYTES + (reader.value(_ITEM_TEXTS, known) or 0))
        bytes_ += shifts * (_ROW_BYTES + (reader.value(_SHIFT_TEXTS, known) or 0))
        bytes_ += others * _ROW_BYTES + texts
        followers = reader.table(_FOLLOWERS, known)[1]
        return Belongings(
            runs=runs,
            outputs=outputs,
            items=items,
            gains=gains,
            alerts=alerts,
            acknowledged=acknowledged,
            muted=muted,
            bytes=round(bytes_),
            waiting=max((reader.value(_WAITING, {**known, "seq": seq}) for _, seq in followers), default=0),
            points={
                follower: reader.value(_POINTS, {**known, "follower": follower, "seq": seq})
                for follower, seq in followers
            },
            files={target: int(files) for target, files in reader.table(_FILES, known)[1]},
        )
