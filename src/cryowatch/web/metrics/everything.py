"""All that `/metrics` tells, collected anew each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from operator import itemgetter
from typing import Any

from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector

from cryowatch import __version__
from cryowatch.reading import READABLE
from cryowatch.store.reader import Reader
from cryowatch.times import SECOND
from cryowatch.web.alerts import Active, Alerts, counts
from cryowatch.web.metrics.families import Samples, counter, gauge
from cryowatch.web.metrics.host import host_metrics
from cryowatch.web.summaries import Summaries

Deliveries = Sequence[Mapping[str, Any]]

_process = ProcessCollector(registry=None)
"""The agent's own process, under the names that it has on every service; its children, which render, are not in it."""


def everything(
    summaries: Summaries, alerts: Alerts, deliveries: Deliveries, *, reader: Reader, host: str, now: int
) -> Iterator[Metric]:
    """Yield the families of sessions, alerts, deliveries, the machine and the agent's process; `now` is UTC ns."""
    sessions = summaries.all()
    yield from gauge("cryowatch_info", "The version that runs here.", [((__version__,), 1)], labels=("version",))
    yield from _sessions(sessions)
    yield from _stages(sessions, now / SECOND)
    yield from _judged(sessions)
    yield from _alarms(sessions, alerts.active())
    yield from _delivered(deliveries)
    yield from host_metrics(reader, host, now)
    yield from _process.collect()


def _sessions(sessions: list[dict[str, Any]]) -> Iterator[Metric]:
    named = [((s["id"], s["name"], s["host"]), 1) for s in sessions]
    text = "What a session is called, and which machine reads it."
    yield from gauge("cryowatch_session_info", text, named, labels=("session", "name", "host"))
    for name, text, value in (
        ("newest_timestamp_seconds", "Time of the newest item.", _newest),
        ("last_read_timestamp_seconds", "Time of the last good read.", _last_read),
        ("readable", "1 where the source can be read.", _readable),
        ("running", "1 while a run is at work.", _running),
    ):
        samples = [((s["id"],), number) for s in sessions if (number := value(s)) is not None]
        yield from gauge(f"cryowatch_{name}", text, samples, labels=("session",))


def _stages(sessions: list[dict[str, Any]], now: float) -> Iterator[Metric]:
    """Yield how many items each stage has, how old the newest is, and how many the stage has not processed yet."""
    items, ages, backlogs = [], [], []
    for session in sessions:
        for stage, count in session["counts"].items():
            items.append(((session["id"], stage), count))
        for stage, newest in session["stages"].items():
            if newest is not None:
                ages.append(((session["id"], stage), max(0.0, now - newest / 1000)))
        for before, stage in pairwise(session["stages"]):
            waiting = max(0, session["counts"][before] - session["counts"][stage])
            backlogs.append(((session["id"], stage), waiting))
    labels = ("session", "stage")
    yield from gauge("cryowatch_items", "Items of each stage of a session.", items, labels=labels)
    yield from gauge("cryowatch_newest_age_seconds", "Seconds since the newest item of a stage.", ages, labels=labels)
    text = "Items of the stage before that a stage has not processed yet."
    yield from gauge("cryowatch_backlog_items", text, backlogs, labels=labels)


def _judged(sessions: list[dict[str, Any]]) -> Iterator[Metric]:
    """Yield how many estimates of each session are good, outside of a limit, without a fit, and disabled."""
    samples = []
    for session in sessions:
        if (good := session["good"]) is not None:
            counted = {"good": good["good"], "outside": good["of"] - good["good"], "unfit": good["unfit"]}
            for judgement, count in {**counted, "disabled": good["disabled"]}.items():
                samples.append(((session["id"], judgement), count))
    text = "CTF estimates that are good, or outside of a limit (unfit ones among them), and disabled ones beside."
    yield from gauge("cryowatch_estimates", text, samples, labels=("session", "judgement"))


def _alarms(sessions: list[dict[str, Any]], active: Active) -> Iterator[Metric]:
    """Yield how many alerts each session has; those of the host alone are of no session."""
    samples = [
        ((key or "", severity), count)
        for key in (*(session["id"] for session in sessions), None)
        for severity, count in counts(a for a in active.alerts if a["session"] == key).items()
    ]
    text = "Alerts that last; those of the host alone have no session."
    yield from gauge("cryowatch_alerts_active", text, samples, labels=("session", "severity"))


def _delivered(deliveries: Deliveries) -> Iterator[Metric]:
    def samples(value: Callable[[Mapping[str, Any]], int]) -> Samples:
        return [((delivery["where"], delivery["what"]), value(delivery)) for delivery in deliveries]

    labels = ("where", "what")
    text = "Changes of the store that are not delivered yet."
    yield from gauge("cryowatch_delivery_behind", text, samples(itemgetter("behind")), labels=labels)
    text = "1 where something stands in the way of a delivery."
    yield from gauge("cryowatch_delivery_failing", text, samples(lambda d: int(bool(d["problem"]))), labels=labels)
    for name, text in (
        ("accepted", "Points that the server took."),
        ("rejected", "Points that the server will never take."),
        ("dropped", "Host samples that were forgotten before the server could take them."),
    ):
        yield from counter(f"cryowatch_delivery_{name}_total", text, samples(itemgetter(name)), labels=labels)


def _newest(session: dict[str, Any]) -> float | None:
    time = session["newest"]["time"]
    return None if time is None else time / 1000


def _last_read(session: dict[str, Any]) -> float | None:
    time = session["state"]["last_read"]
    return None if time is None else time / 1000


def _readable(session: dict[str, Any]) -> int:
    return int(session["state"]["state"] in READABLE)


def _running(session: dict[str, Any]) -> int:
    return int(session["status"] == "running")
