"""Looks at everything again and again, raises alerts and ends them.

Whether a rule is broken follows from what the store holds and the time, and which alerts last stands in the store too:
so a restart neither repeats a message nor loses one.  A session is looked at once it has been read whole, and only
while it lives: what stopped more than a day ago is nobody's alarm.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from cryowatch.alerts.finding import Finding
from cryowatch.alerts.machine import (
    FEWEST_SAMPLES,
    ShutOut,
    host_findings,
    shut_findings,
    sink_findings,
    source_findings,
)
from cryowatch.alerts.quality import Quality
from cryowatch.alerts.rules import WINDOWED, About, Rule
from cryowatch.alerts.stages import Stages
from cryowatch.alerts.stories import outranked
from cryowatch.records import Severity
from cryowatch.store import Change, Store, raised, samples
from cryowatch.store.alerts import Key
from cryowatch.store.reader import Row
from cryowatch.times import HOUR, MINUTE

log = logging.getLogger(__name__)

INTERVAL = 10.0
_CHANGE = MINUTE
_STILL_BAD = 30 * 10**9
_RECENT = 24 * HOUR
_ENDED = "The session has ended"
_GONE = "No longer watched"
_OPEN_AGAIN = "Can be looked into, or nobody works there any more"
_MACHINE = frozenset({About.HOST, About.FILESYSTEM, About.GPU})
_OWN = frozenset({About.SOURCE, About.SINK})
"""Of these the store says after a start that all is well, until they have been tried again."""
_STAGES = frozenset({About.IMPORT, About.ALIGNMENT, About.CTF, About.BACKLOG, About.RUN})


class Alarms:
    """Raises and ends the alerts of one host and its sessions; `step` is called from one thread.

    `read_at` says as of when a session (by its row id) is known whole, in UTC ns, None where it is still being read.
    `tell` is told of sessions whose alerts changed; `incoming` is asked when something last came where an import
    looks, by its pattern and the project's folder, `unread` since when a session that lives could not be read even once
    (None where that is not so), and `shut` which folders cannot be looked into.
    `repeat` is after how many minutes a lasting alert is told of again, 0 for never; `sampled` is how many seconds lie
    between two samples of the host.
    """

    def __init__(
        self,
        store: Store,
        rules: Sequence[Rule],
        *,
        host: str,
        read_at: Callable[[int], int | None],
        tell: Callable[[Change], object] = lambda _: None,
        incoming: Callable[[str, str], int | None] = lambda *_: None,
        unread: Callable[[int], int | None] = lambda _: None,
        shut: Callable[[], Iterable[ShutOut]] = tuple,
        repeat: float = 0,
        sampled: float = 10.0,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._reader = store.reader()
        self._ledger = store.ledger()
        self._rules = [rule for rule in rules if rule.enabled]
        self._host = host
        self._read_at = read_at
        self._unread = unread
        self._shut = shut
        self._tell = tell
        self._repeat = round(repeat * MINUTE)
        self._lately = round(max(MINUTE, 6 * sampled * 10**9))
        self._clock = clock
        self._began = clock()
        self._quality = Quality(self._reader)
        self._stages = Stages(self._reader, incoming)
        self._changed: dict[int, int] = {}
        self._newest: dict[int, tuple[int, int]] = {}
        """When a session brought something last, as of its last change."""

    def step(self) -> float:
        """Look at everything once; returns the seconds after which to look again."""
        now = self._clock()
        self._began = min(self._began, now)
        lasting = {_key(row): row for row in raised.lasting(self._reader, self._host)}
        touched: set[int | None] = set()
        still_bad = []
        found = [(finding, lasting.pop(finding.key, None)) for finding in self._findings(now)]
        behind = outranked((f for f, row in found if self._stands(f, row, now)), self._rules)
        for finding, row in found:
            if finding.key in behind:
                if row is not None:
                    self._ledger.replaced(row["id"], row["session_id"], Severity(row["severity"]), row["text"], now=now)
                    self._changed.pop(row["id"], None)
                    touched.add(finding.key.session)
                continue
            if row is None:
                if finding.broken:
                    self._raise(finding, now)
                    touched.add(finding.key.session)
                continue
            if not self._stands(finding, row, now):
                self._end(row, finding.state.text, now)
                touched.add(finding.key.session)
                continue
            set_back = row["last_bad"] > now
            if set_back or (not finding.kept and now - row["last_bad"] >= _STILL_BAD):
                still_bad.append(row["id"])
            if self._follow(row, finding, now) if finding.broken else self._calms(row, finding, now):
                touched.add(finding.key.session)
        if still_bad:
            self._ledger.still_bad(still_bad, now)
        for key, row in lasting.items():
            reason = self._over(key, now)
            if reason:
                self._end(row, reason, now)
                touched.add(key.session)
        self._publish(touched)
        return INTERVAL

    def _stands(self, finding: Finding, row: Row | None, now: int) -> bool:
        """Return whether a finding is an alert at this time: a new one, or one that lasts and is not over yet."""
        if row is None:
            return finding.broken
        last_bad = min(row["last_bad"], now)
        if finding.rule.about in _OWN:
            last_bad = max(last_bad, self._began)
        return not finding.kept or now - last_bad < finding.rule.calm_minutes * MINUTE

    def _findings(self, now: int) -> Iterator[Finding]:
        """Yield everything that can be said now, in the order of the rules for each session, then for the machine."""
        for session in self._reader.sessions():
            if session["host"] != self._host or session["replaced"]:
                continue
            recent = self._recent(session, now)
            if not recent and session["last_read"] is not None:
                continue
            rules = [rule for rule in self._rules if rule.concerns(session["name"])]
            since = self._unread(session["id"]) if session["last_read"] is None else session["last_read"]
            if since is not None and (session["last_read"] is None or (recent and session["status"] == "running")):
                yield from source_findings(session, _about(rules, {About.SOURCE}), self._host, now, since=since)
            as_of = self._read_at(session["id"])
            if as_of is None or not recent:
                continue
            working = session["status"] == "running"
            stages = _STAGES if working else {About.RUN}
            yield from self._stages.findings(session, _about(rules, stages), self._host, as_of)
            if working:
                yield from self._quality.findings(session, _about(rules, WINDOWED), self._host, as_of)
        yield from shut_findings(self._shut(), _about(self._rules, {About.SOURCE}), self._host, now)
        machine = _about(self._rules, _MACHINE)
        yield from host_findings(self._reader, machine, self._host, now, lately=self._lately)
        yield from sink_findings(self._reader, _about(self._rules, {About.SINK}), self._host, now)

    def _recent(self, session: Row, now: int) -> bool:
        """Return whether a session has brought something, or a run of it was started, within a day."""
        number = session["id"]
        seq, newest = self._newest.get(number, (None, 0))
        if seq != session["seq"]:
            newest = max(*raised.newest_of(self._reader, number), session["created"] or 0)
            self._newest[number] = (session["seq"], newest)
        return now - newest < _RECENT

    def _over(self, key: Key, now: int) -> str:
        """Return why an alert of which no rule says anything any more is over; empty where it is not."""
        rule = next((rule for rule in self._rules if rule.name == key.rule), None)
        if rule is None:
            return "The rule is no longer in use"
        if key.session is None:
            known = now - self._began >= 2 * self._lately and not (rule.about in _MACHINE and self._silent(now))
            return (_OPEN_AGAIN if rule.about is About.SOURCE else _GONE) if known else ""
        return self._over_in_session(rule, key.session, now)

    def _over_in_session(self, rule: Rule, key: int, now: int) -> str:
        session = next((row for row in self._reader.sessions() if row["id"] == key), None)
        if session is None or session["replaced"] or not rule.concerns(session["name"]):
            return _GONE
        if rule.about is About.SOURCE and session["last_read"] is None and now - self._began < 2 * self._lately:
            return ""
        if not self._recent(session, now):
            return _ENDED
        if self._read_at(key) is None and rule.about is not About.SOURCE:
            return ""
        if rule.about is About.RUN:
            return _GONE
        return "" if session["status"] == "running" else _ENDED

    def _silent(self, now: int) -> bool:
        """Return whether the host has hardly been sampled lately."""
        return samples.count(self._reader, self._host, since=now - self._lately) < FEWEST_SAMPLES

    def _raise(self, finding: Finding, now: int) -> None:
        self._ledger.raise_(finding.key, finding.state, since=min(finding.since, now), now=now)
        log.warning("alert: %s", finding.state.text)

    def _end(self, row: Row, text: str, now: int) -> None:
        self._ledger.end(row["id"], row["session_id"], Severity(row["severity"]), text, now=now)
        self._changed.pop(row["id"], None)
        log.info("alert is over: %s", text)

    def _follow(self, row: Row, finding: Finding, now: int) -> bool:
        """Store what a lasting alert says now, once a minute; tell again where it got worse or is due."""
        worse = finding.state.severity.weight > Severity(row["severity"]).weight
        said = (finding.state.text, finding.state.value, finding.state.detail)
        differs = said != (row["text"], row["value"], row["detail"])
        if worse or (differs and abs(now - self._changed.get(row["id"], 0)) >= _CHANGE):
            self._changed[row["id"]] = now
            self._ledger.change(row["id"], row["session_id"], finding.state, last_bad=now, now=now, worse=worse)
            return True
        told = row["told"]
        if row["acknowledged"] is not None or (row["muted_until"] or 0) > now:
            return False
        if told is None:
            self._ledger.tell(row["id"], finding.state.severity, finding.state.text, now=now)
        elif self._repeat and now - told >= self._repeat:
            self._ledger.repeat(row["id"], finding.state.severity, finding.state.text, now=now)
        return False

    def _calms(self, row: Row, finding: Finding, now: int) -> bool:
        """Store what holds now of an alert whose rule is not broken any more, once a minute: it lasts a while yet."""
        text = finding.state.text
        if finding.kept:
            text += f"; over once that has held for {finding.rule.calm_minutes:g} min"
        differs = (text, finding.state.value) != (row["text"], row["value"])
        if not differs or abs(now - self._changed.get(row["id"], 0)) < _CHANGE:
            return False
        self._changed[row["id"]] = now
        self._ledger.calm(row["id"], row["session_id"], text, finding.state.value, finding.state.limit)
        return True

    def _publish(self, touched: set[int | None]) -> None:
        if not touched:
            return
        for session in self._reader.sessions():
            if session["id"] in touched or (None in touched and session["host"] == self._host):
                change = Change(
                    session=session["id"], key=session["key"], seq=session["seq"], generation=session["generation"]
                )
                self._tell(change)


def _about(rules: Sequence[Rule], kinds: set[About] | frozenset[About]) -> list[Rule]:
    return [rule for rule in rules if rule.about in kinds]


def _key(row: Row) -> Key:
    return Key(rule=row["rule"], session=row["session_id"], host=row["host"], subject=row["subject"])
