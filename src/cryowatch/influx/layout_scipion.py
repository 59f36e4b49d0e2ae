"""The layout `scipion`: what Scipion's summary monitor writes and the published dashboards read.

One measurement a project, named as the reference names it, and the tag `section`.  Where the reference errs, the value
is right instead: `defocus` is the mean of U and V, an infinite resolution is left out, times are UTC.  `id` is no tag
(that made a series of each micrograph): a point's time is the source's second plus the item's id in nanoseconds.

Of each grid of a session one CTF output is here, since there is no tag to tell several estimates of the same
micrographs apart: of those that may stand for the grid and hold items, the one whose run started first.  Where it goes,
another takes its place with all that it holds.  An item that is disabled is not here: there is no field that says so.

The sections `properties`, `acquisition` and `summary` are tables whose rows have fixed times, counted in seconds from
the project's creation, so that a new value replaces the old one and rows come in order.
"""

from __future__ import annotations

import html
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import compress
from typing import Any

from cryowatch.influx.batches import Items, Slice
from cryowatch.influx.layout_cryowatch import item_times, published_urls, system_values, unique
from cryowatch.influx.lines import Fields, Kind, fields_of, line
from cryowatch.influx.series import Series
from cryowatch.influx.states import State
from cryowatch.records import ImageKind, OutputKind
from cryowatch.store.changes import OutputNow, Published, SessionNow
from cryowatch.store.leading import Leading
from cryowatch.store.reader import Row
from cryowatch.times import HOUR, SECOND

_DROPPED = re.compile(r"""["#$%&+,/:;=?@\[\\\]^`{|}~']""")

CTF_FIELDS = (
    ("ctfID", "item", Kind.INTEGER),
    ("defocusU", "defocus_u", Kind.FLOAT),
    ("defocusV", "defocus_v", Kind.FLOAT),
    ("defocus", "defocus", Kind.FLOAT),
    ("astigmatism", "astigmatism", Kind.FLOAT),
    ("ratio", "ratio", Kind.FLOAT),
    ("resolution", "resolution", Kind.FLOAT),
    ("fitQuality", "fit_quality", Kind.FLOAT),
    ("phaseShift", "phase_shift", Kind.FLOAT),
    ("micPathLocal", "micrograph_path", Kind.TEXT),
    ("psdPathLocal", "power_spectrum_path", Kind.TEXT),
    ("shiftPlotPathLocal", "shift_plot_path", Kind.TEXT),
)
_ACQUISITION = (
    ("Microscope Voltage (kV)", "voltage"),
    ("Spherical aberration (mm)", "spherical_aberration"),
    ("Magnification", "magnification"),
    ("Pixel Size (Å/px)", "pixel_size"),
    ("Dose per frame (e/Å²)", "dose_per_frame"),
)
_GAIN_FIELDS = (("idx", "item", Kind.INTEGER), *((name, name, Kind.FLOAT) for name in ("stddev", "ratio1", "ratio2")))
_GRID = 10**7
"""By how many ns the points of each further grid are later: its items have the numbers of the first one's."""

_fields = Fields([(name, kind) for name, _, kind in CTF_FIELDS])
_gain_fields = Fields([(name, kind) for name, _, kind in _GAIN_FIELDS])
_links = Fields([(name, Kind.TEXT) for name in ("micPath", "psdPath", "shiftPlotPath")])


def project_measurement(name: str) -> str:
    """Return the measurement that the reference gives a project: without some characters, white space as `_`."""
    return "_".join(_DROPPED.sub("", name).split()) or "_"


