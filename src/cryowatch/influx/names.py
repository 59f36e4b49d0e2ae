"""What the sessions, outputs and gain residuals of a store are called at one server.

A name is given once and kept: of two projects of one name the first that was delivered has it, the other is called by
its key, which no other session of the store has.  Which outputs are delivered, and under which name, follows from what
the store holds; where that changes, what lies at the server under the old name is superseded as a whole.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

from cryowatch.influx.batches import Layout
from cryowatch.influx.series import Series
from cryowatch.store.changes import Changes
from cryowatch.store.delivered import Delivered, Holder
from cryowatch.store.reader import Row

log = logging.getLogger(__name__)


class Names:
    """Names at one server; used from one thread."""

    def __init__(self, delivered: Delivered, changes: Changes, layout: Layout) -> None:
        self._delivered = delivered
        self._changes = changes
        self._layout = layout
        self._seen = 0
        self.projects: dict[int, str] = delivered.names()
        self._hosts: dict[int, str] = {}
        self._series: dict[Holder, dict[str, int | None]] = {}
        self._outputs: dict[int, Series] = {}
        self._called: dict[str, list[int]] = {}
        self._runs: dict[int, set[str]] = {}
        self._load()

    def refresh(self, after: int) -> None:
        """Look what sessions that have changed are called now, and write that down; `after` is what was dealt with."""
        head = self._changes.head()
        if head == self._seen:
            return
        sessions = self._changes.sessions(self._seen)
        place = self._delivered.place()[0]
        if not self.projects and place:
            self._recall(sessions, place)
        self._call(sessions)
        renamed: dict[Holder, str | None] = {}
        for row in sessions:
            renamed.update(self._renamed(row))
        if renamed:
            self._delivered.rename(renamed, upto=after)
            self._load()
        self._seen = head

    def _renamed(self, row: Row) -> Iterator[tuple[Holder, str | None]]:
        """Yield what is called otherwise than before, of one session."""
        session, host = row["id"], row["host"]
        project = self.projects[session]
        self._hosts[session] = host
        for run in self._runs.get(session, ()):
            holder, wanted = Holder("gain", session, run), self._layout.gains(project, host, run).text
            if self._series[holder].get(wanted, 0) is not None:
                yield holder, wanted
        outputs = self._changes.outputs(session)
        chosen = self._layout.outputs(project, host, outputs)
        for output in outputs:
            known = self._outputs.get(output.id)
            series = chosen.get(output.id)
            if known != series:
                yield Holder("item", output.id), None if series is None else series.text

    def _call(self, sessions: Sequence[Row]) -> None:
        """Give a project to each session that has none yet."""
        new = [row for row in sessions if row["id"] not in self.projects]
        if not new:
            return
        hosts = {row["id"]: row["host"] for row in self._changes.sessions(0)}
        taken = {self._layout.identity(name, hosts[id_]) for id_, name in self.projects.items() if id_ in hosts}
        for row in new:
            candidates = (row["name"], row["key"], f"{row['key']}-{row['id']}")
            name = next(
                n for n in candidates if n == candidates[-1] or self._layout.identity(n, row["host"]) not in taken
            )
            if name != row["name"]:
                log.warning(
                    "%s: another project is called so at InfluxDB; this one is called %s there", row["name"], name
                )
            taken.add(self._layout.identity(name, row["host"]))
            self.projects[row["id"]] = name
        self._delivered.call({row["id"]: self.projects[row["id"]] for row in new})

    def _recall(self, sessions: Sequence[Row], place: int) -> None:
        """Write down what version 0.1 has delivered, which kept no such record."""
        known: dict[Holder, str] = {}
        names = {row["id"]: row["name"] for row in sessions}
        hosts = {row["id"]: row["host"] for row in sessions}
        for row in sessions:
            before = self._layout.before(row["name"], row["host"], self._changes.outputs(row["id"]))
            known.update({Holder("item", output): series.text for output, series in before.items()})
        for session, run in self._changes.gain_runs(place):
            series = self._layout.gains(names[session], hosts[session], run)
            known[Holder("gain", session, run)] = series.text
        self._delivered.assume(known)
        self._load()

    def _load(self) -> None:
        """Read what is written down."""
        self._series = self._delivered.series()
        self._outputs, self._called, self._runs = {}, {}, {}
        for holder, texts in self._series.items():
            present = next((text for text, old in texts.items() if old is None), None)
            if present is not None and holder.kind == "item":
                self._outputs[holder.owner] = Series(present)
                self._called.setdefault(present, []).append(holder.owner)
            elif present is not None:
                self._runs.setdefault(holder.owner, set()).add(holder.run)

    def retire(self) -> None:
        """Take note of outputs and runs that are gone, and forget names that nothing at the server bears any more."""
        self._delivered.retire()
        self._load()

    def output(self, output: int) -> Series | None:
        """Return what the items of an output are called; None where they are not delivered."""
        return self._outputs.get(output)

    def outputs_called(self, series: Series) -> list[int]:
        """Return which outputs have items of this name."""
        return self._called.get(series.text, [])

    def gains_called(self, series: Series) -> list[tuple[int, str]]:
        """Return the sessions and runs whose gain residuals have this name."""
        if "gain" not in (series.measurement, series.tags.get("section")):
            return []
        every = ((session, run) for session, runs in self._runs.items() for run in runs)
        return [(session, run) for session, run in every if series.text in self._series[Holder("gain", session, run)]]

    def gains(self, runs: set[tuple[int, str]], after: int) -> Mapping[tuple[int, str], Series]:
        """Return what the gain residuals of some sessions and runs are called, and write that down."""
        found: dict[tuple[int, str], Series] = {}
        new: dict[Holder, str | None] = {}
        for session, run in runs:
            series = self._layout.gains(self.projects[session], self._hosts.get(session, ""), run)
            found[session, run] = series
            if self._series.get(Holder("gain", session, run), {}).get(series.text, 0) is not None:
                new[Holder("gain", session, run)] = series.text
        if new:
            self._delivered.rename(new, upto=after)
            self._load()
        return found

    def known(self, holder: Holder) -> list[Series]:
        """Return all names, of old as well, under which points of a holder may lie at the server."""
        return [Series(text) for text in self._series.get(holder, ())]
