"""How many of a session's micrographs are good: the one count that pages, lists, `status` and reports show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryowatch.dashboards.definition import Aggregate, Dashboard, Panel, PanelKind
from cryowatch.dashboards.standard import STANDARD
from cryowatch.judgement import Bound, good_sql, of_outputs
from cryowatch.store.panels.pace import pace, pace_sql
from cryowatch.store.panels.query import Scope, Table, window
from cryowatch.times import HOUR


@dataclass(frozen=True, slots=True, kw_only=True)
class Good:
    """Of `of` enabled estimates `good` keep all limits, and `unfit` have no fit; `disabled` ones count nowhere.

    `estimated_per_hour` and `per_hour`, the good ones among them, are of the hour that ends with the newest estimate;
    `usual` estimates an hour are of the whole session.  None where nobody can tell.
    """

    of: int
    good: int
    unfit: int
    disabled: int
    per_hour: float | None
    estimated_per_hour: float | None
    usual: float | None

    @property
    def share(self) -> float | None:
        """From 0 to 1; None where nothing counts."""
        return self.good / self.of if self.of else None


Variables = Callable[[Dashboard], Mapping[str, float]]
"""The values of a dashboard's variables, by name."""


def as_set_up(dashboard: Dashboard) -> Mapping[str, float]:
    """Return the values that the facility gave to the variables of a dashboard."""
    return {variable.name: variable.value for variable in dashboard.variables}


def bounds_of_good(dashboards: Sequence[Dashboard], variables: Variables = as_set_up) -> list[Bound]:
    """Return the limits that a session is judged by: those of the first panel that counts good ones.

    A facility that dropped that panel everywhere is judged by the standard limits.
    """
    return _bounds(dashboards, variables, lambda panel: panel.aggregate is Aggregate.GOOD)


def bounds_of_gallery(dashboards: Sequence[Dashboard], variables: Variables = as_set_up) -> list[Bound]:
    """Return the limits that the first gallery marks values by; the standard ones where there is no gallery."""
    return _bounds(dashboards, variables, lambda panel: panel.kind is PanelKind.GALLERY and bool(panel.limits))


def _bounds(dashboards: Sequence[Dashboard], variables: Variables, judges: Callable[[Panel], bool]) -> list[Bound]:
    """Return the limits of the first panel that judges."""
    for dashboard in (*dashboards, *STANDARD):
        for panel in dashboard.panels:
            if judges(panel):
                return [limit.bound(variables(dashboard)) for limit in panel.limits]
    return []


def good_sql_of(bounds: Sequence[Bound], scope: Scope) -> tuple[str, dict[str, Any]]:
    """Return a SELECT of one row, which `good_of` understands, and its parameters."""
    during, parameters = window(scope)
    kept, limits = good_sql(bounds)
    own = f"micrograph WHERE {of_outputs(scope.outputs)}{during}"
    pace_, values = pace_sql(f"{own} AND enabled = 1", scope.now)
    sql = f"""
        WITH pace AS MATERIALIZED ({pace_}),
        lately AS (SELECT count(*) AS good FROM {own} AND enabled = 1 AND ({kept})
                   AND time > (SELECT newest FROM pace) - {HOUR})
        SELECT count(*) FILTER (WHERE enabled), count(*) FILTER (WHERE enabled AND {kept}),
               count(*) FILTER (WHERE enabled AND defocus IS NULL), count(*) FILTER (WHERE NOT enabled),
               (SELECT good FROM lately), {", ".join(f"(SELECT {name} FROM pace)" for name in _PACE)}
        FROM {own}"""
    return sql, {**parameters, **limits, **values}


_PACE = ("n", "newest", "last_hour", "recent", "recent_first", "hours", "counts")


def good_among(table: Table, outputs: Sequence[int], bounds: Sequence[Bound], now: int) -> Good:
    """Return how many estimates of some CTF outputs are good, at a time (UTC ns)."""
    scope = Scope(session=0, host="", now=now, outputs=tuple(outputs), estimates=True)
    sql, parameters = good_sql_of(bounds, scope)
    return good_of(table(sql, parameters, taken=lambda rows: rows.fetchall())[1][0])


def good_of(row: tuple[Any, ...]) -> Good:
    """Return what a row of `good_sql_of` says."""
    of, good, unfit, disabled, lately, *rest = row
    now = pace(tuple(rest))
    per_hour = None if now.per_hour is None else now.per_hour * lately / now.recent
    return Good(
        of=of,
        good=good,
        unfit=unfit,
        disabled=disabled,
        per_hour=per_hour,
        estimated_per_hour=now.per_hour,
        usual=now.usual,
    )
