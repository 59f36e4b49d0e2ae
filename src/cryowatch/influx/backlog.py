"""What is still to be delivered of a store to one server, batch by batch.

Three things wait, and each is dealt with by itself, in any order:

- Items, gain residuals, samples and alerts that changed, by their place in the order of changes.
- What is superseded: its points are taken away, and what the store holds for the same point now is written again.  So
  it does not matter what was written before or after.
- States of sessions, runs and outputs.  They are few: all points that there are to be are compared with those that were
  told, and what differs is written or taken away.

What is new is not held up by what is old: where more waits than a batch, the newest measurements go ahead of it, and
once more in their turn.
"""

from __future__ import annotations

import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain

from cryowatch.influx.batches import Batch, Items, Layout, Slice, by_output
from cryowatch.influx.lines import line
from cryowatch.influx.names import Names
from cryowatch.influx.series import Series
from cryowatch.influx.states import State
from cryowatch.store.changes import Changes, Published
from cryowatch.store.delivered import Delivered, Point, Settled, Superseded
from cryowatch.store.reader import Row
from cryowatch.times import SECOND

MOST_ITEMS = 2_000
"""How many items a batch holds: larger ones are delivered no faster, and two are in memory at a time."""

MOST_OTHERS = 200
"""How many records of every other kind a batch holds: a sample of a large machine is as large as 20 items."""

MOST_SUPERSEDED = 250
"""How many superseded points: InfluxDB takes 6 ms for each that lies alone, and what is new waits meanwhile."""

MOST_SESSIONS = 20
MOST_URGENT = 200
URGENT_SECONDS = 3_600
"""What was measured within this time goes ahead of what is older."""

STATES_SECONDS = 2.0
"""How often states are looked at while more waits."""


@dataclass(slots=True)
class _Draft:
    """A batch in the making: lines, points to be taken away, and points of states that will be there, or not.

    `expected` are these points with the fields that they may have until it is known that the batch has arrived.
    """

    lines: list[str] = field(default_factory=list)
    deletions: dict[Series, set[int]] = field(default_factory=dict)
    expected: dict[str, list[Point]] = field(default_factory=dict)
    points: dict[str, list[Point]] = field(default_factory=dict)
    gone: list[tuple[str, str, int]] = field(default_factory=list)

    def delete(self, series: Series, time: int) -> None:
        """Take a point away."""
        self.deletions.setdefault(series, set()).add(time)


