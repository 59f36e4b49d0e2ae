"""States of sessions, runs and outputs as points: what can be told of them by the source's own times.

Nothing here depends on when the agent looked.  A session at work is told at the start of its newest run, one at rest at
its last end, and each change between as the runs' times tell it.  A run has a point where it started and one where it
ended.  An output whose items are read has one for each ten minutes in which some came, and one where its run ended;
another output has one where its run ended, or started while it is at work.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from cryowatch.influx.series import Series
from cryowatch.records import OutputKind, RunStatus
from cryowatch.store.changes import OutputNow, RunNow, SessionNow

COUNTED = (OutputKind.MOVIES, OutputKind.MICROGRAPHS, OutputKind.CTF)
"""The outputs whose items are read."""

_RUNNING = "running"
_ACTIVE = {status.value for status in RunStatus if status.active}


class State(NamedTuple):
    """A point of a state: its series, its time (UTC ns), the names of its fields, and these as they are written."""

    series: Series
    time: int
    names: str
    fields: str


class Moment(NamedTuple):
    """What something was from a time (UTC ns) on, and how much an output held."""

    time: int
    status: str
    size: int | None = None


def of_session(session: SessionNow) -> list[Moment]:
    """Return what the session became, and when; nothing where no time is known at all."""
    status = session.row["status"]
    spans = [(run.started, _end(run)) for run in session.runs if run.started is not None]
    known = sorted({time for span in spans for time in span if time is not None})
    moments: list[Moment] = []
    for time in known:
        present = _status_at(session.runs, time)
        if not moments or moments[-1].status != present:
            moments.append(Moment(time, present))
    if not known:
        steps = [times[0][0] for times in session.steps.values() if times]
        created = session.row["created"] if session.row["created"] is not None else min(steps, default=None)
        return [] if created is None else [Moment(created, status)]
    if moments[-1].status != status:
        moments = [*(m for m in moments if m.time < known[-1]), Moment(known[-1], status)]
    return moments


def _end(run: RunNow) -> int | None:
    """Return when a run ended; None while it is at work, whatever an earlier time of it says."""
    return None if run.status in _ACTIVE else run.ended


def _status_at(runs: Sequence[RunNow], time: int) -> str:
    begun = [run for run in runs if run.started is not None and run.started <= time]
    ended = [run for run in begun if (end := _end(run)) is not None and end <= time]
    if any(run.status in _ACTIVE or (run.ended is not None and run not in ended) for run in begun):
        return _RUNNING
    return "failed" if any(run.status == RunStatus.FAILED for run in ended) else "finished"


def of_run(run: RunNow, session: SessionNow) -> list[Moment]:
    """Return what a run was, and when."""
    end = _end(run)
    if end is None:
        start = run.started if run.started is not None else session.row["created"]
        return [] if start is None else [Moment(start, run.status)]
    start = run.started
    begun = [] if start is None or start >= end else [Moment(start, _RUNNING)]
    return [*begun, Moment(end, run.status)]


def of_output(output: OutputNow, session: SessionNow) -> Iterator[Moment]:
    """Yield how much an output held, and when."""
    at_work = output.status in _ACTIVE
    end = None if at_work else output.ended
    last = end
    if last is None and (output.kind not in COUNTED or not at_work):
        last = output.started if output.started is not None else session.row["created"]
    steps = session.steps.get(output.id, ())
    if output.kind in COUNTED:
        for place, (time, size) in enumerate(steps, start=1):
            final = place == len(steps) and (last is None or last <= time)
            yield Moment(time, output.status if final else _RUNNING, size)
    if last is not None and output.size is not None and all(time != last for time, _ in steps):
        yield Moment(last, output.status, output.size)
