"""Telling of alerts through one channel: what was noted while the agent or the server was away is told later.

A notice is marked as sent right after the server has accepted the message with it.  Should the agent be killed between
the two, it is sent again after the next start, under the same Message-ID where nothing else has come meanwhile.  A
channel that is new begins with what is noted from then on.

A message that is refused for its contents goes without pictures, then without the alerts' texts, so that one strange
name holds up no later alert.  What a person has to mend is kept and tried ever more rarely.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from cryowatch.errors import MessageRefused, SinkError, SinkRefused
from cryowatch.follow.running import Follower
from cryowatch.follow.status import Standing, Status
from cryowatch.images import Rendered
from cryowatch.notices.channel import Channel
from cryowatch.notices.message import Context, Message, compose, sessions
from cryowatch.notices.pace import Notice, Pace, QuietHours
from cryowatch.notices.pending import Pending
from cryowatch.notices.picture import Fetch
from cryowatch.store import Store
from cryowatch.store.alerts import Event
from cryowatch.times import SECOND

log = logging.getLogger(__name__)

LOOK_SECONDS = 2.0
SEEN_SECONDS = 30
MOST_PICTURES = 3
LONGEST_PERSON_WAIT = 900.0
"""A wrong password that is tried too often locks the account."""

AGE = 86_400 * SECOND
"""What was over for longer is only counted."""


class Notifier(Follower):
    """Tells through one channel; `clock` gives UTC ns, `mono` seconds that only go forward, `chance` 0 to 1."""

    is_woken = False

    def __init__(
        self,
        store: Store,
        channel: Channel,
        context: Context,
        *,
        digest_minutes: float = 5,
        quiet: QuietHours | None = None,
        pictures: Fetch = lambda _: {},
        clock: Callable[[], int] = time.time_ns,
        mono: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        super().__init__(f"notices {channel.name}")
        self.state = Standing(channel.where, chance)
        self._store = store
        self._channel = channel
        self._context = context
        self._pictures = pictures
        self._clock = clock
        self._mono = mono
        self._pending = Pending(store.reader(), channel.name)
        self._ledger = store.ledger()
        self._pace = Pace(digest_minutes=digest_minutes, quiet=quiet)
        self._waiting: dict[int, Notice] = {}
        self._done: set[int] = set()
        self._retry = -float("inf")
        self._refusals = 0
        self._said: tuple[str, int] | None = None
        self._seen = 0
        found = self._pending.position(self.name)
        self._upto = self._pending.newest() if found is None else found
        self._pace.take_up(self._pending.last_sent(), now=clock(), mono=mono())
        self._record()

    @property
    def behind(self) -> int:
        """How many notices have not gone yet."""
        return len(self._waiting)

    def status(self) -> Status:
        return self.state.status(what="notices", waiting="notices", behind=self.behind)

    def finish(self) -> bool:
        """Tell at once of everything that may be told at this hour; returns whether nothing stood in the way."""
        self._look()
        self._send(self._pace.allowed(list(self._waiting.values()), self._clock()))
        self._record()
        return not self.state.problem

    def step(self) -> float:
        """Tell of what is due; returns the seconds after which to come again."""
        self._look()
        mono = self._mono()
        due = self._pace.due(list(self._waiting.values()), now=self._clock(), mono=mono)
        if mono >= self._retry:
            self._send(due)
        self._record()
        return LOOK_SECONDS

    def _look(self) -> None:
        """Take up what was noted since the last look.

        What is not for this channel is dealt with, and so is what waited of an alert that a worse one replaced.
        """
        for notice in self._pending.after(self._upto):
            self._upto = notice.id
            if notice.event is Event.REPLACED:
                told_of = [other.id for other in self._waiting.values() if other.alert == notice.alert]
                self._deal_with([*told_of, notice.id])
            elif notice.concerns(self._channel.severity):
                self._waiting[notice.id] = notice
            else:
                self._done.add(notice.id)
        self._mark()

    def _mark(self) -> None:
        """Store what is dealt with; until that has worked, it is remembered here."""
        if self._done:
            self._ledger.sent(self._pending.there(self._done), self._channel.name, now=self._clock())
            self._done.clear()

    def _send(self, notices: Sequence[Notice]) -> None:
        """Tell of some notices in one message."""
        if not notices:
            return
        now = self._clock()
        rows = self._pending.told([notice.id for notice in notices], now=now)
        told = {row["id"] for row in rows}
        self._deal_with(notice.id for notice in notices if notice.id not in told)
        if not rows:
            self._mark()
            return
        message = compose(rows, self._context, channel=self._channel.name, now=now, age=AGE)
        wanted = sessions(message.entries)[:MOST_PICTURES] if self._channel.pictured else []
        try:
            complaint = self._handed_over(message, self._pictures(wanted) if wanted else {})
        except SinkError as error:
            self._failed(error)
            return
        self._deal_with(told)
        self._pace.went(notices, mono=self._mono())
        self._refusals = 0
        self.state.accepted += len(told)
        self.state.succeeded(self._clock(), complaint=complaint)
        self._mark()

    def _handed_over(self, message: Message, pictures: Mapping[int, Rendered]) -> str:
        """Hand a message over, with less and less in it where the server refuses what is in it."""
        if pictures:
            try:
                return self._channel.send(message, pictures)
            except MessageRefused as error:
                log.info("%s; sent without pictures", error)
        try:
            return self._channel.send(message, {})
        except MessageRefused as error:
            complaint = self._channel.send(message.bare(error.what), {})
            self.state.rejected += len(message.entries)
            return complaint or f"{error}. It was sent without the alerts' texts"

    def _failed(self, error: SinkError) -> None:
        wait = self.state.failed(error)
        if isinstance(error, SinkRefused):
            self._refusals += 1
            wait = max(wait, min(LONGEST_PERSON_WAIT, wait * 2.0 ** min(self._refusals - 1, 10)))
        self._retry = self._mono() + wait

    def _deal_with(self, notices: Iterable[int]) -> None:
        for notice in list(notices):
            self._waiting.pop(notice, None)
            self._done.add(notice)

    def _record(self) -> None:
        """Store how it goes and up to which notice everything is dealt with: at changes, else now and then."""
        now = self._clock()
        open_: Collection[int] = self._waiting.keys() | self._done
        said = (self.state.problem, len(self._waiting))
        if said == self._said and abs(now - self._seen) < SEEN_SECONDS * SECOND:
            return
        self._said, self._seen = said, now
        upto = min(open_) - 1 if open_ else self._upto
        self._store.advance(self.name, upto, now=now, problem=self.state.problem, waiting=len(self._waiting))
