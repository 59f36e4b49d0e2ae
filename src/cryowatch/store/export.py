"""What `export` prints: every record of one kind of a session, for people and spreadsheets, or as the store has it.

For people a column's head names its unit, values are in the units of the pages, and times are ISO 8601 in UTC.  Raw,
and in JSON, columns are the model's fields in stored units: Å, degrees, nanoseconds.
"""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Protocol, TextIO

from cryowatch.errors import one_line
from cryowatch.records import (
    Alert,
    DeviceSample,
    GainResidual,
    HostSample,
    Micrograph,
    Output,
    Quantity,
    Run,
    quantities,
)
from cryowatch.store.reader import Reader, Row
from cryowatch.store.status import open_reader, session_of
from cryowatch.times import SECOND


@dataclass(frozen=True, slots=True)
class _Column:
    """A field of a record: its name in the export, and its quantity."""

    name: str
    quantity: Quantity

    @property
    def head(self) -> str:
        """What a person reads above the column: the name, with the unit that values are in."""
        unit = "UTC" if self.quantity.unit == "ns" else self.quantity.shown_unit
        return f"{self.name} ({unit})" if unit else self.name

    def shown(self, value: Any) -> Any:
        """Return a stored value as people read it."""
        if value is None or isinstance(value, str | bool):
            return value
        return _iso(value) if self.quantity.unit == "ns" else self.quantity.shown(value)


def _columns(record: type, *, prefix: str = "", without: str = "") -> tuple[_Column, ...]:
    found = quantities(record).items()
    return tuple(_Column(f"{prefix}{name}", quantity) for name, quantity in found if name != without)


_MICROGRAPH = _columns(Micrograph)
_RUN = (*_columns(Run), *_columns(Output, prefix="output_", without="run"))
_HOST_SAMPLE = (*_columns(HostSample, without="devices"), *_columns(DeviceSample, prefix="device_"))


def export(data_dir: Path, session: str, *, kind: str, as_json: bool, out: TextIO, raw: bool = False) -> None:
    """Print every record of one kind of a session; `raw` CSV has field names and stored units, as JSON always has.

    A terminal gets control characters as such: a file keeps them, as names may hold them.
    """
    reader = open_reader(data_dir)
    shown: _Out = _Terminal(out) if out.isatty() else out
    name = session.encode(errors="backslashreplace").decode()
    columns, rows = _records(reader, session_of(reader, name), kind)
    if as_json:
        _write_json([column.name for column in columns], rows, shown)
    else:
        _write_csv(columns, rows, shown, raw=raw)


def csv_of_micrographs(rows: Iterable[Row], out: TextIO, *, paths: bool) -> None:
    """Write micrographs as the command does; without `paths` nothing tells where files lie."""
    columns = tuple(column for column in _MICROGRAPH if paths or not column.name.endswith("_path"))
    _write_csv(columns, _with_booleans(rows, "enabled"), out, raw=False)


class _Out(Protocol):
    """Where text goes."""

    def write(self, text: str, /) -> int: ...


class _Terminal:
    """Shows what is written on a terminal that obeys no name in it."""

    def __init__(self, out: _Out) -> None:
        self._out = out

    def write(self, text: str) -> int:
        """Take text, whose lines stay lines."""
        return self._out.write("\n".join(one_line(line) for line in text.split("\n")))


def _records(reader: Reader, session: Row, kind: str) -> tuple[tuple[_Column, ...], Iterable[Mapping[str, Any]]]:
    parameters = {"session": session["id"], "host": session["host"], "name": session["key"]}
    match kind:
        case "micrographs":
            return _MICROGRAPH, _with_booleans(reader.every_micrograph(session["id"]), "enabled")
        case "estimates":
            return _MICROGRAPH, _with_booleans(reader.every_estimate(session["id"]), "enabled")
        case "runs":
            return _RUN, _with_booleans(reader.rows(_RUNS_SQL, parameters), "output_stream_open")
        case "gain":
            return _columns(GainResidual), reader.rows(_GAIN_SQL, parameters)
        case "host":
            return _HOST_SAMPLE, reader.rows(_HOST_SQL, parameters)
        case _:
            return _columns(Alert), reader.rows(_ALERTS_SQL, parameters)


_RUNS_SQL = f"""
SELECT {", ".join(f"run.{f.name}" for f in fields(Run))},
       {", ".join(f"output.{f.name} AS output_{f.name}" for f in fields(Output) if f.name != "run")}
FROM run LEFT JOIN output ON output.session_id = run.session_id AND output.run = run.run
WHERE run.session_id = :session ORDER BY CAST(run.run AS INTEGER), run.run, output.id"""

_GAIN_SQL = "SELECT * FROM gain WHERE session_id = :session ORDER BY id"

_HOST_SQL = f"""
SELECT {", ".join(f"host_sample.{f.name}" for f in fields(HostSample) if f.name != "devices")},
       {", ".join(f"device_sample.{f.name} AS device_{f.name}" for f in fields(DeviceSample))}
FROM host_sample LEFT JOIN device_sample ON sample_id = host_sample.id
WHERE host_sample.host = :host ORDER BY host_sample.time, device_sample.kind, device_sample.device"""

_ALERTS_SQL = """
SELECT rule, :name AS session, host, subject, severity, since, until, value, "limit", unit, acknowledged, text, detail
FROM alert WHERE session_id = :session ORDER BY since, id"""


def _with_booleans(rows: Iterable[Row], column: str) -> Iterator[Row]:
    for row in rows:
        yield {**row, column: None if row[column] is None else bool(row[column])}


def _write_csv(columns: tuple[_Column, ...], rows: Iterable[Mapping[str, Any]], out: _Out, *, raw: bool) -> None:
    """Write RFC 4180 CSV; a text that a spreadsheet would take for a formula gets a leading apostrophe."""
    writer = csv.writer(_Lines(out))
    if raw:
        writer.writerow(column.name for column in columns)
        writer.writerows([_cell(row[column.name]) for column in columns] for row in rows)
    else:
        writer.writerow(column.head for column in columns)
        writer.writerows([_cell(column.shown(row[column.name])) for column in columns] for row in rows)


class _Lines:
    """Ends each record in a line feed; the csv module itself would then leave carriage returns unquoted."""

    def __init__(self, out: _Out) -> None:
        self._out = out

    def write(self, record: str) -> int:
        """Take a record as the csv module writes it."""
        return self._out.write(record.removesuffix("\r\n") + "\n")


def _iso(nanoseconds: int) -> str:
    """Return a time of UTC in ISO 8601, with milliseconds where it has any."""
    seconds, rest = divmod(nanoseconds, SECOND)
    fraction = f".{rest // 10**6:03d}" if rest >= 10**6 else ""
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(seconds))}{fraction}Z"


def _cell(value: Any) -> Any:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")):
        return f"'{value}"
    return "" if value is None else value


def _write_json(columns: list[str], rows: Iterable[Mapping[str, Any]], out: _Out) -> None:
    separator = "[\n"
    for row in rows:
        out.write(separator)
        json.dump({column: row[column] for column in columns}, out, ensure_ascii=False)
        separator = ",\n"
    out.write("[]\n" if separator == "[\n" else "\n]\n")
