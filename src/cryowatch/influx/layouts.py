"""The two layouts of the data in InfluxDB, and how a query names a project, its rows and its fields.

How a project's name gets into a query.  Grafana's other formats are no InfluxQL: `singlequote`, `doublequote` and
`sqlstring` leave backslashes alone, where InfluxQL wants them doubled (a name that ends in one would swallow the
quote), and `json` gives a text without any quotes since Grafana's scenes.  Without a format, InfluxDB's data source
escapes or does not, by the place and the version.  `${project:regex}` has been the same from Grafana 7 to 13: a
backslash before each of ``\\ ^ $ * + ? . ( ) | [ ] { } /``.  Between `/^` and `$/` that is exactly this name: InfluxQL
takes `\\/` for a slash and hands the other escapes to its regular expressions, where each stands for its character.
Quotes, `%`, `-`, digits and letters of any script need no escape there.  A visitor who writes `.*` for a name finds
the project of that name only.  The same form names a measurement.  Not served are names that Grafana takes a part of
for its own, whatever the format: a macro's text (`$timeFilter`, `$interval`, `$__interval`), which its server replaces
wherever it stands, and a variable's (`$project`, `$host`, `$__to`), since the query of a list is gone over twice.

A limit is a number that a reader writes into a text field.  `${NAME:lucene}` leaves a number as it is, and puts a
backslash before spaces, brackets, comparisons and double quotes of everything else, which InfluxQL cannot read: no
number is better than a wrong one, and nobody can write a query of his own there.

Which machine and which run.  A project of one name may be on two machines, and a session may have several CTF
estimates of the same micrographs; put together, their numbers would be wrong.  So every query in the layout
`cryowatch` is of one host, and one of micrographs of one run; `_leading` says which of them stand first in their lists.
The layout `scipion` has no such tags.

Two kinds of time.  Measured things lie in the dashboard's window (`DURING`).  A state (session, run, alert) is written
when it changes, so what holds now may have been written long before the window: it has an upper end only (`UNTIL`).
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

PROJECT = "/^${project:regex}$/"
HOST = "/^${host:regex}$/"
RUN = "/^${run:regex}$/"
DURING = "$timeFilter"
UNTIL = "time <= ${__to}ms"
IMAGES = ("Micrograph", "Power spectrum", "Shift plot")


class Layout(StrEnum):
    """How the data lie in InfluxDB."""

    CRYOWATCH = "cryowatch"
    SCIPION = "scipion"


_BOTH = {
    "defocus": "defocus",
    "defocus_u": "defocusU",
    "defocus_v": "defocusV",
    "astigmatism": "astigmatism",
    "ratio": "ratio",
    "resolution": "resolution",
    "fit_quality": "fitQuality",
    "phase_shift": "phaseShift",
    "stddev": "stddev",
    "ratio1": "ratio1",
    "ratio2": "ratio2",
    "cpu": "cpu",
    "memory": "mem",
    "swap": "swap",
}
_ONE = {
    "name": "name",
    "defocus_angle": "defocusAngle",
    "motion_total": "motionTotal",
    "motion_early": "motionEarly",
    "motion_late": "motionLate",
    "movie": "movie",
    "load": "load",
    "cores": "cores",
    "pressure_cpu": "pressureCpu",
    "pressure_memory": "pressureMem",
    "pressure_io": "pressureIo",
    "voltage": "voltage",
    "spherical_aberration": "sphericalAberration",
    "amplitude_contrast": "amplitudeContrast",
    "magnification": "magnification",
    "pixel_size": "pixelSize",
    "dose_per_frame": "dosePerFrame",
}
FIELDS: Mapping[Layout, Mapping[str, str]] = {
    Layout.CRYOWATCH: {**_BOTH, **_ONE},
    Layout.SCIPION: _BOTH,
}
"""The fields of micrographs, gain residuals, hosts and sessions, by the model's names."""

DEVICES = {
    ("filesystem", "used"): "^used:",
    ("filesystem", "free"): "^free:",
    ("filesystem", "total"): "^total:",
    ("filesystem", "full_in"): "^fullIn:",
    ("disk", "read"): "^disk_read$",
    ("disk", "written"): "^disk_write$",
    ("network", "sent"): "_send$",
    ("network", "received"): "_recv$",
    ("gpu", "use"): "^gpuUse_",
    ("gpu", "memory"): "^gpuMem_",
    ("gpu", "temperature"): "^gpuTem_",
    ("gpu", "power"): "^gpuPow_",
    ("gpu", "processes"): "^gpuProc_",
}
"""The fields of every device of a kind, by kind and quantity."""

