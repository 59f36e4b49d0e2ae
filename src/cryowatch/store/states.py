"""How a session is, in a word."""

from __future__ import annotations

from cryowatch.errors import SourceGone
from cryowatch.store.reader import Row

GONE = SourceGone.state


def status_of(session: Row) -> str:
    """Return a session's status: what its runs are at, or `gone` where the project itself is not there.

    Where one of its files is missing, that is a trouble of the session, and the project is still at work.
    """
    if session["state"] == GONE and session["troubles"] == "[]":
        return GONE
    return str(session["status"] or "empty")
