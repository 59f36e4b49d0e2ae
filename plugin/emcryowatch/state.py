"""What the agent says of itself in its state file, for the run's summary and its log."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

STALE_SECONDS = 120
MOST_ALERTS = 10


def read(file: Path) -> dict[str, Any]:
    """Return what the agent wrote last; nothing where it has not written yet."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def alerts(state: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the alerts that last, each once: those of the machine stand with every session."""
    found = {}
    for session in state.get("sessions", []):
        for alert in session["alerts"]:
            found[alert["rule"], alert["subject"], alert["text"]] = alert
    return list(found.values())


def summary(state: dict[str, Any], *, active: bool, now: float) -> list[str]:
    """Return how it goes, in lines for people; `active` is whether Scipion says that the run is at work."""
    if not state:
        return ["The agent has not written yet how it is."]
    lines = []
    if active and state["phase"] != "ended" and state.get("address"):
        lines.append(f"Pages: {state['address']}")
    for session in state["sessions"]:
        counts = [
            f"{session['movies']:,} movies",
            f"{session['micrographs']:,} micrographs",
            f"{session['ctf']:,} CTFs",
        ]
        if session["gains"]:
            counts.append(f"{session['gains']:,} gain residuals")
        lines.append(", ".join(counts))
        lines += [f"Needs a person: {text}" for text in session["needs"]]
    found = alerts(state)
    lines.append(f"Active alerts: {len(found)}" if found else "Active alerts: none")
    lines += [f"  {alert['severity']}: {alert['text']}" for alert in found[:MOST_ALERTS]]
    if len(found) > MOST_ALERTS:
        lines.append(f"  and {len(found) - MOST_ALERTS} more")
    for delivery in state["deliveries"]:
        if delivery["problem"]:
            lines.append(
                f"{delivery['where']}: {delivery['problem']} ({delivery['behind']:,} {delivery['waiting']} wait)"
            )
        if delivery["refused"]:
            lines.append(f"{delivery['where']}: {delivery['refused']:,} were refused")
    lines += [f"Not delivered: {text}" for text in state["left"]]
    age = now - state["time"] / 1000
    if active and state["phase"] != "ended" and age > STALE_SECONDS:
        lines.append(f"This is as of {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(state['time'] / 1000))}.")
    elif state["phase"] == "finishing":
        lines.append("What is left is being delivered.")
    elif state["reason"]:
        lines.append(f"Ended: {state['reason']}.")
    return lines
