"""The layout `cryowatch`: a measurement for each kind of record, few tags, numbers always floats.

| measurement | tags | fields |
|---|---|---|
| micrograph | project, host, run | ctfID, name, defocusU … motionLate, enabled |
| image | project, host, run | the same, and micUrl, psdUrl, shiftUrl: once the images are there |
| run | project, host, run, output | label, status, size: a point at each change |
| session | project, host | status and acquisition: a point at each change |
| gain | project, host, run | movie, stddev, ratio1, ratio2 |
| system | host | cpu, mem, swap, load, cores, pressures, rates of networks and disks, GPUs, file systems |
| alert | project, host, rule, severity | text, value, limit, active, subject |

A micrograph's time is the source's second plus the item's id in nanoseconds: unique, and the same at every delivery.
So is an alert's, which has a point where it began, saying what holds while it lasts, and one where it was over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import repeat

from cryowatch.model import ImageKind
from cryowatch.sinks.batches import Items, Slice
from cryowatch.sinks.lines import Fields, Kind, line, point, series
from cryowatch.store.changes import Changes, Place, Published
from cryowatch.store.reader import Row

_SECOND = 10**9

MICROGRAPH_FIELDS = (
    ("ctfID", "item", Kind.INTEGER),
    ("name", "name", Kind.TEXT),
    ("defocusU", "defocus_u", Kind.FLOAT),
    ("defocusV", "defocus_v", Kind.FLOAT),
    ("defocus", "defocus", Kind.FLOAT),
    ("defocusAngle", "defocus_angle", Kind.FLOAT),
    ("astigmatism", "astigmatism", Kind.FLOAT),
    ("ratio", "ratio", Kind.FLOAT),
    ("resolution", "resolution", Kind.FLOAT),
    ("fitQuality", "fit_quality", Kind.FLOAT),
    ("phaseShift", "phase_shift", Kind.FLOAT),
    ("motionTotal", "motion_total", Kind.FLOAT),
    ("motionEarly", "motion_early", Kind.FLOAT),
    ("motionLate", "motion_late", Kind.FLOAT),
    ("enabled", "enabled", Kind.FLAG),
)
SESSION_FIELDS = (
    ("status", "status"),
    ("software", "software"),
    ("voltage", "voltage"),
    ("sphericalAberration", "spherical_aberration"),
    ("amplitudeContrast", "amplitude_contrast"),
    ("magnification", "magnification"),
    ("pixelSize", "pixel_size"),
    ("dosePerFrame", "dose_per_frame"),
)
_fields = Fields([(name, kind) for name, _, kind in MICROGRAPH_FIELDS])
_other_fields = Fields([(name, kind) for name, _, kind in MICROGRAPH_FIELDS[1:]])
"""Those of a micrograph whose CTF this output does not tell: it has no id of one."""

_links = Fields([(name, Kind.TEXT) for name in ("micUrl", "psdUrl", "shiftUrl")])


class CryowatchLayout:
    """Lines in the layout `cryowatch`; `url_prefix` is where readers find published images."""

    name = "cryowatch"
    columns = tuple(column for _, column, _ in MICROGRAPH_FIELDS[1:])

    def __init__(self, *, url_prefix: str = "") -> None:
        self._prefix = url_prefix.rstrip("/")

    def lines(self, found: Slice, changes: Changes) -> Iterable[str]:
        """Yield the lines of a slice."""
        counting = {output: place for output, place in found.places.items() if _counts(place, changes)}
        for items in found.items:
            yield from _micrographs(items, counting)
        for items in (*found.items, *found.published):
            yield from self._images(items, counting, found.images)
        for lines in (
            map(_session, found.sessions),
            map(_run, found.runs),
            map(_size, found.sizes),
            map(_gain, found.gains),
            map(_sample, found.samples),
            (written for row in found.alerts for written in _alert(row)),
        ):
            yield from (written for written in lines if written is not None)

    def _images(self, items: Items, counting: Mapping[int, Place], images: Mapping[int, Published]) -> Iterator[str]:
        """Items of CTF outputs of which at least one image is published."""
        place = counting.get(items.output)
        if place is None or place.kind != "ctf" or images.keys().isdisjoint(items.ids):
            return
        beginning = series("image", _tags(place))
        for id_, fields, time in zip(items.ids, _written(items, place.kind), item_times(items), strict=True):
            if urls := published_urls(images.get(id_), self._prefix):
                links = _links.written(tuple(urls.get(kind) for kind in ImageKind))
                yield from filter(None, [line(beginning, f"{fields},{links}", time)])


def _micrographs(items: Items, counting: Mapping[int, Place]) -> Iterator[str]:
    """Items of CTF outputs, and of each run's first output of micrographs; movies count in `run` alone."""
    place = counting.get(items.output)
    if place is not None and place.kind in ("ctf", "micrographs"):
        beginning = series("micrograph", _tags(place))
        yield from filter(None, map(line, repeat(beginning), _written(items, place.kind), item_times(items)))


