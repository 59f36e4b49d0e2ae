"""The folders below cryowatch: what each is for, and whose code it may use.  `python -m tests.support.rooms`."""

from __future__ import annotations

from dataclasses import dataclass, field

VOCABULARY = {
    "errors": "what can go wrong, and what to do about it",
    "records": "what is kept of a session, and the units of its values",
    "reading": "what a source hands over",
    "judgement": "inside, outside, no fit, good: what these mean, with their SQL",
    "times": "times and durations in words",
    "numbers": "numbers in text",
}
"""Modules that every folder may use; they do no input or output."""


@dataclass(frozen=True, slots=True)
class Room:
    """A folder: what it is for, and the folders that it may import from, besides the vocabulary and itself."""

    holds: str
    may: frozenset[str] = field(default_factory=frozenset)


def _room(holds: str, may: str = "") -> Room:
    return Room(holds, frozenset(may.split()))


ROOMS = {
    "settings": _room("what people may set, from files, the environment, the command line and `secrets.cfg`"),
    "access": _room("accounts, logins, links that share a session"),
    "follow": _room("what a follower of the store is, and how a delivery fares"),
    "system": _room("the machine below: systemd, logs, certificates, HTTP, files that people may reach", "settings"),
    "dashboards": _room("what a dashboard shows, as data; no SQL, no Grafana", "settings"),
    "sources": _room("reads Scipion's projects and the machine, and writes nothing", "system"),
    "store": _room("one SQLite file: one writer, readers beside it, the panels' queries", "dashboards"),
    "images": _room("a picture of a micrograph, from a process that may die", "settings system"),
    "alerts": _room("what is wrong, and since when; tells nobody", "settings store"),
    "forgetting": _room("what goes with a session that is forgotten", "access images store"),
    "influx": _room("everything that speaks InfluxDB", "settings system follow store"),
    "publish": _room("pictures to a folder or a server", "settings system follow images store"),
    "notices": _room("telling people: mail, webhooks, Apprise", "settings system follow images store"),
    "web": _room("the pages", "settings system access follow dashboards images store forgetting"),
    "grafana": _room("everything that speaks Grafana", "system dashboards influx"),
    "report": _room("one session as one file", "settings system follow dashboards images store"),
    "agent": _room(
        "runs it all on one machine",
        "settings system access follow dashboards sources store images alerts forgetting influx publish notices web"
        " grafana report",
    ),
    "demo": _room("a simulated session; uses nothing of the rest"),
}

ALL = {
    "doctor": "looks at everything that may be set up wrong",
    "commands": "a module for each command: options in, a call out",
    "cli": "puts the commands together",
    "__main__": "`python -m cryowatch`",
}
"""What may import everything."""


def table() -> str:
    """Return the table of docs/development.md."""
    lines = ["| folder | what it holds | imports from, besides the vocabulary |", "|---|---|---|"]
    for name, room in ROOMS.items():
        lines.append(
            f"| `{name}` | {room.holds} | {', '.join(f'`{other}`' for other in ROOMS if other in room.may) or '–'} |"
        )
    for name, holds in ALL.items():
        if not name.startswith("_"):
            lines.append(f"| `{name}` | {holds} | all of these |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
