"""InfluxDB's line protocol, written so that what goes in comes back equal.

A line is `measurement,tag=value field=value time`.  Commas, spaces and equals signs of names and tags are escaped by a
backslash; but a backslash itself cannot be.  So one that stands before such a character, before a quote or at the end,
and control characters, have no form in a tag: `tag_text` gives them one that no folder and no protocol is called by.
Text fields are quoted and hold everything but NUL.  Numbers are always floats (the first write of a field fixes its
type for ever) but for fields declared as integers; None and what is not finite is left out.  JSON writes a float as
line protocol does, the shortest text that is read as the same float, so orjson writes them: there are very many.

Format: docs.influxdata.com/influxdb/v1/write_protocols/line_protocol_reference.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from types import NoneType
from typing import Any

import orjson

_SPECIAL = re.compile(r"([,= ])")
_SPECIAL_IN_NAME = re.compile(r"([, ])")
_LOST = re.compile(r"\\(?=[,= \"\\]|$)")
_QUOTED = re.compile(r'["\\\x00\ud800-\udfff]')
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MOST_NANOSECONDS = 2**63 - 1


class Kind(Enum):
    """What a field holds."""

    FLOAT = "float"
    INTEGER = "integer"
    TEXT = "text"
    FLAG = "flag"


def tag_text(text: str) -> str:
    """Return a text as a tag or a measurement can hold it: the same for nearly all.

    Control characters become their pictures (U+2400…), backslashes that would escape something become slashes.
    """
    if text.isalnum():
        return text
    text = _CONTROL.sub(lambda m: chr(0x2421 if m[0] == "\x7f" else 0x2400 + ord(m[0])), text)
    while (mended := _LOST.sub("/", text)) != text:
        text = mended
    return text.encode("utf-8", "replace").decode("utf-8")


def measurement_text(name: str) -> str:
    """Return a measurement's name as the server has it."""
    text = tag_text(name)
    return f"/{text}" if text.startswith("#") else text


def measurement(name: str) -> str:
    """Return a measurement's name, escaped."""
    return _SPECIAL_IN_NAME.sub(r"\\\1", measurement_text(name))


def _escaped(text: str) -> str:
    return _SPECIAL.sub(r"\\\1", tag_text(text))


def _float(value: float) -> str | None:
    number = float(value)
    return orjson.dumps(number).decode() if math.isfinite(number) else None


def _integer(value: int) -> str:
    return f"{int(value)}i"


def _text(value: str) -> str:
    text = str(value).encode("utf-8", "replace").decode("utf-8").replace("\0", "\u2400")
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _flag(value: object) -> str:
    return "true" if value else "false"


_WRITERS: Mapping[Kind, Callable[[Any], str | None]] = {
    Kind.FLOAT: _float,
    Kind.INTEGER: _integer,
    Kind.TEXT: _text,
    Kind.FLAG: _flag,
}


class Fields:
    """Names and kinds of the fields of many points, prepared once."""

    def __init__(self, fields: Sequence[tuple[str, Kind]]) -> None:
        self._fields = [(f"{_escaped(name)}=", kind) for name, kind in fields]

    def written(self, values: Sequence[Any]) -> str:
        """Return the fields of a point that have values, in the order of their names; empty where none has."""
        return self.of_columns([(value,) for value in values])[0]

    def of_columns(self, columns: Sequence[Sequence[Any]]) -> list[str]:
        """Return the same of many points, at least one, given field by field: that is quicker than one by one."""
        written = [_column(name, kind, values) for (name, kind), values in zip(self._fields, columns, strict=True)]
        written = [texts for texts in written if any(texts)]
        if not written:
            return [""] * len(columns[0])
        if all(map(all, written)):
            return list(map(",".join, zip(*written, strict=True)))
        return [",".join(filter(None, texts)) for texts in zip(*written, strict=True)]


def _column(name: str, kind: Kind, values: Sequence[Any]) -> list[str]:
    """Return one field of many points, empty where it has no value.

    Nearly all columns hold nothing but what the field expects, and need no look at each value.
    """
    types = set(map(type, values))
    if types == {NoneType}:
        return []
    if kind is Kind.FLOAT and types == {float} and all(map(math.isfinite, values)):
        return [name + text for text in orjson.dumps(values)[1:-1].decode().split(",")]
    if kind is Kind.INTEGER and types == {int}:
        return [f"{name}{value}i" for value in values]
    if kind is Kind.TEXT and types == {str} and not _QUOTED.search("".join(values)):
        return [f'{name}"{value}"' for value in values]
    write = _WRITERS[kind]
    texts = [None if value is None else write(value) for value in values]
    return ["" if text is None else name + text for text in texts]


def series(name: str, tags: Mapping[str, str]) -> str:
    """Return the beginning of a line: measurement and tags, sorted by name; empty tags are left out."""
    written = [f",{_escaped(tag)}={_escaped(value)}" for tag, value in sorted(tags.items()) if value]
    return measurement(name) + "".join(written)


def line(beginning: str, fields: str, time: int) -> str | None:
    """Return a line of a series, its written fields and a time in UTC nanoseconds; None where no field has a value."""
    if not fields or not -_MOST_NANOSECONDS < time < _MOST_NANOSECONDS:
        return None
    return f"{beginning} {fields} {time}"


def fields_of(values: Mapping[str, Any]) -> tuple[str, str]:
    """Return the names of fields and these as a line has them: text as text, bool as flag, every number as float.

    Without any value both are empty.
    """
    if not values:
        return "", ""
    fields = Fields([(field, _kind(value)) for field, value in values.items()])
    return ",".join(sorted(values)), fields.written(list(values.values()))


def _kind(value: object) -> Kind:
    if isinstance(value, bool):
        return Kind.FLAG
    return Kind.TEXT if isinstance(value, str) else Kind.FLOAT
