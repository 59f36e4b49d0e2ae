"""What is watched for: the rules, as data, and how a facility's configuration changes them.

Limits are in shown units (µm, nm, %, GB), as on the pages.  The standard ones are in use at facilities: defocus
0.1–4.0 µm, astigmatism 1000 Å, gain residual 0.04, 1.15 and 4.5 (Scipion's summary monitor), fewer than a quarter of
the last 25 values in bounds (Diamond's stack), disks at 90 and 95 % (TranSPHIRE), 20 Å of motion a movie (workflow
templates), CTF resolution 6 Å (RELION on the fly).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from cryowatch.errors import ConfigError
from cryowatch.judgement import between
from cryowatch.records import RECORDS, Quantity, Severity, quantities
from cryowatch.settings.tables import TomlTable, nearest, one_of


class About(StrEnum):
    """What a rule looks at."""

    MICROGRAPH = "micrograph"
    GAIN = "gain"
    HOST = "host"
    FILESYSTEM = "filesystem"
    GPU = "gpu"
    IMPORT = "import"
    ALIGNMENT = "alignment"
    CTF = "ctf"
    BACKLOG = "backlog"
    RUN = "run"
    SOURCE = "source"
    SINK = "sink"


MEASURED: Mapping[About, str] = {
    About.MICROGRAPH: "micrograph",
    About.GAIN: "gain",
    About.HOST: "host",
    About.FILESYSTEM: "device",
    About.GPU: "device",
}
"""The rules that compare a field with limits, and the kind of record whose fields they can name."""

WINDOWED = frozenset({About.MICROGRAPH, About.GAIN})
"""The rules that look at the newest few items; the others look at minutes."""

_OF_A_SESSION = WINDOWED | {About.IMPORT, About.ALIGNMENT, About.CTF, About.BACKLOG, About.RUN, About.SOURCE}
_USED: Mapping[str, frozenset[About]] = {
    "low": frozenset(MEASURED),
    "high": frozenset(MEASURED) | {About.BACKLOG},
    "window": WINDOWED,
    "share": WINDOWED,
    "calm_share": WINDOWED,
    "relative": frozenset({About.MICROGRAPH}),
    "minutes": frozenset(About) - {About.FILESYSTEM, About.RUN},
    "sessions": _OF_A_SESSION,
}
"""The rules that each of these keys changes; the other keys change all of them."""

_DEVICES: Mapping[About, tuple[str, ...]] = {
    About.FILESYSTEM: ("used", "free", "total", "full_in"),
    About.GPU: ("use", "memory", "temperature", "power", "processes"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One thing to watch for.

    A windowed rule is broken when fewer than `share` of the newest `window` values lie between `low` and `high`, and
    that for `minutes`; it is kept again from `calm_share` on; `relative` limits are multiples of the session's own
    median.  A host's or GPU's is broken when the mean of the last `minutes` lies outside, a file system's when its
    newest value does; both are kept again when it lies inside by a twentieth.  A stage's is broken when it has brought
    nothing for `minutes` though it should, a backlog's when more than `high` items wait and ever more in the last
    `minutes`, a source's and a sink's after `minutes` of trouble.  An alert is over when its rule has been kept for
    `calm_minutes`.
    """

    name: str
    title: str
    about: About
    field: str = ""
    low: float | None = None
    high: float | None = None
    relative: bool = False
    window: int = 25
    share: float = 0.25
    calm_share: float = 0.5
    minutes: float = 0.0
    calm_minutes: float = 5.0
    severity: Severity = Severity.WARNING
    sessions: tuple[str, ...] = ("*",)
    enabled: bool = True

    @property
    def quantity(self) -> Quantity:
        """What the field is called and measured in; of rules that measure none, nothing."""
        record = MEASURED.get(self.about)
        return quantities(RECORDS[record])[self.field] if record else Quantity(self.title)

    def concerns(self, session: str) -> bool:
        """Return whether a session of this name is watched by this rule."""
        return any(fnmatchcase(session, pattern) for pattern in self.sessions)


