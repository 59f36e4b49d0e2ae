"""Which micrographs somebody asks for, and in which order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryowatch.judgement import OF_A_FIT, Bound, good_sql, of_outputs, outside_sql, shown_sql

SORTABLE = (
    "time", "name", "item", "defocus", "defocus_u", "defocus_v", "defocus_angle", "astigmatism", "ratio",
    "phase_shift", "resolution", "fit_quality", "motion_total", "motion_early", "motion_late",
)  # fmt: skip
"""The fields by which micrographs can be sorted; all but the name can be given a range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which micrographs of some outputs, and in which order; ranges are in shown units.

    `fit` asks for estimates that have one, or for those that have none; `good` for those that count as good by
    `good_bounds`, or for the others that count; `outside` for those that are outside of one of `outside_bounds`, or of
    none.  `estimates` says whether the outputs hold estimates: of anything else none of these can be told.  `start` and
    `stop` are times in UTC ns.
    """

    outputs: tuple[int, ...]
    sort: str = "time"
    descending: bool = True
    ranges: Mapping[str, tuple[float | None, float | None]] | None = None
    search: str = ""
    enabled: bool | None = None
    fit: bool | None = None
    good: bool | None = None
    good_bounds: Sequence[Bound] = ()
    outside: bool | None = None
    outside_bounds: Sequence[Bound] = ()
    estimates: bool = True
    start: int | None = None
    stop: int | None = None

    def where(self) -> tuple[str, dict[str, Any]]:
        """Return the SQL condition and its parameters."""
        terms = [of_outputs(self.outputs, "m.output_id")]
        values: dict[str, Any] = {}
        for field, (low, high) in (self.ranges or {}).items():
            if field not in SORTABLE or field == "name":
                raise ValueError(f"{field} has no range")
            if low is not None:
                terms.append(f"m.{shown_sql(field)} >= :min_{field}")
                values[f"min_{field}"] = low
            if high is not None:
                terms.append(f"m.{shown_sql(field)} <= :max_{field}")
                values[f"max_{field}"] = high
        if self.search:
            terms.append("m.name LIKE :search ESCAPE '\\'")
            escaped = self.search.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
            values["search"] = f"%{escaped}%"
        if self.enabled is not None:
            terms.append("m.enabled = :enabled")
            values["enabled"] = int(self.enabled)
        if self.start is not None:
            terms.append("m.time >= :start")
            values["start"] = self.start
        if self.stop is not None:
            terms.append("m.time <= :stop")
            values["stop"] = self.stop
        for term, parameters in self._judged():
            terms.append(term)
            values.update(parameters)
        return " AND ".join(terms), values

    def _judged(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Yield the conditions of how estimates are judged.  Two panels' limits have parameters of their own."""
        if not self.estimates and (self.fit is not None or self.good is not None or self.outside is not None):
            yield "0", {}
            return
        if self.fit is not None:
            yield f"m.defocus IS {'NOT ' if self.fit else ''}NULL", {}
        for wanted, (condition, parameters), name in (
            (self.good, good_sql(self.good_bounds), "good"),
            (self.outside, outside_sql(self.outside_bounds), "outside"),
        ):
            if wanted is not None:
                own = re.sub(r":(low|high)_", rf":{name}_\1_", condition)
                yield (
                    f"m.enabled AND ({own}) IS {'' if wanted else 'NOT '}TRUE",
                    {f"{name}_{key}": value for key, value in parameters.items()},
                )

    def beside(self, micrograph: Mapping[str, Any], *, after: bool) -> tuple[str, str, dict[str, Any]]:
        """Return the SQL condition of those that come before or after a micrograph, their order and the parameters.

        The nearest comes first.  By time, those before are the earlier ones, whichever way the selection is sorted.
        """
        by_time = self.sort == "time"
        forward = after if by_time or not self.descending else not after
        sign, way = (">", "ASC") if forward else ("<", "DESC")
        values = {f"of_{name}": micrograph[name] for name in ("time", "item", "id")}
        later = f"(m.time, m.item, m.id) {sign} (:of_time, :of_item, :of_id)"
        order = f"m.time {way}, m.item {way}, m.id {way}"
        if by_time:
            return later, order, values
        column = f"m.{self._sorted_by()}"
        first = self._missing_first() == after  # what is missing comes before values, in the way that is looked
        values["of_value"] = micrograph[self.sort]
        if micrograph[self.sort] is None:
            condition = f"{column} IS NULL AND {later}" + (f" OR {column} IS NOT NULL" if first else "")
        else:
            condition = f"{column} {sign} :of_value OR ({column} = :of_value AND {later})"
            condition += "" if first else f" OR {column} IS NULL"
        return f"({condition})", f"{column} {way} NULLS {'FIRST' if first else 'LAST'}, {order}", values

    def order(self) -> str:
        """Return the SQL order, ties by age.

        What every fit gives and an estimate lacks is worse than any value, and comes where the largest do; what was not
        measured comes last.
        """
        way = "DESC" if self.descending else "ASC"
        ties = f"m.time {way}, m.item {way}, m.id {way}"
        if self.sort == "time":
            return ties
        missing = "FIRST" if self._missing_first() else "LAST"
        return f"m.{self._sorted_by()} {way} NULLS {missing}, {ties}"

    def _sorted_by(self) -> str:
        if self.sort not in SORTABLE:
            raise ValueError(f"micrographs cannot be sorted by {self.sort}")
        return self.sort

    def _missing_first(self) -> bool:
        return self.sort in OF_A_FIT and self.descending
