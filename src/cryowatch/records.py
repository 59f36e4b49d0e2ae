"""The records that flow from sources to the store and on to pages, exports and InfluxDB.

Times are UTC nanoseconds since 1970.  Lengths are Å, angles degrees, as Scipion keeps them; how a quantity is
shown to people (defocus in µm, astigmatism in nm) stands beside it in its `Quantity`.  "No value" is None:
a sentinel (0, inf, nan, negative) never gets past a source.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from functools import cache
from typing import Any

from cryowatch.times import duration


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a field is called, what it means, and how people read it.

    `unit` is the unit of the stored value.  `shown_unit` is the unit on pages; a shown value is the stored one
    times `scale`, with `decimals` decimals (None: as text).
    """

    label: str
    text: str = ""
    unit: str = ""
    shown_unit: str = ""
    scale: float = 1.0
    decimals: int | None = None

    @property
    def per_shown(self) -> float:
        """How many of the stored unit one of the shown unit is.

        A value divided by it is the number nearest to what people read, and so equal to a limit that they write:
        41000 Å are 4.1 µm, where 41000 times 1e-4 is a little more.
        """
        return float(f"{1 / self.scale:.12g}")

    def shown(self, value: float) -> float:
        """Return a stored value in the shown unit."""
        return value if self.scale == 1.0 else value / self.per_shown

    def said(self, value: float) -> str:
        """Return a value in the shown unit with that unit, as pages write it; a length of time in words."""
        if self.unit == "s":
            return duration(value * self.per_shown)
        return f"{value:,.{self.decimals or 0}f}{spaced(self.shown_unit)}"


def spaced(unit: str) -> str:
    """Return a unit as it stands behind a number."""
    return unit if unit in ("", "°") else f" {unit}"


def _field(
    label: str,
    text: str = "",
    *,
    unit: str = "",
    shown_unit: str | None = None,
    scale: float = 1.0,
    decimals: int | None = None,
    **kwargs: Any,
) -> Any:
    quantity = Quantity(label, text, unit, unit if shown_unit is None else shown_unit, scale, decimals)
    return field(metadata={"quantity": quantity}, **kwargs)


class RunStatus(StrEnum):
    """What Scipion says of a run (pyworkflow.protocol.constants)."""

    SAVED = "saved"
    LAUNCHED = "launched"
    RUNNING = "running"
    FAILED = "failed"
    FINISHED = "finished"
    ABORTED = "aborted"
    INTERACTIVE = "interactive"
    WAITING = "waiting"
    SCHEDULED = "scheduled"

    @property
    def active(self) -> bool:
        """Whether results may still come from a run in this state."""
        return self in (RunStatus.LAUNCHED, RunStatus.RUNNING, RunStatus.WAITING, RunStatus.SCHEDULED)


class OutputKind(StrEnum):
    """What the items of an output are, as far as cryowatch reads them one by one."""

    MOVIES = "movies"
    MICROGRAPHS = "micrographs"
    CTF = "ctf"
    OTHER = "other"


_DISCARDED = re.compile(r"(?i:discard|reject|exclud)|(?<![A-Za-z])bad(?![a-z])|Bad(?![a-z])")


def is_discarded(output: str) -> bool:
    """Return whether an output, by its name, holds what a filter or a person discarded."""
    return _DISCARDED.search(output) is not None


class ImageKind(StrEnum):
    """The three images of a micrograph."""

    MICROGRAPH = "micrograph"
    POWER_SPECTRUM = "power-spectrum"
    SHIFT_PLOT = "shift-plot"