STANDARD: tuple[Rule, ...] = (
    Rule(name="run-failed", title="Failed runs", about=About.RUN, severity=Severity.CRITICAL),
    Rule(name="import-stalled", title="Import", about=About.IMPORT, minutes=15, severity=Severity.CRITICAL),
    Rule(name="alignment-stalled", title="Alignment", about=About.ALIGNMENT, minutes=10, severity=Severity.CRITICAL),
    Rule(name="ctf-stalled", title="CTF estimation", about=About.CTF, minutes=10, severity=Severity.CRITICAL),
    Rule(name="backlog", title="Backlog", about=About.BACKLOG, high=50, minutes=30),
    Rule(name="defocus", title="Defocus", about=About.MICROGRAPH, field="defocus", low=0.1, high=4.0),
    Rule(name="astigmatism", title="Astigmatism", about=About.MICROGRAPH, field="astigmatism", high=100),
    Rule(name="resolution", title="CTF resolution", about=About.MICROGRAPH, field="resolution", high=6),
    Rule(name="phase-shift", title="Phase shift", about=About.MICROGRAPH, field="phase_shift", low=0, high=180),
    Rule(name="motion", title="Motion", about=About.MICROGRAPH, field="motion_total", high=20),
    Rule(name="fit-quality", title="Fit quality", about=About.MICROGRAPH, field="fit_quality", low=0.5, relative=True),
    Rule(
        name="gain-stddev",
        title="Standard deviation of the gain residual",
        about=About.GAIN,
        field="stddev",
        high=0.04,
        window=5,
    ),
    Rule(
        name="gain-ratio1",
        title="p97.5 / p2.5 of the gain residual",
        about=About.GAIN,
        field="ratio1",
        high=1.15,
        window=5,
    ),
    Rule(
        name="gain-ratio2",
        title="max / p97.5 of the gain residual",
        about=About.GAIN,
        field="ratio2",
        high=4.5,
        window=5,
    ),
    Rule(name="cpu", title="CPU", about=About.HOST, field="cpu", high=95, minutes=30, enabled=False),
    Rule(name="memory", title="Memory", about=About.HOST, field="memory", high=95, minutes=5),
    Rule(name="swap", title="Swap", about=About.HOST, field="swap", high=80, minutes=5),
    Rule(name="gpu-temperature", title="GPU temperature", about=About.GPU, field="temperature", high=90, minutes=5),
    Rule(name="disk", title="Disk", about=About.FILESYSTEM, field="used", high=90),
    Rule(name="disk-soon-full", title="Disk", about=About.FILESYSTEM, field="full_in", low=4),
    Rule(name="disk-full", title="Disk", about=About.FILESYSTEM, field="used", high=95, severity=Severity.CRITICAL),
    Rule(name="unreadable", title="Source", about=About.SOURCE, minutes=5),
    Rule(name="undelivered", title="Delivery", about=About.SINK, minutes=10),
)

_NUMBER = (int, float)


def rules_of(tables: Mapping[str, Any], *, file: Path, standard: Sequence[Rule] = STANDARD) -> tuple[Rule, ...]:
    """Return the rules as a facility wants them, `[alerts.rules.NAME]` of its configuration; raises `ConfigError`."""
    chosen = {rule.name: rule for rule in standard}
    for name, values in tables.items():
        table = TomlTable(values, f"{file}: alerts.rules.{name}", about="alerts")
        chosen[name] = _changed(chosen[name] if name in chosen else _own(name, table, chosen), table)
    return tuple(chosen.values())


def _own(name: str, table: TomlTable, known: Mapping[str, Rule]) -> Rule:
    about = table.take("about", str)
    if about is None:
        raise ConfigError(
            "there is no such rule",
            where=table.where,
            remedy=f"{nearest(name, known)} A new rule says what it is about",
        )
    kind = About(one_of(about, [a.value for a in MEASURED], "thing to measure", f"{table.where}.about"))
    field = table.take("field", str)
    if field is None:
        raise ConfigError("the rule names no field", where=table.where, remedy='Write for example field = "defocus"')
    one_of(field, measurable(kind), f"field of a {kind}", f"{table.where}.field")
    title = quantities(RECORDS[MEASURED[kind]])[field].label
    minutes = 5 if kind in (About.HOST, About.GPU) else 0
    return Rule(name=name, title=title, about=kind, field=field, minutes=minutes)


def measurable(about: About) -> list[str]:
    """Return the fields that a rule about something can compare with limits: those that are numbers."""
    if about in _DEVICES:
        return list(_DEVICES[about])
    known = quantities(RECORDS[MEASURED[about]])
    fields = [name for name, quantity in known.items() if quantity.decimals is not None]
    return [name for name in fields if name not in ("item", "pixel_size")] if about in WINDOWED else fields


