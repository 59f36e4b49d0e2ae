"""What `status` prints, read from the store beside whichever agent is writing to it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from cryowatch.errors import NotFoundError, StoreFailed, one_line
from cryowatch.judgement import Bound, whole_percent
from cryowatch.records import OutputKind, Severity
from cryowatch.store.leading import Stage
from cryowatch.store.panels.future import future
from cryowatch.store.panels.good import good_among
from cryowatch.store.reader import Reader, Row
from cryowatch.store.states import status_of
from cryowatch.store.writer import FILE_NAME
from cryowatch.times import DAY

_HEALTHY = ("ok", "busy")
_WAITING = {"images": "micrographs", "report": "reports", "notices": "notices"}
"""What those who follow the store are behind with, by the first word of their names; else changes."""
QUIET = 12
"""How many sessions that are over, and need nobody, `status` names."""

MOST_FAILED = 20
MOST_ERRORS = 12_000
"""Failed runs of a session that are named, and characters of whole errors; `export --kind runs` has all."""
_MOST_LINE = 240

_ONE_LINE = 10_000
"""Columns for what is no terminal, so that each session stays on its line."""


def store_file(data_dir: Path) -> Path:
    """Return the store's file in a data directory; raises `StoreFailed` where there is none."""
    path = data_dir / FILE_NAME
    try:
        path.stat()
    except PermissionError:
        raise StoreFailed(
            "this user may not read it", where=data_dir, remedy="Run this as the user who watches, or check --data-dir"
        ) from None
    except OSError:
        raise StoreFailed(
            "nothing has been watched with this data directory yet",
            where=data_dir,
            remedy="Check --data-dir, or run cryowatch watch first",
        ) from None
    return path


def session_of(reader: Reader, name: str) -> Row:
    """Return the session of this id, name or folder, also by a link to the folder; raises `NotFoundError`."""
    try:
        return reader.session(name)
    except NotFoundError:
        own = os.path.realpath(name)
        if "/" not in name or own == name:
            raise
        return reader.session(own)


def open_reader(data_dir: Path) -> Reader:
    """Return a reader of the store in a data directory; raises `StoreFailed` where there is none."""
    return Reader(store_file(data_dir))


def status(
    data_dir: Path, *, bounds: Sequence[Bound], as_json: bool, out: TextIO, whole: bool = False, most: int = QUIET
) -> int:
    """Print how every session and this machine are; returns 0 where all is well, 1 where something needs a person.

    `bounds` are the limits that good micrographs keep.  An alert that somebody has acknowledged or muted is shown, and
    needs nobody else.  Sessions that need a person come first, then those that run, then the `most` newest of the
    others, or all of them in the `whole` list and in JSON.
    """
    reader, now = open_reader(data_dir), time.time_ns()
    alerts = [_alert_status(row) for row in reader.lasting_alerts(now)]
    found = [_whole_status(reader, row, alerts, bounds, now) for row in reader.sessions()]
    machine = [alert for alert in alerts if alert["session"] is None]
    renamed = reader.renamed()
    deliveries = [_delivery_status(row, renamed) for row in reader.followers(since=now - DAY)]
    needing = [s for s in (*found, *deliveries) if s["needs"]] or [a for a in machine if _needs_a_person(a)]
    if as_json:
        known = {"healthy": not needing, "sessions": found, "alerts": machine, "deliveries": deliveries}
        json.dump(known, out, indent=2)
        out.write("\n")
    elif not found:
        out.write("No session is known yet.\n")
    else:
        needy, running, quiet = _in_turn(found)
        shown = quiet if whole else quiet[:most]
        _print_status([*needy, *running, *shown], now, out)
        if left := len(quiet) - len(shown):
            out.write(
                f"{left:,} more {'is' if left == 1 else 'are'} over and fine; `cryowatch status --all` shows all.\n"
            )
        for alert in machine:
            out.write(one_line(f"This machine: {_alert_text(alert)}") + "\n")
        for delivery in deliveries:
            out.write(
                one_line(f"{delivery['where']}: {'; '.join(delivery['needs']) or 'well'}; ") + _left(delivery) + "\n"
            )
            for path, name in delivery["called"].items():
                out.write(one_line(f"  {path} is called {name} there") + "\n")
    return 1 if needing else 0


def _whole_status(
    reader: Reader, row: Row, alerts: Iterable[Mapping[str, Any]], bounds: Sequence[Bound], now: int
) -> dict[str, Any]:
    """Return how a session is; `alerts` are all that last now (UTC ns)."""
    known = session_status(reader, row, now)
    own = [alert for alert in alerts if alert["session"] == row["key"]]
    needs = known.pop("needs")
    said = {"unreadable", "run-failed"} if needs else set()
    needs += [_alert_text(alert) for alert in own if _needs_a_person(alert) and alert["rule"] not in said]
    leading = reader.leading(row["id"])
    ahead = future(reader.table, leading.all_ids, now)
    if ahead and known["state"] in _HEALTHY:
        needs.append(str(ahead))
    good = _good(reader, leading[OutputKind.CTF], bounds, now)
    return {**known, "future": ahead and asdict(ahead), "good": good, "alerts": own, "needs": needs}


