"""What Apprise knows: a hundred services, each by an address that holds its secrets and is never shown.

Apprise says only whether a service took a message, and logs the rest; of that, the number of an HTTP error is kept and
nothing else.  Each address is a channel of its own, so that one service that is away neither holds up nor repeats what
another has taken.  A process of its own sends each message, since Apprise reads answers without a limit.
"""

from __future__ import annotations

import json
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from cryowatch.errors import ConfigError, MessageRefused, SinkAway, SinkRefused
from cryowatch.images import Rendered
from cryowatch.notices.chat import defused
from cryowatch.notices.message import Message
from cryowatch.records import Severity
from cryowatch.settings.environment import handed_on

if TYPE_CHECKING:
    import apprise

MOST_ENTRIES = 8
"""Many services refuse long messages."""

SECONDS = 60.0
"""For a message: Apprise may ask a service several times."""

_STATUS = re.compile(r"\berror=(\d{3})\b")
_OF_THIS_MESSAGE = frozenset({400, 413, 422})
_PASSES = frozenset({408, 425, 429})


class Apprise:
    """Sends messages to one service; `name` tells it from the others."""

    pictured = False

    def __init__(self, name: str, address: str, severity: Severity, *, seconds: float = SECONDS) -> None:
        """Raise `ConfigError` for an address that Apprise does not know."""
        service_of(address, name)
        self.name = name
        self.severity = severity
        self._address = address
        self._seconds = seconds

    @property
    def where(self) -> str:
        """Its kind, for people."""
        return self.name

    def send(self, message: Message, pictures: Mapping[int, Rendered]) -> str:
        """Send a message; see `Channel`."""
        del pictures
        part = message.first(MOST_ENTRIES)
        taken, status = self._sent(defused(part.subject), defused(part.plain))
        if taken:
            return ""
        if status is None or status in _PASSES or status >= 500:
            said = "" if status is None else f": it answers {status}"
            raise SinkAway(f"did not take the message{said}", where=self.where, remedy="Is its address right?")
        if status in _OF_THIS_MESSAGE:
            raise MessageRefused(f"answers {status}", where=self.where)
        raise SinkRefused(f"answers {status}", where=self.where, remedy="Check its line in apprise.urls_file")

    def _sent(self, title: str, body: str) -> tuple[bool, int | None]:
        """Return whether a process of its own could send a message, and the status of HTTP where it could not."""
        command = [sys.executable, "-P", "-m", "cryowatch.notices.apprise_sender"]
        asked = json.dumps({"address": self._address, "title": title, "body": body})
        try:
            done = subprocess.run(  # noqa: S603  our own interpreter and module
                command,
                input=asked,
                capture_output=True,
                text=True,
                timeout=self._seconds,
                env=handed_on(os.environ),
                check=False,
            )
            said = json.loads(done.stdout)
        except subprocess.TimeoutExpired:
            what = f"did not take the message within {self._seconds:g} s"
            raise SinkAway(what, where=self.where, remedy="Is its address right?") from None
        except ValueError:
            raise SinkAway("did not take the message: the process that sends it ended", where=self.where) from None
        return said["taken"], said["status"]


def addresses(file: Path) -> list[tuple[str, str]]:
    """Return a name and the address of each line of a file that is not empty or a comment; raises `ConfigError`."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is no text"
        raise ConfigError(f"cannot be read: {reason}", where=file, remedy="It is apprise.urls_file") from None
    found: list[tuple[str, str]] = []
    counts: dict[str, int] = {}
    for line in filter(None, (line.strip() for line in lines)):
        if line.startswith("#"):
            continue
        kind = re.match(r"[a-z0-9]{1,20}(?=://)", line, re.IGNORECASE)
        word = kind[0].lower() if kind else "service"
        counts[word] = counts.get(word, 0) + 1
        number = f" {counts[word]}" if counts[word] > 1 else ""
        found.append((f"apprise {word}{number}", line))
    if not found:
        raise ConfigError("holds no address", where=file, remedy="Write one Apprise address on each line")
    return found


def service_of(address: str, name: str) -> apprise.Apprise:
    """Return the service of an address; raises `ConfigError`."""
    try:
        import apprise  # noqa: PLC0415
    except ImportError:
        raise ConfigError(
            "the package apprise is not installed", where="apprise.urls_file", remedy="pip install 'cryowatch[apprise]'"
        ) from None
    # Whatever Apprise has to say may hold the address.
    log = logging.getLogger("apprise")
    log.propagate = False
    log.addHandler(logging.NullHandler())
    asset = apprise.AppriseAsset(app_id="cryowatch", async_mode=False, storage_mode="memory")
    service = apprise.Apprise(asset=asset)
    with Heard():
        known = service.add(address)
    if not known:
        what = "Apprise does not know such an address" if urlsplit(address).scheme else "is no address"
        raise ConfigError(what, where=f"apprise.urls_file, {name}", remedy="See Apprise's list of services")
    return service


class Heard(logging.Handler):
    """What Apprise logs meanwhile: the last status of HTTP, None where it names none.

    It may log from threads of its own, so that only one service is asked at a time.
    """

    _one = threading.Lock()

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.status: int | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record of the log."""
        found = _STATUS.search(record.getMessage())
        if found:
            self.status = int(found[1])

    def __enter__(self) -> Heard:
        self._one.acquire()
        logging.getLogger("apprise").addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        logging.getLogger("apprise").removeHandler(self)
        self._one.release()
