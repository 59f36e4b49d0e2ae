"""Rules about the stages of a session: which one has stopped, told by comparing their clocks.

A stage's clock is the time of its newest item.  The first stage has stopped when its clock stands though its run is at
work.  A later one has stopped when the stage before it has brought something newer, and that has waited too long; where
it has caught up with a stage that stopped, it is not at fault.  All durations count up to the last time that the whole
session was read: what cannot be read is another rule's.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from cryowatch.alerts.finding import Finding
from cryowatch.alerts.rules import About, Rule
from cryowatch.errors import plain_line
from cryowatch.records import OutputKind, RunStatus
from cryowatch.store import windows
from cryowatch.store.alerts import Key, State
from cryowatch.store.leading import Stage as Leader
from cryowatch.store.reader import Reader, Row
from cryowatch.times import HOUR, MINUTE

FEWEST_WAITING = 3
_KINDS = (OutputKind.MOVIES, OutputKind.MICROGRAPHS, OutputKind.CTF)
_RECENT = 24 * HOUR
_GROWTH = 1.1
_MOST_TEXT = 240
_MOST_SEEN = 500
_MOST_DETAIL = 4_000
_FIRST_OF_DETAIL = 1_000
_OTHERS = "others"
"""What the alert is about that counts the failed runs which have none of their own; no run has a word for its id."""

MOST_FAILED = 20
"""Failed runs of a session that are alerts of their own: their errors are on everybody's first page."""

