"""What the query of an address may say, read strictly: a value that cannot be understood is a `BadQuery`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import partial

from starlette.datastructures import QueryParams

from cryowatch import numbers
from cryowatch.dashboards import Dashboard
from cryowatch.store.panels.good import bounds_of_gallery, bounds_of_good
from cryowatch.store.selection import SORTABLE, Selection
from cryowatch.times import MILLISECOND
from cryowatch.web.replies import BadQuery

_LARGEST = 2**53


def whole(query: QueryParams, name: str, *, most: int = _LARGEST) -> int | None:
    """Return a whole number from 0 to `most`, None where it is not given."""
    text = query.get(name)
    if text is None or text == "":
        return None
    number = numbers.whole(text, most=most)
    if number is None:
        raise BadQuery(f"{name} must be a whole number up to {most}", where=text[:40])
    return number


def nanoseconds(query: QueryParams, name: str) -> int | None:
    """Return a time given in UTC milliseconds as nanoseconds."""
    milliseconds = whole(query, name, most=9 * 10**12)
    return None if milliseconds is None else milliseconds * MILLISECOND


def real(query: QueryParams, name: str) -> float | None:
    """Return a finite number, None where it is not given."""
    text = query.get(name)
    if text is None or text == "":
        return None
    try:
        value = float(text)
    except ValueError:
        raise BadQuery(f"{name} must be a number", where=text[:40]) from None
    if not math.isfinite(value):
        raise BadQuery(f"{name} must be a finite number", where=text[:40])
    return value


def variables(query: QueryParams, dashboard: Dashboard) -> Mapping[str, float]:
    """Return the value of each of a dashboard's variables: the one given, kept within its range, or its own."""
    found = {}
    for variable in dashboard.variables:
        value = real(query, variable.name)
        found[variable.name] = variable.value if value is None else min(max(value, variable.low), variable.high)
    return found


def span(query: QueryParams) -> tuple[int | None, int | None]:
    """Return from when to when in UTC ns, None where an end is open."""
    start, stop = nanoseconds(query, "from"), nanoseconds(query, "to")
    if start is not None and stop is not None and start > stop:
        raise BadQuery("from must not be after to")
    return start, stop


def selection(
    query: QueryParams, outputs: tuple[int, ...], *, estimates: bool = True, dashboards: Sequence[Dashboard] = ()
) -> Selection:
    """Return which micrographs a query asks for; ranges are given in shown units.

    `estimates` says whether the outputs hold estimates; these are judged by the limits of the dashboards' panels.
    """
    sort = query.get("sort") or "time"
    if sort not in SORTABLE:
        raise BadQuery(f"micrographs cannot be sorted by {sort[:40]}", remedy=f"Known: {', '.join(SORTABLE)}")
    order = query.get("order") or ("asc" if sort == "name" else "desc")
    if order not in ("asc", "desc"):
        raise BadQuery("order must be asc or desc", where=order[:40])
    ranges: dict[str, tuple[float | None, float | None]] = {}
    for name in query:
        bound, _, field = name.partition("_")
        if bound not in ("min", "max"):
            continue
        if field not in SORTABLE or field in ("name", "time", "item"):
            raise BadQuery(f"there is no range of {field[:40]}")
        value = real(query, name)
        if value is not None:
            low, high = ranges.get(field, (None, None))
            ranges[field] = (value, high) if bound == "min" else (low, value)
    start, stop = span(query)
    return Selection(
        outputs=outputs,
        estimates=estimates,
        start=start,
        stop=stop,
        sort=sort,
        descending=order == "desc",
        ranges=ranges,
        search=(query.get("search") or "")[:200],
        enabled=_yes_or_no(query, "enabled"),
        fit=_yes_or_no(query, "fit"),
        good=_yes_or_no(query, "good"),
        good_bounds=bounds_of_good(dashboards, partial(variables, query)),
        outside=_yes_or_no(query, "outside"),
        outside_bounds=bounds_of_gallery(dashboards, partial(variables, query)),
    )


def _yes_or_no(query: QueryParams, name: str) -> bool | None:
    """Return whether something is asked for, `1`, or its contrary, `0`; None where neither is."""
    text = query.get(name) or None
    if text not in (None, "0", "1"):
        raise BadQuery(f"{name} must be 0 or 1", where=text[:40])
    return None if text is None else text == "1"
