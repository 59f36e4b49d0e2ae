"""What every way to people has in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from cryowatch.images import Rendered
from cryowatch.notices.message import Message
from cryowatch.records import Severity


class Channel(Protocol):
    """One way to people; used from one thread.

    `name` is what its notices are marked with, `where` what people are shown: neither holds a secret, and no error
    does.  `severity` is the least that it is told, `pictured` whether it can carry pictures.

    `send` returns once the server has accepted, with a line of what was not right nevertheless (a recipient of several
    was refused), else empty.  It raises `SinkAway` for what passes, `SinkRefused` for what a person has to mend,
    `MessageRefused` where another message might be taken.  Whether to try again is up to the caller.
    """

    @property
    def name(self) -> str: ...

    @property
    def where(self) -> str: ...

    @property
    def severity(self) -> Severity: ...

    @property
    def pictured(self) -> bool: ...

    def send(self, message: Message, pictures: Mapping[int, Rendered]) -> str: ...