def session_status(reader: Reader, row: Row, now: int, *, most_failed: int = MOST_FAILED) -> dict[str, Any]:
    """Return what is known of a session without a look at its items, as `cryowatch status --json` prints it.

    Of failed runs the first so many are named, and the others counted.
    """
    leading = reader.leading(row["id"])
    times = [stage.newest for stage in leading.stages.values() if stage.newest is not None]
    runs = [] if row["replaced"] else reader.runs(row["id"])
    failed = [run for run in runs if run["status"] == "failed"]
    needs = []
    if row["state"] not in _HEALTHY and not row["replaced"]:
        needs.append(row["state_text"] or row["state"])
    needs += _failures(failed[:most_failed])
    if len(failed) > most_failed:
        needs.append(f"{len(failed) - most_failed:,} more runs failed")
    return {
        "session": row["key"],
        "name": row["name"],
        "path": row["path"],
        "status": status_of(row),
        "state": row["state"],
        "last_read": row["last_read"],
        "newest": min(max(times), now) if times else None,
        **{kind.value: stage.count for kind, stage in leading.stages.items()},
        "needs": needs,
    }


def _failures(runs: Sequence[Row]) -> list[str]:
    """Return that runs have failed and why: whole errors, and of further ones where there are many the last line."""
    room = MOST_ERRORS
    found = []
    for run in runs:
        error = run["error"]
        room -= len(error)
        if room < 0 and error:
            error = error.rstrip().rsplit("\n", 1)[-1][:_MOST_LINE]
        found.append(f"run {run['run']} ({run['label']}) failed{': ' + error if error else ''}")
    return found


def _good(reader: Reader, estimates: Stage, bounds: Sequence[Bound], now: int) -> dict[str, Any] | None:
    """Return how many of a session's estimates are good, and of how many; None before there is one."""
    if not estimates.count:
        return None
    found = good_among(reader.table, estimates.ids, bounds, now)
    return {**asdict(found), "share": found.share}


def _alert_status(row: Row) -> dict[str, Any]:
    return {**row, "muted": bool(row["muted"])}


def _needs_a_person(alert: Mapping[str, Any]) -> bool:
    return alert["acknowledged"] is None and not alert["muted"] and alert["severity"] != Severity.INFO


def _alert_text(alert: Mapping[str, Any]) -> str:
    return f"{alert['severity']}: {alert['text']}"


def _delivery_status(row: Row, renamed: Iterable[tuple[str, str, str]]) -> dict[str, Any]:
    return {
        "where": row["follower"],
        "behind": row["behind"],
        "refused": row["rejected"],
        "reason": row["reason"],
        "outdated": row["outdated"],
        "dropped": row["dropped"],
        "seen": row["seen"],
        "called": {path: name for follower, path, name in renamed if follower == row["follower"]},
        "needs": [row["problem"]] if row["problem"] else [],
    }


def _left(delivery: Mapping[str, Any]) -> str:
    refused = f", {delivery['refused']:,} points were refused" if delivery["refused"] else ""
    if refused and delivery["reason"]:
        refused += one_line(f": {delivery['reason']}")
    if delivery["outdated"]:
        refused += f", {delivery['outdated']:,} points stay that are no more, as the server does not delete"
    if delivery["dropped"]:
        refused += f", {delivery['dropped']:,} host samples were dropped before they could be delivered"
    noun = _WAITING.get(delivery["where"].split(" ")[0], "changes")
    return f"{delivery['behind']:,} {noun} behind{refused}"


def _in_turn(
    found: Iterable[dict[str, Any]],
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the sessions that need a person, the others that run, and the rest."""
    needy: list[dict[str, Any]] = []
    running: list[dict[str, Any]] = []
    quiet: list[dict[str, Any]] = []
    for session in found:
        place = needy if session["needs"] else running if session["status"] == "running" else quiet
        place.append(session)
    return needy, running, quiet


def _print_status(found: list[dict[str, Any]], now: int, out: TextIO) -> None:
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(file=out, highlight=False, emoji=False, width=None if out.isatty() else _ONE_LINE)
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("Session")
    table.add_column("Status")
    for stage in ("Movies", "Micrographs", "CTF"):
        table.add_column(stage, justify="right")
    table.add_column("Good", justify="right")
    table.add_column("Newest")
    table.add_column("Needs a person", overflow="fold")
    for session in found:
        newest = "–" if session["newest"] is None else f"{_age(now - session['newest'])} ago"
        needs = Text(one_line("; ".join(session["needs"])) or "–", style="red" if session["needs"] else "")
        table.add_row(
            Text(one_line(session["name"])),
            session["status"],
            *(f"{session[stage]:,}" for stage in ("movies", "micrographs", "ctf")),
            _share_of_good(session["good"]),
            newest,
            needs,
        )
    console.print(table)


def _share_of_good(good: Mapping[str, Any] | None) -> str:
    if good is None or good["share"] is None:
        return "–"
    return f"{good['good']:,} of {good['of']:,} ({whole_percent(good['good'], good['of'])} %)"


def _age(nanoseconds: int) -> str:
    from cryowatch.store.panels.payload import age  # noqa: PLC0415

    return age(nanoseconds)