class ScipionLayout:
    """Lines in the layout `scipion`.

    `url_prefix` is where readers find published images; `shift_hours` is added to every time (`timeDelta` of
    secrets.cfg).
    """

    name = "scipion"
    samples_of_sessions = True
    columns = (*(column for _, column, _ in CTF_FIELDS[1:]), "enabled")

    def __init__(self, *, url_prefix: str = "", shift_hours: float = 0) -> None:
        self._prefix = url_prefix.rstrip("/")
        self._shift = round(shift_hours * HOUR)

    def identity(self, name: str, _host: str) -> str:
        """Return what two projects must not share: the measurement."""
        return project_measurement(name)

    def outputs(self, project: str, _host: str, outputs: Sequence[OutputNow]) -> dict[int, Series]:
        """Return what the items of the delivered outputs are called; the grid that began first has no offset."""
        rows = [{**o._asdict(), "run_inputs": o.inputs, "count": o.held, "newest": None} for o in outputs]
        known = {output.id: output for output in outputs}
        grids = Leading(rows).grids([row for row in rows if row["kind"] == OutputKind.CTF])
        held = [[known[row["id"]] for row in grid if row["held"]] for grid in grids]
        chosen = sorted((min(grid, key=_precedence) for grid in held if grid), key=_precedence)
        return {
            output.id: Series.of(project_measurement(project), {"section": "ctf"}, offset=place * _GRID)
            for place, output in enumerate(chosen)
        }

    def before(self, project: str, _host: str, outputs: Sequence[OutputNow]) -> dict[int, Series]:
        """Return what version 0.1 called them: it may have delivered items of any."""
        return {output.id: _section(project, "ctf") for output in outputs if output.kind == OutputKind.CTF}

    def gains(self, project: str, _host: str, _run: str) -> Series:
        """Return what gain residuals are called."""
        return _section(project, "gain")

    def superseded(self, series: Series, _cause: str) -> Sequence[Series]:
        """Return in which series a superseded item of one has points that are to be taken away."""
        return (series.within(series.measurement),)

    def moment(self, time: int, item: int) -> int:
        """Return the time of the point of an item."""
        return unique(time, item) + self._shift

    def lines(self, found: Slice) -> Iterable[str]:
        """Yield the lines of a slice."""
        for items in (*found.items, *found.published):
            yield from self._estimates(items, found)
        for row in found.gains:
            series = found.gain_series[row["session_id"], row["run"]]
            fields = _gain_fields.written([row[column] for _, column, _ in _GAIN_FIELDS])
            yield from filter(None, [line(series.beginning, fields, self.moment(row["time"], row["item"]))])
        for row in found.samples:
            for session in found.at_work[row["seq"]]:
                series = _section(found.projects[session], "system")
                known = {name: value for name, value in system_values(row).items() if value is not None}
                yield from filter(None, [line(series.beginning, fields_of(known)[1], row["time"] + self._shift)])

    def _estimates(self, items: Items, found: Slice) -> Iterator[str]:
        """Enabled items; one whose images come to be there is written again, with `transferImage` and the links."""
        series = found.series.get(items.output)
        if series is None:
            return
        *columns, enabled = items.columns
        fields = _fields.of_columns((items.numbers, *columns))
        rows: Iterable[tuple[int, str, int]] = zip(items.ids, fields, item_times(items), strict=True)
        for id_, written, time in rows if all(enabled) else compress(rows, enabled):
            whole = f"{written},{self._images(found.images.get(id_))}"
            yield from filter(None, [line(series.beginning, whole, time + self._shift + series.offset)])

    def _images(self, images: Published | None) -> str:
        urls = published_urls(images, self._prefix)
        if not urls:
            return "transferImage=false"
        links = (_thumbnail(urls[kind]) if kind in urls else None for kind in ImageKind)
        return f"{_links.written(tuple(links))},transferImage=true"

    def states(self, project: str, session: SessionNow) -> Iterator[State]:
        """Yield the rows of the tables."""
        row = session.row
        base = _base(session)
        now = max(row["newest"] or 0, row["last_read"] or 0, base)
        properties = (
            ("Scipion Version", row["software"]),
            ("Status", "RUNNING" if row["status"] == "running" else "FINISHED"),
            ("Duration", _duration(now - base)),
            ("Last Update", _moment(now)),
            ("Start Time", _moment(base)),
        )
        for place, (metric, value) in enumerate(properties, start=1):
            if value:
                values = {"metric": f"<b>{metric}</b>", "valueStr": value}
                yield self._state(project, "properties", values, base + place * SECOND)
        for place, (metric, column) in enumerate(_ACQUISITION):
            if row[column] is not None:
                known = {"metric": f"<b>{metric}</b>", "valueNum": float(row[column])}
                yield self._state(project, "acquisition", known, base - place * SECOND)
        for place, values in enumerate(_summary(session), start=1):
            yield self._state(project, "summary", values, base - place * SECOND)

    def _state(self, project: str, section: str, values: Mapping[str, Any], time: int) -> State:
        names, fields = fields_of(values)
        return State(_section(project, section), time + self._shift, names, fields)

    def alert(self, _row: Row, _project: str) -> Iterator[State]:
        """Yield nothing: this layout has no alerts."""
        yield from ()


def _section(project: str, section: str) -> Series:
    return Series.of(project_measurement(project), {"section": section})


def _precedence(output: OutputNow) -> tuple[float, int, str, int]:
    """Return the order of CTF outputs: by their runs' start."""
    started = math.inf if output.started is None else output.started
    number = int(output.run) if output.run.isdecimal() else 0
    return started, number, output.run, output.id


def _base(session: SessionNow) -> int:
    return int((session.row["created"] or 0) // SECOND * SECOND)


def _summary(session: SessionNow) -> Iterator[dict[str, str]]:
    """Yield a row for each run, and below it one for each of its outputs."""
    for run in session.runs:
        yield {"protocolName": f"<b>{html.escape(run.label)} ({run.run})</b>", "output": "", "size": ""}
        for output in session.outputs:
            if output.run == run.run:
                yield {"protocolName": "", "output": output.name, "size": str(output.size or 0)}


def _thumbnail(url: str) -> str:
    """Return a picture of 128 pixels that leads to the whole one, as HTML for a table cell."""
    address = html.escape(url)
    return f'<a href="{address}" target="_blank"><img src="{address}" width="128"></a>'


def _moment(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _duration(nanoseconds: int) -> str:
    minutes = max(0, nanoseconds) // (60 * SECOND)
    days, hours = minutes // 1440, minutes % 1440 // 60
    return (f"{days} d " if days else "") + (f"{hours} h " if days or hours else "") + f"{minutes % 60} min"
