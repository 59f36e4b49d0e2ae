"""The data frames that Grafana's server makes of InfluxDB's answer to an InfluxQL query."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Series = Mapping[str, Any]
"""As InfluxDB answers it: `name`, `tags`, `columns`, `values`, with times in milliseconds."""


def frames(series: Sequence[Series], target: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the frames of one target's answer."""
    made = list(_table(series) if target["resultFormat"] == "table" else _lines(series, target["alias"]))
    return [{"refId": target["refId"], **frame} for frame in made]


def _table(series: Sequence[Series]) -> Iterator[dict[str, Any]]:
    """One frame with a row of each value of all series."""
    if not series:
        return
    rows = [(row, s.get("tags") or {}) for s in series for row in s["values"]]
    fields = [_field("Time", [row[0] for row, _ in rows], kind="time")]
    fields += [_field(tag, [tags.get(tag) for _, tags in rows]) for tag in series[0].get("tags") or {}]
    fields += [_field(name, [row[at] for row, _ in rows]) for at, name in enumerate(series[0]["columns"]) if at]
    yield {"name": series[0]["name"], "fields": fields}


def _lines(series: Sequence[Series], alias: str) -> Iterator[dict[str, Any]]:
    """A frame for each column of each series, named by the alias."""
    for s in series:
        tags = s.get("tags") or {}
        for place, column in enumerate(s["columns"]):
            if place:
                name = re.sub(r"\$tag_(\w+)", lambda m, tags=tags: tags[m[1]], alias).replace("$col", column)  # type: ignore[misc]
                value = _field("Value", [row[place] for row in s["values"]])
                value |= {"labels": tags, "config": {"displayNameFromDS": name}}
                yield {
                    "name": name,
                    "fields": [_field("Time", [row[0] for row in s["values"]], kind="time"), value],
                }


def _field(name: str, values: list[Any], *, kind: str = "") -> dict[str, Any]:
    first = next((value for value in values if value is not None), None)
    return {
        "name": name,
        "type": kind or {str: "string", bool: "boolean"}.get(type(first), "number"),
        "config": {},
        "values": values,
    }