_SLACK = 2 * MINUTE
"""By how much the clocks of two machines may differ, and for how long a file may be on its way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """How far a stage has come: its outputs, how many items, the time of the newest (UTC ns), whether it is at work.

    A run at work that has not brought anything yet has no output, or an empty one; `newest` is 0 then.  The items of
    several grids count together, and the stage is at work while one of its runs is.
    """

    about: About
    name: str
    outputs: tuple[int, ...]
    count: int
    newest: int
    working: bool
    started: int
    files: str
    seen: tuple[int, ...] | None
    """When it was seen to grow, where its items are dated after the present and their times say nothing."""


class Stages:
    """Looks at the stages of sessions.

    `incoming` tells when something last came where an import of a project, by its folder, looks (UTC ns).
    """

    def __init__(self, reader: Reader, incoming: Callable[[str, str], int | None] = lambda *_: None) -> None:
        self._reader = reader
        self._incoming = incoming
        self._runs: dict[int, tuple[int, list[Row]]] = {}
        """The runs of a session as of its last change."""
        self._grown: dict[tuple[int, ...], deque[tuple[int, int]]] = {}

    def findings(self, session: Row, rules: Iterable[Rule], host: str, as_of: int) -> Iterator[Finding]:
        """Yield what the rules find in a session that was read whole at `as_of` (UTC ns)."""
        rules = list(rules)
        runs = self._runs_of(session)
        stages = [] if all(rule.about is About.RUN for rule in rules) else self._stages(session, runs, as_of)
        for rule in rules:
            key = Key(rule=rule.name, session=session["id"], host=host)
            if rule.about is About.RUN:
                yield from _failures(key, rule, runs, as_of)
            elif rule.about is About.BACKLOG:
                for before, stage in pairwise(stages):
                    yield self._backlog(key, rule, before, stage, as_of)
            else:
                for place, stage in enumerate(stages):
                    if stage.about is rule.about:
                        yield self._stall(key, rule, stages, place, as_of, session["path"])

    def _runs_of(self, session: Row) -> list[Row]:
        known = self._runs.get(session["id"])
        if known is None or known[0] != session["seq"]:
            known = self._runs[session["id"]] = (session["seq"], self._reader.runs(session["id"]))
        return known[1]

    def _stages(self, session: Row, runs: list[Row], as_of: int) -> list[Stage]:
        """Return the stages that the session has, in order; the first is the import, whatever it brings."""
        leading = self._reader.leading(session["id"])
        known = {run["run"]: run for run in runs}
        found: list[Stage] = []
        for kind in _KINDS:
            stage = leading[kind]
            begun = _at_work_on(kind, runs)
            made_by = [known[o["run"]] for o in stage.outputs if o["run"] in known] or ([begun] if begun else [])
            first = not found
            if not made_by or (not stage.outputs and first and not _imports(made_by[0]["class_name"])):
                continue
            working = [run for run in made_by if _active(run["status"])]
            newest = stage.newest or 0
            grown = self._seen_to_grow(stage, as_of)
            ahead = newest > as_of + _SLACK
            started = [run["started"] or run["seen_running"] or 0 for run in working or made_by]
            about, name = (About.IMPORT, "Import") if first else _STAGES[kind]
            found.append(
                Stage(
                    about=about,
                    name=name,
                    outputs=stage.ids,
                    count=stage.count,
                    newest=grown[-1] if ahead else min(newest, as_of),
                    working=bool(working),
                    started=max((time for time in started if time <= as_of), default=0),
                    files=(working or made_by)[-1]["files"],
                    seen=grown if ahead else None,
                )
            )
        return found

    def _stall(self, key: Key, rule: Rule, stages: list[Stage], place: int, as_of: int, project: str) -> Finding:
        stage = stages[place]
        since = max(stage.newest, stage.started)
        waiting = 0
        if place:
            before = stages[place - 1]
            waiting = max(0, before.count - stage.count)
            first = _first_after(self._reader, before, stage.newest) if waiting >= FEWEST_WAITING else None
            idle = 0 if first is None else as_of - max(first, since)
            kept = first is None
        else:
            idle = as_of - since
            kept = idle < rule.minutes * MINUTE
        broken = stage.working and rule.minutes * MINUTE <= idle < _RECENT
        kept = kept or idle < rule.minutes * MINUTE or not stage.working
        source = self._incoming(stage.files, project) if broken and not place and stage.files else None
        text = f"{stage.name} continues" if kept else _stalled(stages, place, waiting, source)
        return Finding(
            key=key, rule=rule, state=State(severity=rule.severity, text=text), since=since, broken=broken, kept=kept
        )

    def _seen_to_grow(self, stage: Leader, as_of: int) -> tuple[int, ...]:
        """Return when a stage was seen to have grown since this process began, the first look among them."""
        known = self._grown.setdefault(stage.ids, deque(maxlen=_MOST_SEEN))
        if not known or known[-1][1] != stage.count:
            known.append((as_of, stage.count))
        return tuple(time for time, _ in known)

    def _backlog(self, key: Key, rule: Rule, before: Stage, stage: Stage, as_of: int) -> Finding:
        """Return whether ever more items wait for a stage; one that brings nothing at all has stalled instead."""
        half = round(rule.minutes * MINUTE / 2)
        early, middle, now = (self._waiting(before, stage, as_of - n * half) for n in (2, 1, 0))
        begun = _first_after(self._reader, before, -1)
        long_enough = begun is not None and begun <= as_of - 2 * half
        most = rule.high or 0
        name = _in_sentence(stage.name)
        waiting = f"{now:,} {_inputs(stage)} waiting for {name}"
        text = f"Backlog growing: {waiting}, {early:,} of them {rule.minutes:g} min ago"
        growing = early * _GROWTH < middle and middle * _GROWTH < now
        return Finding(
            key=replace(key, subject=stage.about.value),
            rule=rule,
            state=State(severity=rule.severity, text=text, value=float(now), limit=float(most), unit="items"),
            since=as_of - 2 * half,
            broken=stage.working and stage.newest > as_of - half and long_enough and now > most and growing,
            kept=now <= most or now < middle or not stage.working,
        )

    def _waiting(self, before: Stage, stage: Stage, upto: int) -> int:
        """Return how many items of the stage before waited at a time."""
        first, second = (windows.count_upto(self._reader, one.outputs, upto) for one in (before, stage))
        return max(0, first - second)


def _first_after(reader: Reader, stage: Stage, time: int) -> int | None:
    """Return when a stage brought its first item after a time; None where it has brought none."""
    if stage.seen is not None:
        return next((seen for seen in stage.seen if seen > time), None)
    return windows.first_after(reader, stage.outputs, time)


_STAGES: Mapping[OutputKind, tuple[About, str]] = {
    OutputKind.MICROGRAPHS: (About.ALIGNMENT, "Motion correction"),
    OutputKind.CTF: (About.CTF, "CTF estimation"),
}


_PROTOCOLS: Mapping[OutputKind, tuple[str, ...]] = {
    OutputKind.MOVIES: ("importmovies",),
    OutputKind.MICROGRAPHS: (
        "importmicrographs", "motioncor", "moviealignment", "alignmovies", "flexalign", "moviecorr", "ofalignment",
        "unblur",
    ),
    OutputKind.CTF: ("ctffind", "gctf", "ctfmicrographs", "ctfestimation"),
}  # fmt: skip
"""Parts of the names of the protocols that bring each kind, for runs that have brought nothing yet."""


def _at_work_on(kind: OutputKind, runs: list[Row]) -> Row | None:
    """Return the first run that has been started and brings items of a kind, by its protocol; None without one."""
    parts = _PROTOCOLS[kind]
    return next(
        (
            run
            for run in runs
            if run["status"] == RunStatus.RUNNING and any(part in run["class_name"].lower() for part in parts)
        ),
        None,
    )


def _imports(class_name: str) -> bool:
    return "import" in class_name.lower()


def _active(status: str) -> bool:
    return status in set(RunStatus) and RunStatus(status).active


def _in_sentence(name: str) -> str:
    return name if name.startswith("CTF") else name.lower()


def _inputs(stage: Stage) -> str:
    """Return what waits for a stage."""
    return "movies" if stage.about is About.ALIGNMENT else "micrographs"


def _stalled(stages: list[Stage], place: int, waiting: int, source: int | None) -> str:
    """Return which stage has stopped, and how the others stand; `source` is when something last came from outside."""
    stage = stages[place]
    text = f"{stage.name} stalled" if stage.count else f"{stage.name} has produced nothing since it started"
    if source is not None and source - (stage.newest or stage.started) > _SLACK:
        text += ", although newer files are there" if stage.count else ", although files are there"
    elif source is not None and stage.count:
        text = "Nothing new from the microscope"
    others = [s for i, s in enumerate(stages) if i != place]
    behind = [s for before, s in pairwise(stages) if before.count - s.count >= FEWEST_WAITING]
    caught_up = [s.name for s in others if s not in behind and s is not stages[0]]
    more = [f"{waiting:,} {_inputs(stage)} waiting"] if place else []
    if place == 0 and caught_up and stage.count:
        names = " and ".join(_in_sentence(name) for name in caught_up)
        more.append(f"{names} {'have' if len(caught_up) > 1 else 'has'} caught up")
    if place and stages[0].newest > stages[place].newest:
        more.append(f"{_in_sentence(others[0].name)} still running")
    return f"{text}: {', '.join(more)}" if more else text


def _failures(key: Key, rule: Rule, runs: list[Row], as_of: int, *, most: int = MOST_FAILED) -> Iterator[Finding]:
    """Yield a finding for each run: a failed one breaks the rule, unless it failed long ago.

    The `most` that failed last are alerts of their own, and how many more there are is one alert together.
    """
    lately = [run for run in runs if run["status"] == RunStatus.FAILED and as_of - (run["ended"] or as_of) < _RECENT]
    lately.sort(key=lambda run: run["ended"] or as_of, reverse=True)
    told, others = {run["run"] for run in lately[:most]}, {run["run"] for run in lately[most:]}
    for run in runs:
        failed = run["status"] == RunStatus.FAILED
        lines = [shown for line in (run["error"] or "").splitlines() if (shown := plain_line(line).strip())]
        reason = f": {lines[-1][:_MOST_TEXT]}" if lines else ""
        whole = len(lines) <= 1 and len("".join(lines)) <= _MOST_TEXT
        name = run["label"] or run["class_name"]
        yield Finding(
            key=replace(key, subject=run["run"]),
            rule=rule,
            state=State(
                severity=rule.severity,
                text=f"{name} has failed{reason}" if failed else f"{name} is {run['status']}",
                detail="" if whole or not failed else _whole(run["error"]),
            ),
            since=run["ended"] or as_of,
            broken=run["run"] in told,
            kept=not failed or run["run"] in others,
        )
    text = (
        f"{len(others):,} more runs have failed" if others else "No more runs have failed than those that are told of"
    )
    yield Finding(
        key=replace(key, subject=_OTHERS),
        rule=rule,
        state=State(severity=rule.severity, text=text),
        since=min((run["ended"] or as_of for run in lately[most:]), default=as_of),
        broken=bool(others),
        kept=not others,
    )


def _whole(error: str) -> str:
    """Return a whole error as lines of text; of one that is too long its beginning and its end."""
    text = "\n".join(map(plain_line, error.strip("\r\n").splitlines()))
    if len(text) <= _MOST_DETAIL:
        return text
    return f"{text[:_FIRST_OF_DETAIL]}\n…\n{text[_FIRST_OF_DETAIL + 3 - _MOST_DETAIL :]}"
