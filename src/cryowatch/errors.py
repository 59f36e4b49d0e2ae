"""Everything that can go wrong and that somebody can do something about.

::

    CryowatchError
    ├── ConfigError            a setting is unknown, missing or of the wrong kind
    ├── NotFoundError          a session, dashboard, panel or image that the store does not know
    │   └── SessionForgotten       somebody had the session forgotten
    ├── SourceError            what the processing software wrote cannot be read
    │   ├── SourceBusy             its writer holds the lock: try again at the next tick
    │   ├── SourceInterrupted      its writer died in mid-transaction, and a copy could not be recovered
    │   ├── SourceGone             it was there and is no longer, or never was
    │   ├── SourceDenied           this user may not read it
    │   └── SourceMalformed        it is there and is not what it should be
    ├── StoreError             cryowatch's own database
    │   ├── StoreInUse             another agent works on this data directory
    │   ├── StoreOnNetwork         the data directory lies on a network file system
    │   ├── StoreTooNew            a newer cryowatch wrote it
    │   ├── QueryEnded             nobody waits for what a query would find, or it took too long
    │   └── StoreFailed            the disk is full, the file cannot be read or written
    │       └── StoreDamaged           what it holds is no whole database any more
    ├── SinkError              what the store holds cannot be delivered now; nothing is dropped
    │   ├── SinkAway               the server is away or busy: try again soon
    │   └── SinkRefused            it refuses: a person has to see to it
    │       └── MessageRefused         it refuses this one message, and may take another
    ├── AccessError            accounts, logins or share links cannot be read or written
    ├── ReportError            a report cannot be made or written
    ├── ServerError            InfluxDB or Grafana cannot be reached, refuses, or is not of the kind that was expected
    └── ImageError             an image cannot be shown
        ├── ImageMissing           no such file
        ├── ImageIncomplete        shorter than its header says: perhaps still being written
        ├── ImageAway              its disk does not answer, or the process that renders it ended: try again soon
        └── ImageUnreadable        not an image of a known kind, or damaged
            └── ImageUnsupported       whole, but of a kind that is not shown: the answer is final

Foreign exceptions are turned into these where they enter.  Each is one line for a person: where, what, and
what to do about it.
"""

from __future__ import annotations

import errno
import re

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class CryowatchError(Exception):
    """What happened, where, and what to do about it, as one line of text."""

    def __init__(self, what: str, *, where: object = None, remedy: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = None if where is None else str(where)
        self.remedy = remedy

    def __str__(self) -> str:
        text = self.what if self.where is None else f"{self.where}: {self.what}"
        return one_line(text if self.remedy is None else f"{text}. {self.remedy}")


class ConfigError(CryowatchError):
    """A setting is unknown, missing or of the wrong kind."""


class NotFoundError(CryowatchError):
    """The store does not know what was asked for."""


class SessionForgotten(NotFoundError):
    """Somebody had the session forgotten, and its project is passed over."""


class SourceError(CryowatchError):
    """What the processing software wrote cannot be read."""

    state = "malformed"


class SourceBusy(SourceError):
    """The writer holds the lock.  Nothing is wrong; try again at the next tick."""

    state = "busy"


class SourceInterrupted(SourceError):
    """The writer died in mid-transaction and the copy of its file could not be recovered."""

    state = "interrupted"


class SourceGone(SourceError):
    """The file or folder is not there."""

    state = "gone"


class SourceDenied(SourceError):
    """This user may not read the file or folder."""

    state = "denied"


class SourceMalformed(SourceError):
    """The file is there and is not what it should be."""

    state = "malformed"


class StoreError(CryowatchError):
    """cryowatch's own database cannot be used."""


class StoreInUse(StoreError):
    """Another agent works on this data directory."""


class StoreOnNetwork(StoreError):
    """The data directory lies on a network file system, where SQLite's locks cannot be trusted."""


class StoreTooNew(StoreError):
    """A newer cryowatch wrote this store."""


class QueryEnded(StoreError):
    """A query was ended, as nobody waits for what it would find, or it took too long."""


class StoreFailed(StoreError):
    """The disk is full, or the store's file is damaged, cannot be read or cannot be written."""


class StoreDamaged(StoreFailed):
    """What the store's file holds is no whole database any more; it is moved aside when it is opened next."""


class SinkError(CryowatchError):
    """What the store holds cannot be delivered now.  Everything is kept."""


class SinkAway(SinkError):
    """The server is away or busy; `after` is how many seconds it asks to wait, None where it does not say."""

    def __init__(
        self, what: str, *, where: object = None, remedy: str | None = None, after: float | None = None
    ) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.after = after


class SinkRefused(SinkError):
    """The server refuses, and will until a person changes something."""


class MessageRefused(SinkRefused):
    """The server takes messages, but not this one: too large, or with words that it does not like."""


class AccessError(CryowatchError):
    """The file of the accounts, the logins or the share links cannot be read or written."""


class ReportError(CryowatchError):
    """A report cannot be made or written."""


class ServerError(CryowatchError):
    """InfluxDB or Grafana cannot be reached, refuses, or is not of the kind that was expected."""


class ImageError(CryowatchError):
    """An image cannot be shown."""


class ImageMissing(ImageError):
    """There is no such file."""


class ImageIncomplete(ImageError):
    """The file is shorter than its header says; its writer may still be at work."""


class ImageAway(ImageError):
    """The image cannot be had just now, through no fault of its own that is known; another try may help."""


class ImageUnreadable(ImageError):
    """The file is not an image of a known kind, or it is damaged."""


class ImageUnsupported(ImageUnreadable):
    """The file is an image, but of a kind that is not shown: as long as the file does not change, that is final."""


def remedy_of(error: OSError) -> str:
    """Return what to do about a file or folder that the system does not let us read or write."""
    return _REMEDIES.get(error.errno or 0, "Check the path, its owner and its mode")


_REMEDIES = {
    errno.ENOENT: "Check the path",
    errno.EISDIR: "It is a folder; name a file",
    errno.ENOTDIR: "A part of the path is a file; name a folder",
    errno.EEXIST: "A part of the path is a file; name a folder",
    errno.ENOSPC: "Free some space on its disk",
    errno.EROFS: "Its file system can only be read; name another place",
}


def one_line(text: str) -> str:
    """Return the text with line breaks and control characters shown as such, so that no name can forge a line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def plain_line(line: str) -> str:
    """Return a line of a program's output as a terminal would leave it, with other control characters shown as such.

    Colours are left out; of a line that was written over again and again the last is kept.
    """
    last = _COLOUR.sub("", line).rstrip("\r").rpartition("\r")[2]
    return one_line(last.expandtabs(8))
