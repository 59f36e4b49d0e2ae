"""What a dashboard is: data, from which the built-in pages (and later Grafana's) are compiled.

A dashboard is a title, a uid and panels; a panel names fields of one kind of record (`cryowatch.records.RECORDS`), how
they are put together, and the limits that people judge them by.  Nothing here knows SQL, HTML or Grafana.  Limits,
bins and ranges are in *shown* units (µm, nm, Å), because people choose them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from math import lcm

from cryowatch.errors import NotFoundError
from cryowatch.judgement import Bound
from cryowatch.records import RECORDS, Quantity, quantities


class PanelKind(StrEnum):
    """How a panel is drawn."""

    STAT = "stat"
    TABLE = "table"
    TIME_SERIES = "timeseries"
    HISTOGRAM = "histogram"
    HEAT_MAP = "heatmap"
    SCATTER = "scatter"
    GALLERY = "gallery"
    TEXT = "text"


DRAWN = frozenset(
    (record, kind)
    for record, kinds in {
        "micrograph": (
            PanelKind.TIME_SERIES,
            PanelKind.SCATTER,
            PanelKind.HISTOGRAM,
            PanelKind.HEAT_MAP,
            PanelKind.STAT,
            PanelKind.TABLE,
            PanelKind.GALLERY,
        ),
        "gain": (PanelKind.TIME_SERIES, PanelKind.STAT, PanelKind.TABLE),
        "host": (PanelKind.STAT, PanelKind.TIME_SERIES),
        "device": (PanelKind.TIME_SERIES, PanelKind.TABLE),
        "output": (PanelKind.STAT, PanelKind.TIME_SERIES),
        "session": (PanelKind.TABLE,),
        "run": (PanelKind.TABLE,),
        "alert": (PanelKind.TABLE,),
    }.items()
    for kind in kinds
)
"""Which kinds of panels show which records; a panel of text shows none."""


class Aggregate(StrEnum):
    """How the rows behind a panel become what it shows."""

    NONE = "none"
    """Each row is a point or a line of a table."""

    GOOD = "good"
    """How many of the micrographs that were estimated keep all of the panel's limits."""

    SHARE = "share"
    """Share of the rows within the panel's limits."""

    MEDIAN = "median"
    """Median with quartiles and number of values."""

    LATEST = "latest"
    """The newest value."""

    PROGRESS = "progress"
    """How many items each stage has, its rate, and the age of its newest."""

    RATE = "rate"
    """Items per hour, counted in equal steps of time."""

    COMPARE = "compare"
    """Median, quartiles and share of the last 50 beside those of all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A limit that readers of a dashboard may move."""

    name: str
    label: str
    field: str
    value: float
    low: float
    high: float
    step: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """Between what a field should lie; `variable` names the one that sets its upper end.

    Above `critical` is worse than above `high`; where there is no `high`, below it is worse than below `low`.
    """

    field: str
    low: float | None = None
    high: float | None = None
    variable: str = ""
    critical: float | None = None

    def bounds(self, variables: Mapping[str, float]) -> tuple[float | None, float | None]:
        """Return the low and high bound for these values of the dashboard's variables."""
        return self.low, variables.get(self.variable, self.high) if self.variable else self.high

    def bound(self, variables: Mapping[str, float]) -> Bound:
        """Return the bound of micrographs for these values of the dashboard's variables."""
        low, high = self.bounds(variables)
        return Bound(field=self.field, low=low, high=high)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bins:
    """Equal bins of a histogram or heat map: from `start` to `stop` in steps of `step`.

    A bin holds its lower edge and not its upper one; the last bin holds both, as numpy's does.
    """

    start: float
    stop: float
    step: float

    @property
    def count(self) -> int:
        return round((self.stop - self.start) / self.step)

    @property
    def fractions(self) -> tuple[int, int, int]:
        """Whole numbers a, b and k: edge i is (a + i * b) / k, the number nearest to what people read.

        0.1 times 3 is more than 0.3, so edges are never made by adding or multiplying steps.
        """
        start, step = Fraction(str(self.start)), Fraction(str(self.step))
        k = lcm(start.denominator, step.denominator)
        return int(start * k), int(step * k), k

    @property
    def edges(self) -> tuple[float, ...]:
        """The edges of all bins, one more than there are bins."""
        a, b, k = self.fractions
        return tuple((a + i * b) / k for i in range(self.count + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture: which fields of which record, how put together, how large (of 12 columns, rows of 76 px)."""

    id: str
    title: str
    kind: PanelKind
    record: str
    fields: tuple[str, ...] = ()
    text: str = ""
    aggregate: Aggregate = Aggregate.NONE
    limits: tuple[Limit, ...] = ()
    bins: Bins | None = None
    device: str = ""
    rows: int | None = None
    style: str = "points"
    width: int = 6
    height: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """A page of panels."""

    name: str
    uid: str
    title: str
    panels: tuple[Panel, ...]
    variables: tuple[Variable, ...] = ()
    refresh_seconds: int | None = None
    window_seconds: int | None = None

    def panel(self, name: str) -> Panel:
        """Return the panel of this id; raises `NotFoundError`."""
        for panel in self.panels:
            if panel.id == name:
                return panel
        raise NotFoundError(f"the dashboard {self.name} has no panel {name}")


def quantity(panel: Panel, name: str) -> Quantity:
    """Return what is known of a field of a panel's record."""
    return quantities(RECORDS[panel.record])[name]
