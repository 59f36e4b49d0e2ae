"""Which micrographs somebody asks for, and in which order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryowatch.judgement import OF_A_FIT, of_outputs, shown_sql

SORTABLE = (
    "time", "name", "item", "defocus", "defocus_u", "defocus_v", "defocus_angle", "astigmatism", "ratio",
    "phase_shift", "resolution", "fit_quality", "motion_total", "motion_early", "motion_late",
)  # fmt: skip
"""The fields by which micrographs can be sorted; all but the name can be given a range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which micrographs of some outputs, and in which order; ranges are in shown units.

    `fit` asks for estimates that have one, or for those that have none.
    """

    outputs: tuple[int, ...]
    sort: str = "time"
    descending: bool = True
    ranges: Mapping[str, tuple[float | None, float | None]] | None = None
    search: str = ""
    enabled: bool | None = None
    fit: bool | None = None

    def where(self) -> tuple[str, list[Any]]:
        """Return the SQL condition and its parameters."""
        terms = [of_outputs(self.outputs, "m.output_id")]
        values: list[Any] = []
        for field, (low, high) in (self.ranges or {}).items():
            if field not in SORTABLE or field == "name":
                raise ValueError(f"{field} has no range")
            if low is not None:
                terms.append(f"m.{shown_sql(field)} >= ?")
                values.append(low)
            if high is not None:
                terms.append(f"m.{shown_sql(field)} <= ?")
                values.append(high)
        if self.search:
            terms.append("m.name LIKE ? ESCAPE '\\'")
            escaped = self.search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            values.append(f"%{escaped}%")
        if self.enabled is not None:
            terms.append("m.enabled = ?")
            values.append(int(self.enabled))
        if self.fit is not None:
            terms.append(f"m.defocus IS {'NOT ' if self.fit else ''}NULL")
        return " AND ".join(terms), values

    def order(self) -> str:
        """Return the SQL order, ties by age.

        What every fit gives and an estimate lacks is worse than any value, and comes where the largest do; what was not
        measured comes last.
        """
        if self.sort not in SORTABLE:
            raise ValueError(f"micrographs cannot be sorted by {self.sort}")
        way = "DESC" if self.descending else "ASC"
        if self.sort == "time":
            return f"m.time {way}, m.item {way}"
        missing = "FIRST" if self.sort in OF_A_FIT and self.descending else "LAST"
        return f"m.{self.sort} {way} NULLS {missing}, m.time {way}, m.item {way}"