def _changed(rule: Rule, table: TomlTable) -> Rule:
    update: dict[str, Any] = {}

    def give(key: str, value: Any) -> None:
        if rule.about not in _USED.get(key, frozenset(About)):
            what = f"changes nothing in a rule about a {rule.about}"
            raise ConfigError(what, where=f"{table.where}.{key}", remedy="Leave it out")
        update[key] = value

    for key, low, high in (
        ("low", None, None), ("high", None, None), ("window", 1, 1000), ("share", 0, 1), ("calm_share", 0, 1),
        ("minutes", 0, 10_080), ("calm_minutes", 0, 1440),
    ):  # fmt: skip
        value = table.take(key, int if key == "window" else _NUMBER)
        if value is None:
            continue
        if not math.isfinite(value):
            raise ConfigError(f"must be a finite number (it is {value})", where=f"{table.where}.{key}")
        if low is not None and high is not None and not low <= value <= high:
            raise ConfigError(f"must lie between {low} and {high} (it is {value})", where=f"{table.where}.{key}")
        give(key, value)
    severity = table.take("severity", str)
    if severity is not None:
        known = [s.value for s in Severity]
        update["severity"] = Severity(one_of(severity, known, "severity", f"{table.where}.severity"))
    for key, kind in (("enabled", bool), ("relative", bool), ("title", str)):
        value = table.take(key, kind)
        if value is not None:
            give(key, value)
    sessions = table.take("sessions", list)
    if sessions is not None:
        if not sessions or not all(isinstance(name, str) for name in sessions):
            remedy = "Leave it out for all of them, or switch the rule off: enabled = false"
            raise ConfigError("must be a list of names, at least one", where=f"{table.where}.sessions", remedy=remedy)
        give("sessions", tuple(sessions))
    table.end()
    changed = replace(rule, **update)
    _check(changed, table.where)
    return changed


def _check(rule: Rule, where: str) -> None:
    if rule.low is not None and rule.high is not None and rule.low >= rule.high:
        raise ConfigError(f"low must be below high (they are {rule.low} and {rule.high})", where=where)
    if rule.about in MEASURED and rule.low is None and rule.high is None:
        raise ConfigError("the rule has no limit", where=where, remedy="Write low, high or both")
    if rule.calm_share < rule.share:
        what = f"calm_share must not be below share (they are {rule.calm_share} and {rule.share})"
        raise ConfigError(what, where=where)


_WORDS: Mapping[About, str] = {
    About.MICROGRAPH: "{rule.title}: fewer than {share} % of the last {rule.window} micrographs {limits}",
    About.GAIN: "{rule.title}: fewer than {share} % of the last {rule.window} movies {limits}",
    About.HOST: "{label} {beyond}, on average over {rule.minutes:g} min",
    About.GPU: "{label} {beyond}, on average over {rule.minutes:g} min",
    About.FILESYSTEM: "Disk {label} {beyond}",
    About.IMPORT: "The import is running and has brought nothing for {rule.minutes:g} min",
    About.ALIGNMENT: "Movies have waited for motion correction for {rule.minutes:g} min",
    About.CTF: "Micrographs have waited for CTF estimation for {rule.minutes:g} min",
    About.BACKLOG: "More than {rule.high:g} items wait for a stage, and more and more over {rule.minutes:g} min",
    About.RUN: "A run has failed",
    About.SOURCE: "A project that is running cannot be read for {rule.minutes:g} min",
    About.SINK: "A server has accepted nothing for {rule.minutes:g} min",
}


def described(rule: Rule) -> str:
    """Return when a rule is broken, in words."""
    limits = between(rule.low, rule.high, rule.quantity) if rule.about in MEASURED else ""
    if rule.relative:
        limits = " and ".join(
            f"{word} {value:g} of the session's median"
            for word, value in (("above", rule.low), ("below", rule.high))
            if value is not None
        )
    lasting = f", for {rule.minutes:g} min" if rule.about in WINDOWED and rule.minutes else ""
    label = rule.quantity.label.lower() if rule.about is About.FILESYSTEM else rule.quantity.label
    text = _WORDS[rule.about].format(
        rule=rule, limits=limits, label=label, beyond=_beyond(rule), share=f"{100 * rule.share:g}"
    )
    return text + lasting


def _beyond(rule: Rule) -> str:
    """Return the values with which a rule's limits are not kept."""
    said = rule.quantity.said
    ends = [f"{said(rule.low)} or less"] if rule.low is not None else []
    if rule.high is not None:
        ends.append(f"{said(rule.high)} or more")
    return ", or ".join(ends)
