"""The layout `scipion`: what Scipion's summary monitor writes and the published dashboards read.

One measurement a project, named as the reference names it, and the tag `section`.  Where the reference errs, the value
is right instead: `defocus` is the mean of U and V, an infinite resolution is left out, times are UTC.  `id` is no tag
(that made a series of each micrograph): a point's time is the source's second plus the item's id in nanoseconds.

The sections `properties`, `acquisition` and `summary` are tables whose rows have fixed times, counted in seconds from
the project's creation, so that a new value replaces the old one and rows come in order.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from cryowatch.model import ImageKind
from cryowatch.sinks.batches import Slice
from cryowatch.sinks.layout_cryowatch import item_times, published_urls, system_values, unique
from cryowatch.sinks.lines import Fields, Kind, line, point, series
from cryowatch.store.changes import Changes, Published
from cryowatch.store.reader import Row

_SECOND = 10**9
_HOUR = 3_600 * _SECOND
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
_fields = Fields([(name, kind) for name, _, kind in CTF_FIELDS])
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
    columns = tuple(column for _, column, _ in CTF_FIELDS[1:])

    def __init__(self, *, url_prefix: str = "", shift_hours: float = 0) -> None:
        self._prefix = url_prefix.rstrip("/")
        self._shift = round(shift_hours * _HOUR)

    def lines(self, found: Slice, changes: Changes) -> Iterable[str]:
        """Yield the lines of a slice."""
        yield from self._estimates(found, changes)
        for row in found.gains:
            values = {"idx": float(row["item"]), **{k: row[k] for k in ("stddev", "ratio1", "ratio2")}}
            yield from self._point(row["project"], "gain", values, unique(row["time"], row["item"]))
        for row in found.samples:
            for session in changes.live(row["host"], row["time"]):
                yield from self._point(session["project"], "system", dict(system_values(row)), row["time"])
        changed = {r["session_id"] for r in (*found.sessions, *found.runs, *found.sizes)}
        for session_id in sorted(changed):
            yield from self._tables(changes.session(session_id), changes)

    def _point(self, project: str, section: str, values: dict[str, object], time: int) -> Iterator[str]:
        known = {name: value for name, value in values.items() if value is not None}
        written = point(project_measurement(project), {"section": section}, known, time + self._shift)
        if written is not None:
            yield written

    def _estimates(self, found: Slice, changes: Changes) -> Iterator[str]:
        """Items of the session's first CTF estimate, as the reference follows one; a second would count double.

        One whose images come to be there is written again, with `transferImage` and the links.
        """
        for session, project in {place.session_id: place.project for place in found.places.values()}.items():
            chosen = changes.first_estimate(session)
            beginning = series(project_measurement(project), {"section": "ctf"})
            for items in (*found.items, *found.published):
                if items.output == chosen:
                    fields = _fields.of_columns((items.numbers, *items.columns))
                    for id_, written, time in zip(items.ids, fields, item_times(items), strict=True):
                        whole = f"{written},{self._images(found.images.get(id_))}"
                        yield from filter(None, [line(beginning, whole, time + self._shift)])

    def _images(self, images: Published | None) -> str:
        urls = published_urls(images, self._prefix)
        if not urls:
            return "transferImage=false"
        links = (_thumbnail(urls[kind]) if kind in urls else None for kind in ImageKind)
        return f"{_links.written(tuple(links))},transferImage=true"

    def _tables(self, session: Row, changes: Changes) -> Iterator[str]:
        base = (session["created"] or 0) // _SECOND * _SECOND
        now = max(session["newest"] or 0, session["last_read"] or 0, base)
        properties = (
            ("Scipion Version", session["software"]),
            ("Status", "RUNNING" if session["status"] == "running" else "FINISHED"),
            ("Duration", _duration(now - base)),
            ("Last Update", _moment(now)),
            ("Start Time", _moment(base)),
        )
        for place, (metric, value) in enumerate(properties, start=1):
            values = {"metric": f"<b>{metric}</b>", "valueStr": value}
            yield from self._point(session["project"], "properties", values, base + place * _SECOND)
        for place, (metric, column) in enumerate(_ACQUISITION):
            if session[column] is not None:
                values = {"metric": f"<b>{metric}</b>", "valueNum": float(session[column])}
                yield from self._point(session["project"], "acquisition", values, base - place * _SECOND)
        place = 0
        last = None
        for row in changes.summary(session["id"]):
            if row["run"] != last:
                last = row["run"]
                place += 1
                values = {"protocolName": f"<b>{_html(row['label'])} ({row['run']})</b>", "output": "", "size": ""}
                yield from self._point(session["project"], "summary", values, base - place * _SECOND)
            if row["output"] is not None:
                place += 1
                values = {"protocolName": "", "output": row["output"], "size": str(row["size"] or 0)}
                yield from self._point(session["project"], "summary", values, base - place * _SECOND)


def _thumbnail(url: str) -> str:
    """Return a picture of 128 pixels that leads to the whole one, as HTML for a table cell."""
    address = _html(url)
    return f'<a href="{address}" target="_blank"><img src="{address}" width="128"></a>'


def _html(text: str) -> str:
    """Return a text for a table cell that Grafana shows as HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _moment(nanoseconds: int) -> str:
    return datetime.fromtimestamp(nanoseconds // _SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _duration(nanoseconds: int) -> str:
    minutes = max(0, nanoseconds) // (60 * _SECOND)
    days, hours = minutes // 1440, minutes % 1440 // 60
    return (f"{days} d " if days else "") + (f"{hours} h " if days or hours else "") + f"{minutes % 60} min"
