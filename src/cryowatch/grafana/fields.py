"""What the panels of a Grafana dashboard share: units, colours, limits, and the parts of a panel's JSON.

Everything is written as Grafana 10 has it (schema 38), which newer versions migrate when they load it.  The colours are
those of Okabe and Ito, which people tell apart whatever colours they see.  Grafana cannot take thresholds from a
variable: the colours of numbers stand at the facility's limits, while shares and the lines in charts follow what a
reader writes at the top.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cryowatch.dashboards.definition import Panel, quantity

with warnings.catch_warnings():
    # The SDK recommends its classes for Grafana's second schema, which Grafana 10 and 11 do not read.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.models import dashboard as model

__all__ = [
    "BAD",
    "GOOD",
    "NEUTRAL",
    "NO_VALUE",
    "SERIES",
    "WARN",
    "Drawing",
    "Property",
    "colour_mode",
    "colour_steps",
    "limit_colours",
    "model",
    "override",
    "shown_as",
    "unit",
    "without_time",
]

SERIES = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
GOOD, WARN, BAD, NEUTRAL = "#009E73", "#E69F00", "#D55E00", "#0072B2"
PLUGIN_VERSION = "10.0.0"

UNITS: Mapping[str, str] = {"": "none", "%": "percent", "°": "degree", "°C": "celsius", "MB/s": "MBs", "items": "none"}
"""Grafana's ids of units; any other is shown as it is, after the value."""

NO_VALUE: Sequence[Any] = (
    model.SpecialValueMap(
        model.DashboardSpecialValueMapOptions(
            match=model.SpecialValueMatch.NULL_AND_NAN, result=model.ValueMappingResult(text="", index=99)
        )
    ),
)
"""The mapping of no value to an empty cell, which Grafana 11.2 and newer would show as "NaN"."""

Property = tuple[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """What a panel's JSON says beside its queries and place."""

    plugin: str
    options: dict[str, object]
    defaults: model.FieldConfig
    overrides: Sequence[model.DashboardFieldConfigSourceOverrides] = ()
    transformations: Sequence[model.DataTransformerConfig] = ()
    interval: str | None = None
    version: str = PLUGIN_VERSION


def unit(shown: str) -> str:
    """Return Grafana's id of a shown unit."""
    return UNITS.get(shown, f"suffix:{shown}")


def override(name: str, properties: Iterable[Property], *, regex: bool = False) -> Any:
    """Return what applies to the columns or series of this name, or of names that match a `/…/`."""
    return model.DashboardFieldConfigSourceOverrides(
        matcher=model.MatcherConfig(id_val="byRegexp" if regex else "byName", options=name),
        properties=[model.DynamicConfigValue(id_val=key, value=value) for key, value in properties],
    )


def colour_steps(*steps: tuple[float | None, str]) -> model.ThresholdsConfig:
    """Return thresholds; the first step, without a value, is what lies below all others."""
    return model.ThresholdsConfig(
        mode=model.ThresholdsMode.ABSOLUTE,
        steps=[model.Threshold(value=value, color=colour) for value, colour in steps],
    )


def limit_colours(panel: Panel, name: str) -> model.ThresholdsConfig | None:
    """Return the thresholds of a field by its limits; None without any.

    Above `high` is bad, or a warning up to `critical` where that is named; without a `high`, so it is below `low`.
    """
    limit = next((x for x in panel.limits if x.field == name), None)
    if limit is None or (limit.low is None and limit.high is None):
        return None
    if limit.high is None and limit.critical is not None:
        return colour_steps((None, BAD), (limit.critical, WARN), (limit.low, GOOD))
    steps: list[tuple[float | None, str]] = [(None, GOOD if limit.low is None else BAD)]
    steps += [] if limit.low is None else [(limit.low, GOOD)]
    steps += [] if limit.high is None else [(limit.high, BAD if limit.critical is None else WARN)]
    steps += [] if limit.critical is None else [(limit.critical, BAD)]
    return colour_steps(*steps)


def shown_as(panel: Panel, name: str) -> list[Property]:
    """Return the unit and decimals of a field."""
    known = quantity(panel, name)
    found: list[Property] = [("unit", unit(known.shown_unit))]
    return found if known.decimals is None else [*found, ("decimals", known.decimals)]


def colour_mode(
    mode: Literal["fixed", "shades", "thresholds", "palette-classic"], colour: str = ""
) -> model.FieldColor:
    """Return how something gets its colour."""
    return model.FieldColor(mode=model.FieldColorModeId(mode), fixed_color=colour or None)


def without_time() -> model.DataTransformerConfig:
    """Return the transformation that drops the column of times."""
    return model.DataTransformerConfig(id_val="organize", options={"excludeByName": {"Time": True}})