OF_BOTH = ("disk_", "_send", "_recv", "gpuUse_", "gpuMem_", "gpuTem_")
"""What the names of devices' fields hold that the layout `scipion` has as well."""

_POSITIVE = {"defocus", "defocus_u", "defocus_v", "resolution", "ratio"}
"""What other writers of the layout `scipion` may have given a zero or a negative number for "no value"."""

_MOST = 100
_ESTIMATE = 10**6
_AT_WORK = 2 * 10**12
"""How much an estimate weighs beside a micrograph, and work in the last hour beside estimates, in `_leading`."""

_SECTIONS = {
    "micrograph": "ctf",
    "image": "ctf",
    "gain": "gain",
    "host": "system",
    "device": "system",
    "properties": "properties",
    "acquisition": "acquisition",
    "run": "summary",
}


def project_names(layout: Layout) -> str:
    """Return the query of all names that the variable `project` may take."""
    return "SHOW MEASUREMENTS" if layout is Layout.SCIPION else 'SHOW TAG VALUES FROM "session" WITH KEY = "project"'


def host_names(*, every: bool = False) -> str:
    """Return the query of the hosts of the chosen project; with `every` those of others that lived come after them."""
    states = f'SELECT count("status") AS "n" FROM "session" WHERE "project" =~ {PROJECT} AND {UNTIL} GROUP BY "host"'
    during = f"{UNTIL} AND time > ${{__to}}ms - 1d"
    lived = f'SELECT count("mem") * 0 + 1 AS "n" FROM "system" WHERE {during} GROUP BY "host"'
    return _leading("host", f'"project" =~ {PROJECT}', states, *([lived] if every else []))


def run_names() -> str:
    """Return the query of the runs that have micrographs of the chosen project."""
    return _leading("run", f'"project" =~ {PROJECT} AND "host" =~ {HOST}')


def _leading(tag: str, chosen: str, *more: str) -> str:
    """Return the query of a tag's values: first what estimated a CTF in the last hour, then what has most estimates.

    Those with micrographs alone come last.  InfluxQL sorts by nothing but time, yet `top` gives the largest first.  The
    answer has one column: of several, Grafana 10.3 and newer lists the values of each.
    """
    rows = f'FROM "micrograph" WHERE {chosen} AND {UNTIL}'
    parts = (
        f'SELECT max("ctfID") * 0 + {_AT_WORK} AS "n" {rows} AND time > ${{__to}}ms - 1h GROUP BY "{tag}"',
        f'SELECT count("ctfID") * {_ESTIMATE} AS "n" {rows} GROUP BY "{tag}"',
        f'SELECT count("name") AS "n" {rows} GROUP BY "{tag}"',
        *more,
    )
    ranked = f'SELECT sum("n") AS "n" FROM {", ".join(f"({part})" for part in parts)} GROUP BY "{tag}"'
    return f'SELECT "{tag}" FROM (SELECT top("n", {_MOST}) AS "n", "{tag}" FROM ({ranked}))'


def quoted(name: str) -> str:
    """Return a name as InfluxQL writes identifiers."""
    return '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'


def column(layout: Layout, field: str) -> str:
    """Return the column of a field that this layout holds."""
    return quoted(FIELDS[layout][field])


def rows_of(layout: Layout, record: str, time: str = DURING) -> str:
    """Return FROM and WHERE of the rows of a record within the chosen project, or of the chosen host.

    Disabled micrographs count nowhere; the layout `scipion` does not hold them.
    """
    if layout is Layout.SCIPION:
        return f"FROM {PROJECT} WHERE \"section\" = '{_SECTIONS[record]}' AND {time}"
    if record in ("host", "device"):
        return f'FROM "system" WHERE "host" =~ {HOST} AND {time}'
    run = f' AND "run" =~ {RUN}' if record in ("micrograph", "image") else ""
    run += ' AND "enabled" = true' if record == "micrograph" else ""
    return f'FROM {quoted(record)} WHERE "project" =~ {PROJECT} AND "host" =~ {HOST}{run} AND {time}'


def rows_of_all_runs(time: str = DURING) -> str:
    """Return FROM and WHERE of the micrographs of every run, in the layout `cryowatch`."""
    return f'FROM "micrograph" WHERE "project" =~ {PROJECT} AND "host" =~ {HOST} AND {time}'


def values_of(layout: Layout, record: str, field: str) -> str:
    """Return FROM and WHERE of the rows in which a field has a value."""
    found = rows_of(layout, record)
    return f"{found} AND {column(layout, field)} > 0" if layout is Layout.SCIPION and field in _POSITIVE else found