class Severity(StrEnum):
    """How much an alert matters."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def weight(self) -> int:
        """How bad it is: the worse has more."""
        return list(Severity).index(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A microscope session: one project of the processing software."""

    name: str = _field("Session", "The project's name.")
    path: str = _field("Folder", "Where the project lies on the host.")
    source: str = _field("Source", "The software that processes the session.", default="scipion")
    host: str = _field("Host", "The machine that the agent runs on.", default="")
    created: int | None = _field("Created", "When the project was created.", unit="ns", default=None)
    status: str = _field("Status", "Whether any of its runs is still at work.", default="")
    software: str = _field("Software", "Version of the processing software, where it says so.", default="")
    voltage: float | None = _field("Voltage", "Acceleration voltage.", unit="kV", decimals=0, default=None)
    spherical_aberration: float | None = _field(
        "Spherical aberration", "Cs of the objective lens.", unit="mm", decimals=2, default=None
    )
    amplitude_contrast: float | None = _field(
        "Amplitude contrast", "Fraction of amplitude contrast.", decimals=2, default=None
    )
    magnification: float | None = _field("Magnification", "Nominal magnification.", unit="×", decimals=0, default=None)
    pixel_size: float | None = _field(
        "Pixel size", "Sampling rate of the movies.", unit="Å/px", decimals=3, default=None
    )
    dose_per_frame: float | None = _field(
        "Dose per frame", "Electron exposure of one frame.", unit="e/Å²", decimals=2, default=None
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One protocol in a project: an import, an alignment, a CTF estimation."""

    run: str = _field("Id", "The run's id in the project.")
    label: str = _field("Run", "What the user called it.")
    class_name: str = _field("Protocol", "Class of the protocol.")
    status: str = _field("Status", "What the processing software says of it.")
    started: int | None = _field("Started", "When it started.", unit="ns", default=None)
    ended: int | None = _field("Ended", "When it ended.", unit="ns", default=None)
    error: str = _field("Error", "Its last error.", default="")
    working_dir: str = _field("Working folder", "Relative to the project.", default="")
    files: str = _field("Files", "Where an import looks for new files: a pattern.", default="")
    inputs: str | None = _field("Inputs", "What it was made from: RUN.OUTPUT, between commas.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """A result of a run: a set with a size that may grow, or a single object."""

    run: str = _field("Id", "The run that made it.")
    name: str = _field("Output", "Its name in the run.")
    class_name: str = _field("Class", "Class of the set or object.")
    kind: OutputKind = _field("Kind", "What its items are.", default=OutputKind.OTHER)
    size: int | None = _field("Size", "How many items it holds.", unit="items", decimals=0, default=None)
    stream_open: bool | None = _field("Stream", "Whether more items may come.", default=None)
    path: str = _field("File", "The set's database, relative to the project.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class Micrograph:
    """One exposure as one output of a run knows it: a movie, an aligned micrograph, or one with its CTF.

    Fields that the output does not know are None, paths are empty.  Paths are as the project has them: relative
    to it, and with Scipion's decorations (`3@stack.mrcs`, `file:mrc`) taken off.
    """

    run: str = _field("Run", "The run that made the output.")
    output: str = _field("Output", "The output that holds it.")
    item: int = _field("Item", "Its id in the output.", decimals=0)
    name: str = _field("Micrograph", "Its name, usually that of the movie.")
    time: int = _field("Time", "When the output got it, to the second.", unit="ns")
    enabled: bool = _field("Enabled", "False where a person or a filter discarded it.", default=True)
    defocus_u: float | None = _field(
        "Defocus U",
        "Larger defocus of the two axes.",
        unit="Å",
        shown_unit="µm",
        scale=1e-4,
        decimals=2,
        default=None,
    )
    defocus_v: float | None = _field(
        "Defocus V",
        "Smaller defocus of the two axes.",
        unit="Å",
        shown_unit="µm",
        scale=1e-4,
        decimals=2,
        default=None,
    )
    defocus_angle: float | None = _field("Defocus angle", "Angle of the U axis.", unit="°", decimals=1, default=None)
    phase_shift: float | None = _field(
        "Phase shift", "Of a phase plate, where it was estimated.", unit="°", decimals=1, default=None
    )
    resolution: float | None = _field("Resolution", "Up to which the CTF fits.", unit="Å", decimals=2, default=None)
    fit_quality: float | None = _field(
        "Fit quality",
        "Figure of merit of the fit; comparable only within one session and program.",
        decimals=3,
        default=None,
    )
    motion_total: float | None = _field("Motion", "Accumulated over the movie.", unit="Å", decimals=1, default=None)
    motion_early: float | None = _field(
        "Early motion", "Accumulated over the first 4 e/Å².", unit="Å", decimals=1, default=None
    )
    motion_late: float | None = _field(
        "Late motion", "Accumulated after the first 4 e/Å².", unit="Å", decimals=1, default=None
    )
    pixel_size: float | None = _field("Pixel size", "Of the micrograph.", unit="Å/px", decimals=3, default=None)
    micrograph_path: str = _field("Micrograph file", "Relative to the project.", default="")
    power_spectrum_path: str = _field("Power spectrum file", "Relative to the project.", default="")
    shift_plot_path: str = _field("Shift plot file", "Relative to the project.", default="")

    @property
    def defocus(self) -> float | None:
        """Mean defocus, (U + V) / 2, in Å."""
        if self.defocus_u is None or self.defocus_v is None:
            return None
        return (self.defocus_u + self.defocus_v) / 2

    @property
    def astigmatism(self) -> float | None:
        """|U - V| in Å."""
        if self.defocus_u is None or self.defocus_v is None:
            return None
        return abs(self.defocus_u - self.defocus_v)

    @property
    def ratio(self) -> float | None:
        """U / V, without unit."""
        if self.defocus_u is None or not self.defocus_v:
            return None
        return self.defocus_u / self.defocus_v


DERIVED: Mapping[str, Quantity] = {
    "defocus": Quantity("Defocus", "Mean of U and V: (U + V) / 2.", "Å", "µm", 1e-4, 2),
    "astigmatism": Quantity("Astigmatism", "Difference of the two axes: |U - V|.", "Å", "nm", 0.1, 1),
    "ratio": Quantity("U / V", "Ratio of the two defoci.", decimals=3),
}
"""The properties of `Micrograph` that are computed from its fields."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GainResidual:
    """How far one movie's gain is from the reference: what is left after the correction."""

    run: str = _field("Run", "The run that estimated it.")
    item: int = _field("Line", "Its position in the run's file.", decimals=0)
    movie: str = _field("Movie", "The movie's name.")
    time: int = _field("Time", "When it was estimated, as far as the files tell.", unit="ns")
    stddev: float | None = _field("Standard deviation", "Of the residual gain.", decimals=3, default=None)
    ratio1: float | None = _field("p97.5 / p2.5", "97.5 over 2.5 percentile.", decimals=3, default=None)
    ratio2: float | None = _field("max / p97.5", "Maximum over 97.5 percentile.", decimals=3, default=None)


_RATE: dict[str, Any] = {"unit": "B/s", "shown_unit": "MB/s", "scale": 1e-6, "decimals": 2}
_SPACE: dict[str, Any] = {"unit": "B", "shown_unit": "GB", "scale": 1e-9, "decimals": 1}
_PRESSURE: dict[str, Any] = {
    "text": "Share of the last 10 s in which some task had to wait for it.",
    "unit": "%",
    "shown_unit": "% of time",
    "decimals": 1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceSample:
    """One device of a host at one time; which fields have values depends on its kind.

    Kinds: `network` (sent, received), `disk` (read, written), `filesystem` (used, free, total, full_in), `gpu` (use,
    memory, temperature, power, processes).  `note` says why values are missing; a `gpu` with a note and no name stands
    for all that a host might have.
    """

    kind: str = _field("Kind", "network, disk, filesystem or gpu.")
    device: str = _field("Device", "Its name on the host.")
    sent: float | None = _field("Sent", "Network traffic out.", **_RATE, default=None)
    received: float | None = _field("Received", "Network traffic in.", **_RATE, default=None)
    read: float | None = _field("Read", "Disk reads.", **_RATE, default=None)
    written: float | None = _field("Written", "Disk writes.", **_RATE, default=None)
    used: float | None = _field("Used", "Share of the file system.", unit="%", decimals=1, default=None)
    free: float | None = _field("Free", "Free space of the file system.", **_SPACE, default=None)
    total: float | None = _field("Size", "Of the file system.", **_SPACE, default=None)
    full_in: float | None = _field(
        "Full in",
        "Until nothing is free, by the trend of the last hour; empty where that does not shrink clearly.",
        unit="s",
        shown_unit="h",
        scale=1 / 3600,
        decimals=1,
        default=None,
    )
    use: float | None = _field("GPU use", "Of the compute units.", unit="%", decimals=0, default=None)
    memory: float | None = _field("GPU memory", "In use.", unit="%", decimals=0, default=None)
    temperature: float | None = _field("GPU temperature", "", unit="°C", decimals=0, default=None)
    power: float | None = _field("GPU power", "", unit="W", decimals=0, default=None)
    processes: int | None = _field("GPU processes", "That compute on it.", decimals=0, default=None)
    note: str = _field("Note", "Why values are missing.", default="")


@dataclass(frozen=True, slots=True, kw_only=True)
class HostSample:
    """The load of a host at one time."""

    host: str = _field("Host", "The machine's name.")
    time: int = _field("Time", "When the sample was taken.", unit="ns")
    cpu: float | None = _field("CPU", "Of all cores since the last sample.", unit="%", decimals=1, default=None)
    memory: float | None = _field("Memory", "In use.", unit="%", decimals=1, default=None)
    swap: float | None = _field("Swap", "In use.", unit="%", decimals=1, default=None)
    load: float | None = _field("Load", "Mean run queue of the last minute.", decimals=2, default=None)
    cores: int | None = _field(
        "Cores", "Of the machine: a load of as many keeps all of them busy.", decimals=0, default=None
    )
    pressure_cpu: float | None = _field("CPU pressure", **_PRESSURE, default=None)
    pressure_memory: float | None = _field("Memory pressure", **_PRESSURE, default=None)
    pressure_io: float | None = _field("Disk pressure", **_PRESSURE, default=None)
    devices: tuple[DeviceSample, ...] = _field("Devices", "Networks, disks, file systems and GPUs.", default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """Something is wrong, or was."""

    rule: str = _field("Rule", "Which rule raised it.")
    session: str = _field("Session", "The session it is about; empty for the host.")
    host: str = _field("Host", "The machine that saw it.", default="")
    subject: str = _field(
        "Subject", "The run, disk, GPU or server that it is about, where there are several.", default=""
    )
    severity: Severity = _field("Severity", "How much it matters.")
    since: int = _field("Since", "When it began.", unit="ns")
    until: int | None = _field("Until", "When it was over; empty while it lasts.", unit="ns", default=None)
    value: float | None = _field("Value", "What was measured.", default=None)
    limit: float | None = _field("Limit", "What it was compared with.", default=None)
    unit: str = _field("Unit", "Of value and limit.", default="")
    acknowledged: int | None = _field("Acknowledged", "When somebody acknowledged it.", unit="ns", default=None)
    text: str = _field("Text", "One line for a person.", default="")
    detail: str = _field("Detail", "The whole error of a run that failed, where the text does not hold it.", default="")


RECORDS: Mapping[str, type] = {
    "session": Session,
    "run": Run,
    "output": Output,
    "micrograph": Micrograph,
    "gain": GainResidual,
    "host": HostSample,
    "device": DeviceSample,
    "alert": Alert,
}
"""Every kind of record by the name that dashboards and exports use for it."""


@cache
def quantities(record: type[Any]) -> Mapping[str, Quantity]:
    """Return the `Quantity` of every field of a record type, derived ones included, by field name."""
    found: dict[str, Quantity] = {f.name: f.metadata["quantity"] for f in fields(record)}
    return {**found, **DERIVED} if record is Micrograph else found
