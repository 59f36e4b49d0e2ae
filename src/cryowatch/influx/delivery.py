"""Delivering the store's contents to a sink: from its own position, in batches, as fast as the sink takes them.

The position moves only after the sink has accepted, so a dead server, a killed agent or a power cut loses nothing: what
was not accepted is sent again, and as the same record always becomes the same point, nothing is doubled.  Points that
the store does not hold any more are taken away first.  Lines that the server will never take are set aside in a file
with its reason; those that it would not keep are counted.  Where more waits than one batch, the next one is made while
the server takes the last, and what was measured just now goes ahead.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Protocol

from cryowatch.errors import SinkError
from cryowatch.follow.running import Follower
from cryowatch.follow.status import Standing, Status
from cryowatch.influx.backlog import MOST_ITEMS, Backlog
from cryowatch.influx.batches import Batch, Deletions, Layout, Receipt, Removal, portions
from cryowatch.store import Store
from cryowatch.store.changes import Changes

log = logging.getLogger(__name__)

IDLE_WAIT = 5.0
SEEN_SECONDS = 60
MOST_SET_ASIDE = 20_000_000


class Sink(Protocol):
    """Takes lines, and points away: all of them are dealt with when this returns; a `SinkError` means none is."""

    @property
    def where(self) -> str: ...

    def send(self, lines: list[str]) -> Receipt: ...

    def remove(self, deletions: Deletions) -> Removal: ...


class Delivery(Follower):
    """Carries everything that changes in a store to one sink; `clock` gives UTC ns, `chance` numbers from 0 to 1."""

    carries_samples = True

    def __init__(
        self,
        store: Store,
        sink: Sink,
        layout: Layout,
        *,
        clock: Callable[[], int] = time.time_ns,
        chance: Callable[[], float] = random.random,
        most: int = MOST_ITEMS,
    ) -> None:
        super().__init__(f"influx {layout.name} {sink.where}")
        self._store = store
        self._sink = sink
        self._layout = layout
        self._clock = clock
        self._reader = store.reader()
        changes, delivered = Changes(self._reader), store.delivered(self.name)
        self._backlog = Backlog(delivered, changes, layout, clock=clock, most=most)
        self._recorded = 0
        self._outdated = 0
        self._reason = ""
        self._stays = False
        self._urgent_sent = True
        self._live = False
        self._seen = 0
        self._sending: _Sending | None = None
        self._ahead: Batch | None = None
        self.state = Standing(sink.where, chance)
        self.position, self._superseded = delivered.place()

    @property
    def where(self) -> str:
        """Where it delivers to."""
        return self._sink.where

    @property
    def behind(self) -> int:
        """How many changes are not delivered yet."""
        return self._backlog.waiting(self.position, self._superseded)

    def status(self) -> Status:
        dropped, last = self._reader.dropped(self.name)
        return self.state.status(
            what=f"points, layout {self._layout.name}",
            waiting="changes",
            behind=self.behind,
            dropped=dropped,
            last_dropped=last,
        )

    def in_trouble(self) -> bool:
        return bool(self.state.problem)

    def beat(self) -> None:
        """Say again from time to time that somebody delivers here."""
        if self._unseen():
            self._record()

    def run(self) -> None:
        self._live = True
        super().run()

    def step(self) -> float:
        """Deliver one batch; returns the seconds after which to come again."""
        sending = self._sending or self._begin()
        if sending is None:
            if self._unseen():
                self._record()
            return IDLE_WAIT
        self._ahead = self._backlog.following(sending.batch.upto, sending.batch.settled.superseded)
        return self._end(sending)

    def go_on(self) -> None:
        """Do what can be done without waiting for the sink: for whoever reads meanwhile, in this same thread.

        Two threads that both work hold each other up; this one only ever waits for the server in another.
        """
        sending = self._sending
        if self.state.problem or (sending is not None and not sending.over):
            return
        if sending is None or not self._end(sending):
            self._begin()

    def _begin(self) -> _Sending | None:
        """Begin to send the next batch, if there is one."""
        batch, self._ahead = self._ahead or self._backlog.following(self.position, self._superseded), None
        if batch is not None:
            urgent = self._backlog.urgent(batch.upto) if self._live else []
            self._sending = _Sending(batch, partial(self._send, urgent), name=f"{self.name}, sending")
        return self._sending

    def _end(self, sending: _Sending) -> float:
        """Wait until a batch is sent, and take note of it; returns the seconds after which to come again.

        What was made ahead counts only where this batch was taken: whatever went wrong, it is made anew.
        """
        ahead, self._ahead, self._sending = self._ahead, None, None
        try:
            sending.wait()
        except SinkError as error:
            self._backlog.begin_anew(urgent=not self._urgent_sent)
            return self._failed(error)
        except RuntimeError:
            self._backlog.begin_anew(urgent=not self._urgent_sent)
            raise
        self._ahead = ahead
        self.state.succeeded(self._clock())
        self.position, self._superseded = sending.batch.upto, sending.batch.settled.superseded
        self._record(batch=sending.batch)
        self._backlog.arrived(sending.batch)
        return 0.0

    def _send(self, urgent: list[str], batch: Batch) -> None:
        """Send a batch; what is urgent goes ahead of all, and counts when it comes in its turn."""
        self._urgent_sent = False
        for lines in portions(urgent):
            self._sink.send(lines)
        self._urgent_sent = True
        if batch.deletions:
            self._removed(self._sink.remove(batch.deletions))
        for lines in portions(batch.lines):
            self._took(self._sink.send(lines))

    def _unseen(self) -> bool:
        """Return whether it is time to say again that somebody delivers here, well or not."""
        return abs(self._clock() - self._seen) > SEEN_SECONDS * 10**9

    def _record(self, *, batch: Batch | None = None) -> None:
        """Store the position, what is settled by a batch, and how the delivery fares."""
        rejected = self.state.rejected - self._recorded
        outdated, self._outdated = self._outdated, 0
        self._store.advance(
            self.name,
            self.position,
            now=self._clock(),
            problem=self.state.problem,
            rejected=rejected,
            reason=self._reason,
            outdated=outdated,
            samples=0 if batch is None else batch.samples,
            settled=None if batch is None else batch.settled,
        )
        self._recorded += rejected
        self._seen = self._clock()

    def finish(self, *, tries: int = 5, pause: Callable[[float], object] = time.sleep) -> bool:
        """Deliver everything there is; returns whether that worked within some tries."""
        failures = 0
        while self.behind:
            wait = self.step()
            if wait > 0:
                failures += 1
                if self.state.needs_person or failures >= tries:
                    return False
                pause(min(wait, 5.0) if self.state.problem else 0.0)
        return True

    def _took(self, receipt: Receipt) -> None:
        self.state.accepted += receipt.accepted
        if receipt.outdated:
            self.state.rejected += receipt.outdated
            self._because(f"{receipt.outdated:,} points were not written: {receipt.old}", receipt.old)
        if receipt.rejected:
            self.state.rejected += len(receipt.rejected)
            reason = receipt.rejected[0][1]
            self._because(f"{len(receipt.rejected):,} points were refused and set aside: {reason}", reason)
            self._set_aside(receipt.rejected)

    def _removed(self, removal: Removal) -> None:
        if removal.stay:
            self._outdated += removal.stay
            if not self._stays:
                log.warning(
                    "%s: does not take points away, so what changed or was deleted stays there beside what is new: %s",
                    self._sink.where,
                    removal.reason,
                )
        self._stays = removal.stay > 0

    def _because(self, text: str, reason: str) -> None:
        """Tell why points were not taken; the same reason again only in the record."""
        if reason != self._reason:
            log.warning("%s: %s", self._sink.where, text)
        self._reason = reason

    def _set_aside(self, rejected: tuple[tuple[str, str], ...]) -> None:
        file = rejected_file(self._store.data_dir)
        try:
            if file.exists() and file.stat().st_size > MOST_SET_ASIDE:
                file.replace(file.with_suffix(".old"))
            with file.open("a", encoding="utf-8") as out:
                for line, reason in rejected:
                    out.write(f"# {reason}\n{line}\n")
        except OSError as error:
            log.error("%s: refused points cannot be set aside: %s", file, error)  # noqa: TRY400

    def _failed(self, error: SinkError) -> float:
        before = self.state.problem
        wait = self.state.failed(error)
        if self.state.problem != before or self._unseen():
            self._record()
        return wait


class _Sending:
    """A batch on its way to the sink, in a thread of its own."""

    def __init__(self, batch: Batch, send: Callable[[Batch], None], *, name: str) -> None:
        self.batch = batch
        self._send = send
        self._came: list[SinkError | None] = []
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._send(self.batch)
        except SinkError as error:
            self._came.append(error)
        else:
            self._came.append(None)

    @property
    def over(self) -> bool:
        """Whether nothing is waited for any more."""
        return not self._thread.is_alive()

    def wait(self) -> None:
        """Wait until it is over; raises what came of it, if that is a `SinkError`."""
        self._thread.join()
        if not self._came:
            raise RuntimeError(f"{self._thread.name}: broke off")
        if self._came[0] is not None:
            raise self._came[0]


def rejected_file(data_dir: Path) -> Path:
    """Return the file in which refused points are set aside, each under a comment with the reason."""
    return data_dir / "refused-by-influxdb.lines"
