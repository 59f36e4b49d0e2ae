"""What is said of each session in one glance, computed again only where the session changed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, TypeVar

from cryowatch.judgement import Bound, of_outputs, quantile, share_status
from cryowatch.records import OutputKind, Session, quantities
from cryowatch.store.leading import Leading, Stage
from cryowatch.store.panels.columns import read
from cryowatch.store.panels.future import future
from cryowatch.store.panels.good import good_among
from cryowatch.store.panels.pace import pace, pace_sql
from cryowatch.store.panels.query import Scope
from cryowatch.store.reader import Reader, Row
from cryowatch.store.states import status_of
from cryowatch.times import milliseconds

T = TypeVar("T")

_RATE_LASTS = 10 * 10**9
_ACQUISITION = (
    "voltage", "spherical_aberration", "amplitude_contrast", "magnification", "pixel_size", "dose_per_frame",
)  # fmt: skip
_MEDIANS = ("defocus", "resolution", "astigmatism")

MOST_RUNS = 200
MOST_OUTPUTS = 300
"""Of a session that are told with it: the last ones, and the outputs that stand for its stages."""


class Summaries:
    """Summaries of sessions, kept until the session's next change; rates for ten seconds at most.

    `bounds` are the limits that good micrographs keep.
    """

    def __init__(
        self,
        reader: Reader,
        clock: Callable[[], int],
        last_read: Callable[[int], int | None],
        bounds: Sequence[Bound],
    ) -> None:
        self._reader = reader
        self._bounds = bounds
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
        leading = partial(self._reader.leading, number)
        figures = self._known(self._kept, number, seq, lambda: self._figures(leading(), now))
        rates = self._known(self._rates, number, (seq, now // _RATE_LASTS), lambda: self._rate(leading(), now))
        time = figures["newest"]["time"]
        newest = {**figures["newest"], "time": None if time is None else min(time, milliseconds(now) or 0)}
        return {
            "id": session["key"],
            "name": session["name"],
            "path": session["path"],
            "host": session["host"],
            "source": session["source"],
            "software": session["software"],
            "status": status_of(session),
            "created": milliseconds(session["created"]),
            "state": self._state(session),
            "head": session["seq"],
            "generation": session["generation"],
            **figures,
            "newest": newest,
            **rates,
        }

    def detail(self, session: Row, dashboards: Sequence[Any]) -> dict[str, Any]:
        """Return the summary with acquisition, runs, outputs and dashboards."""
        outputs = self._reader.outputs(session["id"])
        leading = Leading(outputs)
        told = {*leading.all_ids, *(row["id"] for row in outputs[-MOST_OUTPUTS:])}
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
            "runs": [_run(row) for row in self._reader.runs(session["id"], last=MOST_RUNS)],
            "outputs": [_output(row) for row in outputs if row["id"] in told],
            "leading": leading.shown.ids,
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

    def _rate(self, leading: Leading, now: int) -> dict[str, Any]:
        """Return how fast items come, and what lies in the future."""
        stage = leading.shown
        rate: dict[str, Any] = {"last_hour": None, "median_hour": None}
        if stage.count:
            sql, parameters = pace_sql(f"micrograph WHERE {of_outputs(stage.ids)}", now)
            known = pace(self._reader.table(sql, parameters)[1][0])
            rate = {"last_hour": known.last_hour, "median_hour": known.usual}
        ahead = future(self._reader.table, leading.all_ids, now)
        return {"rate": rate, "future": ahead and {"count": ahead.count, "latest": milliseconds(ahead.latest)}}

    def _good(self, estimates: Stage, now: int) -> dict[str, Any] | None:
        if not estimates.count:
            return None
        found = good_among(self._reader.table, estimates.ids, self._bounds, now)
        status = None if found.share is None else share_status(found.share)
        return {**asdict(found), "share": found.share, "status": status}

    def _figures(self, leading: Leading, now: int) -> dict[str, Any]:
        stages = leading.stages
        times = [stage.newest for stage in stages.values() if stage.newest is not None]
        chosen = leading.shown
        medians: dict[str, float | None] = dict.fromkeys(_MEDIANS)
        last: Row | None = None
        if chosen.count:
            columns = read(
                self._reader.table, Scope(session=0, host="", now=now, outputs=chosen.ids), "micrograph", _MEDIANS
            )
            medians = {field: quantile(columns.ordered(field), 0.5) for field in _MEDIANS}
            if chosen.kind is not OutputKind.MOVIES:  # a movie has no picture
                last = self._reader.newest_of(chosen.ids)
        return {
            "counts": {kind.value: stage.count for kind, stage in stages.items()},
            "stages": {kind.value: milliseconds(stage.newest) for kind, stage in stages.items() if stage.outputs},
            "newest": {
                "time": milliseconds(max(times, default=None)),
                "micrograph": last and last["id"],
                "name": last and last["name"],
                "version": last and last["seq"],
            },
            "medians": medians,
            "good": self._good(leading[OutputKind.CTF], now),
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