def _counts(place: Place, changes: Changes) -> bool:
    """Return whether an output is the first of its kind of a run; a dose-weighted copy would count double."""
    return changes.first_output(place.session_id, place.run, place.kind) == place.output_id


def _tags(place: Place) -> dict[str, str]:
    return {"project": place.project, "host": place.host, "run": place.run}


def _written(items: Items, kind: str) -> list[str]:
    """Return the fields of items; those of micrographs have no id of a CTF."""
    if kind == "ctf":
        return _fields.of_columns((items.numbers, *items.columns))
    return _other_fields.of_columns(items.columns)


def published_urls(images: Published | None, prefix: str) -> dict[ImageKind, str]:
    """Return the addresses of the published images of a micrograph."""
    names = {} if images is None else {kind: getattr(images, kind.name.lower()) for kind in ImageKind}
    return {kind: f"{prefix}/{name}" for kind, name in names.items() if name}


def item_times(items: Items) -> Iterator[int]:
    """Yield the second of each item plus its number in nanoseconds."""
    return map(unique, items.times, items.numbers)


def _session(row: Row) -> str | None:
    values = {name: row[column] for name, column in SESSION_FIELDS}
    return point("session", {"project": row["project"], "host": row["host"]}, _known(values), row["time"])


def _run(row: Row) -> str | None:
    tags = {"project": row["project"], "host": row["host"], "run": row["run"], "output": row["output"] or ""}
    return point("run", tags, _known({k: row[k] for k in ("label", "status", "size")}), row["time"])


def _size(row: Row) -> str | None:
    """A size that came with a change of the run is one nanosecond later, so that both points stay."""
    tags = {"project": row["project"], "host": row["host"], "run": row["run"], "output": row["output"]}
    return point("run", tags, _known({k: row[k] for k in ("label", "status", "size")}), row["time"] + 1)


def _gain(row: Row) -> str | None:
    tags = {"project": row["project"], "host": row["host"], "run": row["run"]}
    values = {"movie": row["movie"], **{k: row[k] for k in ("stddev", "ratio1", "ratio2")}}
    return point("gain", tags, _known(values), unique(row["time"], row["item"]))


def _sample(row: Row) -> str | None:
    values = {**system_values(row), "load": row["load"], "cores": row["cores"], "pressureCpu": row["pressure_cpu"]}
    values |= {"pressureMem": row["pressure_memory"], "pressureIo": row["pressure_io"]}
    for device in row["devices"]:
        name = device["device"]
        if device["kind"] == "filesystem":
            hours = None if device["full_in"] is None else device["full_in"] / 3600
            values |= {f"used:{name}": device["used"], f"fullIn:{name}": hours}
            values |= {f"{field}:{name}": _gigabytes(device[field]) for field in ("free", "total")}
        elif device["kind"] == "gpu":
            values |= {f"gpuPow_{name}": device["power"], f"gpuProc_{name}": device["processes"]}
    return point("system", {"host": row["host"]}, _known(values), row["time"])


def system_values(row: Row) -> dict[str, float | None]:
    """Return a host sample under the names that the reference gives: %, MB/s, °C; disks are added up."""
    values: dict[str, float | None] = {"cpu": row["cpu"], "mem": row["memory"], "swap": row["swap"]}
    rates: dict[str, float] = {}
    for device in row["devices"]:
        name, kind = device["device"], device["kind"]
        if kind == "network":
            values[f"{name}_send"], values[f"{name}_recv"] = _megabytes(device["sent"]), _megabytes(device["received"])
        elif kind == "gpu":
            values[f"gpuUse_{name}"], values[f"gpuMem_{name}"] = device["use"], device["memory"]
            values[f"gpuTem_{name}"] = device["temperature"]
        elif kind == "disk":
            for field, rate in (("disk_read", device["read"]), ("disk_write", device["written"])):
                if rate is not None:
                    rates[field] = rates.get(field, 0.0) + rate / 1e6
    return {**values, **rates}


def _gigabytes(space: float | None) -> float | None:
    return None if space is None else space / 1e9


def _megabytes(rate: float | None) -> float | None:
    return None if rate is None else rate / 1e6


def _alert(row: Row) -> Iterator[str | None]:
    """The point where it began, also where that is over before it was ever sent, and the one where it was over."""
    tags = {"project": row["project"], "host": row["host"], "rule": row["rule"], "severity": row["severity"]}
    values = _known({"text": row["text"], "value": row["value"], "limit": row["limit"], "subject": row["subject"]})
    yield point("alert", tags, {**values, "active": True}, unique(row["since"], row["id"]))
    if row["until"] is not None:
        later = max(row["until"], row["since"] + _SECOND)
        yield point("alert", tags, {**values, "active": False}, unique(later, row["id"]))


def unique(time: int, number: int) -> int:
    """Return the second of a time plus a number in nanoseconds, so that what began together stays apart."""
    return time // _SECOND * _SECOND + number % _SECOND


def _known(values: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None and value != ""}