class Backlog:
    """Makes batches of what waits; used from one thread.  `clock` gives UTC ns, `mono` seconds."""

    def __init__(
        self,
        delivered: Delivered,
        changes: Changes,
        layout: Layout,
        *,
        clock: Callable[[], int] = time.time_ns,
        mono: Callable[[], float] = time.monotonic,
        most: int = MOST_ITEMS,
    ) -> None:
        self._delivered = delivered
        self._changes = changes
        self._layout = layout
        self._clock = clock
        self._mono = mono
        self._most = most
        self._names = Names(delivered, changes, layout)
        self._told: dict[int, int] = {}
        self._known: dict[str, dict[tuple[str, int], Point]] = {}
        self._looked = float("-inf")
        self._ahead = 0

    def waiting(self, seq: int, superseded: int) -> int:
        """Return how much is to be delivered after a place."""
        return max(0, self._changes.head() - seq) + self._delivered.waiting(superseded)

    def arrived(self, batch: Batch) -> None:
        """Take note that a batch was delivered, and that this is recorded."""
        for holder in {*batch.settled.points, *(gone[0] for gone in batch.settled.gone)}:
            self._known.pop(holder, None)

    def begin_anew(self, *, urgent: bool) -> None:
        """Forget what was made and did not arrive, and what was `urgent` where that did not either."""
        self._told = {}
        self._known = {}
        self._looked = float("-inf")
        if urgent:
            self._ahead = 0

    def following(self, seq: int, superseded: int) -> Batch | None:
        """Return the next batch after a place; None where nothing waits."""
        self._names.refresh(seq)
        old = self._delivered.superseded(superseded, limit=MOST_SUPERSEDED)
        draft = _Draft()
        upto, samples = self._changed(seq, draft) if self._changes.head() > seq else (seq, 0)
        if old:
            self._reconciled(old, draft, seq)
        sessions, gone_sessions = self._states(upto, draft)
        if upto == seq and not (old or sessions or gone_sessions):
            return None
        self._delivered.expect(draft.expected)
        settled = Settled(
            superseded=old[-1].id if old else superseded,
            points=draft.points,
            gone=draft.gone,
            sessions=sessions,
            gone_sessions=gone_sessions,
        )
        deletions = {series: sorted(times) for series, times in draft.deletions.items()}
        return Batch(deletions=deletions, lines=draft.lines, upto=upto, settled=settled, samples=samples)

    def urgent(self, upto: int) -> list[str]:
        """Return lines of what was measured just now and lies behind a place, each once."""
        head = self._changes.head()
        if head - upto <= self._most:
            return []
        after, self._ahead = max(upto, self._ahead), head
        since = self._clock() - URGENT_SECONDS * SECOND
        ids = self._changes.urgent(after, head, since=since, limit=MOST_URGENT)
        others = max(after, head - MOST_OTHERS)
        items = by_output(self._changes.items_of(ids, columns=self._layout.columns)) if ids else []
        gains = [row for row in self._changes.gains(others, head) if row["time"] > since]
        samples = [row for row in self._changes.samples(others, head) if row["time"] > since]
        return list(self._layout.lines(self._slice(items, [], self._changes.published_as(ids), gains, samples, upto)))

    def _changed(self, after: int, draft: _Draft) -> tuple[int, int]:
        """Add what changed next; returns up to which change that is, and of how many samples it tells."""
        changes, columns = self._changes, self._layout.columns
        head = changes.within(after, most=MOST_OTHERS)
        rows = changes.items(after, head, limit=self._most, columns=columns)
        published = changes.published(after, head, limit=self._most)
        upto = min(
            rows[-1][0] if len(rows) == self._most else head,
            published[-1].seq if len(published) == self._most else head,
        )
        items = by_output(row for row in rows if row[0] <= upto)
        ids = [images.micrograph_id for images in published if images.seq <= upto]
        others = by_output(changes.items_of(ids, columns=columns)) if ids else []
        images = [*changes.published_of(after, upto), *published]
        samples = changes.samples(after, upto)
        found = self._slice(items, others, images, changes.gains(after, upto), samples, after)
        draft.lines += self._layout.lines(found)
        self._alerts(after, upto, draft)
        return upto, len(samples)

    def _slice(
        self,
        items: Sequence[Items],
        published: Sequence[Items],
        images: Iterable[Published],
        gains: Sequence[Row],
        samples: Sequence[Row],
        after: int,
    ) -> Slice:
        outputs = {each.output for each in chain(items, published)}
        series = {output: called for output in outputs if (called := self._names.output(output)) is not None}
        places = self._changes.places(outputs)  # not of those that went meanwhile, or whose session was forgotten
        known = [row for row in gains if row["session_id"] in self._names.projects]
        return Slice(
            items=[each for each in items if each.output in places],
            published=[each for each in published if each.output in places],
            images={one.micrograph_id: one for one in images},
            places=places,
            series=series,
            gains=known,
            gain_series=self._names.gains({(row["session_id"], row["run"]) for row in known}, after) if known else {},
            samples=samples,
            at_work={row["seq"]: self._at_work(row) for row in samples if self._layout.samples_of_sessions},
            projects=self._names.projects,
        )

    def _at_work(self, sample: Row) -> list[int]:
        return [id_ for id_ in self._changes.live(sample["host"], sample["time"]) if id_ in self._names.projects]

    def _reconciled(self, old: Sequence[Superseded], draft: _Draft, after: int) -> None:
        """Take away the points of what is superseded, and write what the store holds in their place."""
        self._names.retire()
        items: set[tuple[int, int]] = set()
        gains: set[tuple[int, str, int]] = set()
        for each in old:
            moment = self._layout.moment(each.time, each.item)
            if each.holder.kind == "gain":
                gains.add((each.holder.owner, each.holder.run, each.item))
            else:
                items.add((each.holder.owner, each.item))
            for called in self._names.known(each.holder) if each.cause != "added" else ():
                for series in self._layout.superseded(called, each.cause):
                    draft.delete(series, moment + called.offset)
                items.update((output, each.item) for output in self._names.outputs_called(called))
                gains.update((session, run, each.item) for session, run in self._names.gains_called(called))
        ids = self._changes.ids(items)
        there = by_output(self._changes.items_of(ids, columns=self._layout.columns)) if ids else []
        residuals = self._changes.gains_of(gains) if gains else []
        found = self._slice(there, [], self._changes.published_as(ids), residuals, [], after)
        draft.lines += self._layout.lines(found)

    def _states(self, upto: int, draft: _Draft) -> tuple[dict[int, int], list[int]]:
        """Add what is to be told of states; returns which sessions are told, as of which change, and which are gone."""
        now, head = self._mono(), self._changes.head()
        if upto < head and now - self._looked < STATES_SECONDS:
            return {}, []
        self._looked = now
        told: dict[int, int] = {}
        for id_ in self._delivered.unsettled(limit=MOST_SESSIONS):
            session = self._changes.session(id_)
            if session is None or id_ not in self._names.projects or self._told.get(id_) == session.row["seq"]:
                continue
            self._compared(f"session:{id_}", self._layout.states(self._names.projects[id_], session), draft)
            told[id_] = self._told[id_] = session.row["seq"]
        self._alerts(max(upto, head - MOST_OTHERS), head, draft)
        gone = self._delivered.gone_sessions()
        if gone:
            there = self._changes.alerts_there()
            alerts = (h for h in self._delivered.holders("alert:") if int(h.partition(":")[2]) not in there)
            for holder in (*(f"session:{id_}" for id_ in gone), *alerts):
                self._compared(holder, (), draft)
        return told, gone

    def _alerts(self, after: int, upto: int, draft: _Draft) -> None:
        for row in self._changes.alerts(after, upto):
            project = self._names.projects.get(row["session_id"], "")
            if states := list(self._layout.alert(row, project)):
                self._compared(f"alert:{row['id']}", states, draft)

    def _compared(self, holder: str, states: Iterable[State], draft: _Draft) -> None:
        """Add what differs between the states that are to be told and those that were."""
        known = self._known.get(holder)
        if known is None:
            known = self._delivered.points(holder)
        present = dict(known)
        wanted = {(state.series.text, state.time): state for state in states if state.fields}
        for key, state in wanted.items():
            point, before = _point(state), known.get(key)
            written = line(state.series.beginning, state.fields, state.time)
            if before == point or written is None:
                continue
            expected = point
            if before is not None and not _covers(point, before):
                draft.delete(state.series, state.time)
                expected = point._replace(fields=f"{before.fields},{point.fields}")
            draft.lines.append(written)
            draft.expected.setdefault(holder, []).append(expected)
            draft.points.setdefault(holder, []).append(point)
            present[key] = point
        for text, moment in known.keys() - wanted.keys():
            draft.delete(Series(text), moment)
            draft.gone.append((holder, text, moment))
            del present[text, moment]
        if present != known:
            self._known[holder] = present


def _point(state: State) -> Point:
    return Point(state.series.text, state.time, state.names, zlib.crc32(state.fields.encode()))


def _covers(point: Point, before: Point) -> bool:
    """Return whether a point has all the fields of the one that it takes the place of, as far as these are known."""
    return set(before.fields.split(",")) <= set(point.fields.split(","))
