"""The layout `cryowatch`: a measurement for each kind of record, few tags, numbers always floats.

| measurement | tags | fields |
|---|---|---|
| micrograph | project, host, run | ctfID, name, defocusU … motionLate, enabled |
| image | project, host, run | the same, and micUrl, psdUrl, shiftUrl: once the images are there |
| run | project, host, run, output | label, status, size: where it started, grew, ended |
| session | project, host | status and acquisition: a point at each change |
| gain | project, host, run | movie, stddev, ratio1, ratio2 |
| system | host | cpu, mem, swap, load, cores, pressures, rates of networks and disks, GPUs, file systems |
| alert | project, host, rule, severity | text, value, limit, active, subject |

A micrograph's time is the source's second plus the item's id in nanoseconds: unique, and the same at every delivery.
So is an alert's, which has a point where it began, saying what holds while it lasts, and one where it was over.

Every item of every CTF output is here.  The first of a run that does not hold what was sorted out has the run's id as
its tag `run`; any other has its own name behind that.  Of micrographs the run's first output is here: a dose-weighted
copy would count double.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, repeat
from operator import attrgetter
from typing import Any

from cryowatch.influx import states
from cryowatch.influx.batches import Items, Slice
from cryowatch.influx.lines import Fields, Kind, fields_of, line, tag_text
from cryowatch.influx.series import Series
from cryowatch.influx.states import Moment, State
from cryowatch.records import ImageKind, OutputKind, is_discarded
from cryowatch.store.changes import OutputNow, Published, SessionNow
from cryowatch.store.reader import Row
from cryowatch.times import SECOND

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
    samples_of_sessions = False
    columns = tuple(column for _, column, _ in MICROGRAPH_FIELDS[1:])

    def __init__(self, *, url_prefix: str = "") -> None:
        self._prefix = url_prefix.rstrip("/")

    def identity(self, name: str, host: str) -> str:
        """Return what two projects must not share: the tags `project` and `host`."""
        return f"{tag_text(name)}\0{tag_text(host)}"

    def outputs(self, project: str, host: str, outputs: Sequence[OutputNow]) -> dict[int, Series]:
        """Return what the items of each delivered output are called."""
        found = {}
        for run, group in groupby(sorted(outputs, key=attrgetter("run", "id")), key=attrgetter("run")):
            of_run = list(group)
            estimates = [output for output in of_run if output.kind == OutputKind.CTF]
            first = next((output for output in estimates if not is_discarded(output.name)), None)
            for output in estimates:
                found[output.id] = _items(project, host, run if output is first else f"{run} {output.name}")
            micrographs = [output for output in of_run if output.kind == OutputKind.MICROGRAPHS]
            if micrographs:
                chosen = min(micrographs, key=lambda output: (is_discarded(output.name), output.id))
                found[chosen.id] = _items(project, host, run if first is None else f"{run} {chosen.name}")
        return found

    def before(self, project: str, host: str, outputs: Sequence[OutputNow]) -> dict[int, Series]:
        """Return what version 0.1 called them: the first output of each kind of a run was delivered."""
        firsts: dict[tuple[str, str], OutputNow] = {}
        for output in outputs:
            if output.kind in (OutputKind.CTF, OutputKind.MICROGRAPHS):
                firsts.setdefault((output.run, output.kind), output)
        return {output.id: _items(project, host, output.run) for output in firsts.values()}

    def gains(self, project: str, host: str, run: str) -> Series:
        """Return what the gain residuals of a run are called."""
        return Series.of("gain", {"project": project, "host": host, "run": run})

    def superseded(self, series: Series, cause: str) -> Sequence[Series]:
        """Return in which series a superseded item of one has points that are to be taken away."""
        if series.measurement != "micrograph":
            return (series,)
        image = series.within("image")
        return {"discarded": (), "unpublished": (image,)}.get(cause, (series, image))

    def moment(self, time: int, item: int) -> int:
        """Return the time of the point of an item."""
        return unique(time, item)

    def lines(self, found: Slice) -> Iterable[str]:
        """Yield the lines of a slice."""
        for items in found.items:
            yield from _micrographs(items, found)
        for items in (*found.items, *found.published):
            yield from self._images(items, found)
        for row in found.gains:
            values = {"movie": row["movie"], **{k: row[k] for k in ("stddev", "ratio1", "ratio2")}}
            beginning = found.gain_series[row["session_id"], row["run"]].beginning
            yield from filter(None, [line(beginning, fields_of(_known(values))[1], unique(row["time"], row["item"]))])
        for row in found.samples:
            beginning = Series.of("system", {"host": row["host"]}).beginning
            yield from filter(None, [line(beginning, fields_of(_known(_sample(row)))[1], row["time"])])

    def _images(self, items: Items, found: Slice) -> Iterator[str]:
        """Items of CTF outputs of which at least one image is published."""
        series, images = found.series.get(items.output), found.images
        kind = found.places[items.output].kind
        if series is None or kind != OutputKind.CTF or images.keys().isdisjoint(items.ids):
            return
        beginning = series.within("image").beginning
        for id_, fields, time in zip(items.ids, _written(items, kind), item_times(items), strict=True):
            if urls := published_urls(images.get(id_), self._prefix):
                links = _links.written(tuple(urls.get(kind) for kind in ImageKind))
                yield from filter(None, [line(beginning, f"{fields},{links}", time)])

    def states(self, project: str, session: SessionNow) -> Iterator[State]:
        """Yield the points of a session, its runs and their outputs."""
        place = {"project": project, "host": session.row["host"]}
        acquisition = {name: session.row[column] for name, column in SESSION_FIELDS}
        for moment in states.of_session(session):
            yield _state(Series.of("session", place), moment.time, {**acquisition, "status": moment.status})
        labels = {run.run: run.label for run in session.runs}
        for run in session.runs:
            series = Series.of("run", {**place, "run": run.run})
            yield from (_grown(series, moment, run.label) for moment in states.of_run(run, session))
        for output in session.outputs:
            series = Series.of("run", {**place, "run": output.run, "output": output.name})
            label = labels.get(output.run, "")
            yield from (_grown(series, moment, label) for moment in states.of_output(output, session))

    def alert(self, row: Row, project: str) -> Iterator[State]:
        """Yield the point where an alert began, and the one where it was over."""
        tags = {"project": project, "host": row["host"], "rule": row["rule"], "severity": row["severity"]}
        series = Series.of("alert", tags)
        values = {"text": row["text"], "value": row["value"], "limit": row["limit"], "subject": row["subject"]}
        yield _state(series, unique(row["since"], row["id"]), {**values, "active": True})
        if row["until"] is not None:
            later = max(row["until"], row["since"] + SECOND)
            yield _state(series, unique(later, row["id"]), {**values, "active": False})


def _state(series: Series, time: int, values: Mapping[str, Any]) -> State:
    names, fields = fields_of(_known(values))
    return State(series, time, names, fields)


def _grown(series: Series, moment: Moment, label: str) -> State:
    return _state(series, moment.time, {"label": label, "status": moment.status, "size": moment.size})


def _micrographs(items: Items, found: Slice) -> Iterator[str]:
    """Items of CTF outputs and of micrographs; movies count in `run` alone."""
    series = found.series.get(items.output)
    if series is not None:
        written = _written(items, found.places[items.output].kind)
        yield from filter(None, map(line, repeat(series.beginning), written, item_times(items)))


def _items(project: str, host: str, run: str) -> Series:
    return Series.of("micrograph", {"project": project, "host": host, "run": run})


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


def _sample(row: Row) -> dict[str, Any]:
    """Return the fields of a host sample."""
    values: dict[str, Any] = {**system_values(row), "load": row["load"], "cores": row["cores"]}
    values |= {"pressureCpu": row["pressure_cpu"]}
    values |= {"pressureMem": row["pressure_memory"], "pressureIo": row["pressure_io"]}
    for device in row["devices"]:
        name = device["device"]
        if device["kind"] == "filesystem":
            hours = None if device["full_in"] is None else device["full_in"] / 3600
            values |= {f"used:{name}": device["used"], f"fullIn:{name}": hours}
            values |= {f"{field}:{name}": _gigabytes(device[field]) for field in ("free", "total")}
        elif device["kind"] == "gpu":
            values |= {f"gpuPow_{name}": device["power"], f"gpuProc_{name}": device["processes"]}
    return values


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


def unique(time: int, number: int) -> int:
    """Return the second of a time plus a number in nanoseconds, so that what began together stays apart."""
    return time // SECOND * SECOND + number % SECOND


def _known(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None and value != ""}
