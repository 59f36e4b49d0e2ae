"""What is said of each session in one glance, computed again only where the session changed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from cryowatch.model import DERIVED, Micrograph, OutputKind, Session, quantities
from cryowatch.store.reader import Reader, Row, leading, leading_of

T = TypeVar("T")

_MILLISECOND = 10**6
_HOUR = 3_600 * 10**9
_RATE_LASTS = 10 * 10**9
_ACQUISITION = (
    "voltage", "spherical_aberration", "amplitude_contrast", "magnification", "pixel_size", "dose_per_frame",
)  # fmt: skip
_MEDIANS = ("defocus", "resolution", "astigmatism")

_FIGURES = f"""
SELECT {", ".join(f"quartiles({f})" for f in _MEDIANS)} FROM micrograph WHERE output_id = ?"""

_NEWEST = "SELECT id, name, time, seq FROM micrograph WHERE output_id = ? ORDER BY time DESC, item DESC LIMIT 1"

_RATES = f"""
WITH hours AS (SELECT time / {_HOUR} AS hour, count(*) AS n FROM micrograph WHERE output_id = :output GROUP BY 1)
SELECT (SELECT count(*) FROM micrograph WHERE output_id = :output AND time > :now - {_HOUR} AND time <= :now),
       (SELECT quantile(n, 0.5) FROM hours WHERE hour < :now / {_HOUR} AND hour > (SELECT min(hour) FROM hours))"""


def milliseconds(nanoseconds: int | None) -> int | None:
    """Return UTC nanoseconds as milliseconds."""
    return None if nanoseconds is None else nanoseconds // _MILLISECOND


class Summaries:
    """Summaries of sessions, kept until the session's next change; its rates for ten seconds at most."""

    def __init__(self, reader: Reader, clock: Callable[[], int], last_read: Callable[[int], int | None]) -> None:
        self._reader = reader
        self._clock = clock
        self._last_read = last_read
        self._kept: dict[int, tuple[int, dict[str, Any]]] = {}
        self._rates: dict[int, tuple[tuple[int, int], dict[str, Any]]] = {}
        self._entry = threading.Lock()

    def all(self) -> list[dict[str, Any]]:
        """Return every session, the one that changed last first."""
        return [self.summary(row) for row in self._reader.sessions()]

    def summary(self, session: Row) -> dict[str, Any]:
        """Return the summary of one row of the session table."""
        now = self._clock()
        number, seq = session["id"], session["seq"]
        outputs = partial(self._reader.outputs, number)
        figures = self._known(self._kept, number, seq, lambda: self._figures(outputs()))
        rate = self._known(self._rates, number, (seq, now // _RATE_LASTS), lambda: self._rate(outputs(), now))
        return {
            "id": session["key"],
            "name": session["name"],
            "path": session["path"],
            "host": session["host"],
            "source": session["source"],
            "software": session["software"],
            "status": session["status"] or "empty",
            "created": milliseconds(session["created"]),
            "state": self._state(session),
            "head": session["seq"],
            "generation": session["generation"],
            **figures,
            "rate": rate,
        }

    def detail(self, session: Row, dashboards: Sequence[Any]) -> dict[str, Any]:
        """Return the summary with acquisition, runs, outputs and dashboards."""
        outputs = self._reader.outputs(session["id"])
        chosen = leading(outputs)
        known = quantities(Session)
        return {
            **self.summary(session),
            "acquisition": [
                {
                    "name": field,
                    "label": known[field].label,
                    "value": known[field].shown(session[field]),
                    "unit": known[field].shown_unit,
                    "decimals": known[field].decimals,
                }
                for field in _ACQUISITION
                if session[field] is not None
            ],
            "runs": [_run(row) for row in self._reader.runs(session["id"])],
            "outputs": [_output(row) for row in outputs],
            "output": chosen["id"] if chosen else None,
            "dashboards": [{"name": d.name, "uid": d.uid, "title": d.title} for d in dashboards],
        }

    def _state(self, session: Row) -> dict[str, Any]:
        last = self._last_read(session["id"])
        return {
            "state": session["state"],
            "text": session["state_text"],
            "last_read": milliseconds(session["last_read"] if last is None else last),
            "troubles": json.loads(session["troubles"]),
        }

    def _known(
        self, kept: dict[int, tuple[T, dict[str, Any]]], session: int, token: T, found: Callable[[], dict[str, Any]]
    ) -> dict[str, Any]:
        """Return what is kept of a session under a token; what was kept under another is found anew."""
        with self._entry:
            known = kept.get(session)
        if known is None or known[0] != token:
            known = (token, found())
            with self._entry:
                kept[session] = known
        return known[1]

    def _rate(self, outputs: Sequence[Row], now: int) -> dict[str, Any]:
        chosen = leading(outputs)
        last_hour = median_hour = None
        if chosen is not None and chosen["count"]:
            last_hour, median_hour = self._reader.table(_RATES, {"output": chosen["id"], "now": now})[1][0]
        return {"last_hour": last_hour, "median_hour": median_hour}

    def _figures(self, outputs: Sequence[Row]) -> dict[str, Any]:
        stages = (OutputKind.MOVIES, OutputKind.MICROGRAPHS, OutputKind.CTF)
        leaders = {kind: leading_of(outputs, kind) for kind in stages}
        counts = {kind.value: leader["count"] if leader else 0 for kind, leader in leaders.items()}
        newest_of = {kind.value: milliseconds(leader["newest"]) for kind, leader in leaders.items() if leader}
        newest = max((leader["newest"] or 0 for leader in leaders.values() if leader), default=0)
        chosen = leading(outputs)
        medians: dict[str, float | None] = dict.fromkeys(_MEDIANS)
        last: tuple[Any, ...] = (None, None, None, None)
        if chosen is not None and chosen["count"]:
            values = self._reader.table(_FIGURES, (chosen["id"],))[1][0]
            known = {**quantities(Micrograph), **DERIVED}
            medians = {
                field: None if value is None else known[field].shown(float(value.split()[1]))
                for field, value in zip(_MEDIANS, values, strict=True)
            }
            last = self._reader.table(_NEWEST, (chosen["id"],))[1][0]
        return {
            "counts": counts,
            "stages": newest_of,
            "newest": {
                "time": milliseconds(newest or None),
                "micrograph": last[0],
                "name": last[1],
                "version": last[3],
            },
            "medians": medians,
        }


def _run(row: Row) -> dict[str, Any]:
    return {
        **{key: row[key] for key in ("run", "label", "class_name", "status", "error")},
        "started": milliseconds(row["started"]),
        "ended": milliseconds(row["ended"]),
    }


def _output(row: Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "run": row["run"],
        "run_label": row["run_label"],
        "run_status": row["run_status"],
        "name": row["name"],
        "class_name": row["class_name"],
        "kind": row["kind"],
        "size": row["size"],
        "count": row["count"],
        "stream_open": None if row["stream_open"] is None else bool(row["stream_open"]),
        "newest": milliseconds(row["newest"]),
    }
