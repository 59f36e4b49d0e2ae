"""A message as the HTML of a mail: one column that fits a phone, light or dark as the reader has it.

Styles stand in the elements, since some mail programs drop all others; those in the head only turn it dark.  Nothing is
loaded from anywhere: a picture is a part of the mail.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from cryowatch.notices.message import Entry, Message

_COLOURS = {"critical": "#c62828", "warning": "#b35c00", "info": "#1565c0", "over": "#2e7d32"}


def colour(entry: Entry) -> str:
    """Return the colour of an entry, readable on white and on black."""
    return _COLOURS["over" if entry.until is not None else entry.severity]


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("cryowatch.notices"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals["colour"] = colour
    return environment.get_template("mail.html")


def render(message: Message, pictures: Mapping[int, str]) -> str:
    """Return the HTML; `pictures` are content ids of attached pictures, by the row ids of their sessions.

    A session's picture stands with its first entry.
    """
    left = dict(pictures)
    shown = [left.pop(entry.session_id, "") if entry.session_id is not None else "" for entry in message.entries]
    page = message.context.page(None) if not any(entry.url for entry in message.entries) else ""
    return _template().render(message=message, entries=list(zip(message.entries, shown, strict=True)), page=page)
