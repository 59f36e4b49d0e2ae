"""The limits of the machine's panels: those of the alert rules, so that a mark stands only where a rule judges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from cryowatch.dashboards.definition import Dashboard, Limit, Panel, PanelKind

_OF_MACHINE = ("host", "device")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceBound:
    """Between what a rule wants a field of the machine, in shown units; `device` is the kind of device, "" for none."""

    device: str = ""
    field: str
    low: float | None = None
    high: float | None = None
    critical: bool = False


def bounded(dashboards: Sequence[Dashboard], bounds: Sequence[DeviceBound]) -> tuple[Dashboard, ...]:
    """Return dashboards whose panels of the machine are judged by these bounds, and by nothing else.

    A panel of several lines over time is not judged.
    """
    return tuple(replace(d, panels=tuple(_bounded(panel, bounds) for panel in d.panels)) for d in dashboards)


def _bounded(panel: Panel, bounds: Sequence[DeviceBound]) -> Panel:
    if panel.record not in _OF_MACHINE:
        return panel
    if panel.kind is PanelKind.TIME_SERIES and len(panel.fields) > 1:
        return replace(panel, limits=())
    limits = []
    for field in panel.fields:
        own = [bound for bound in bounds if (bound.device, bound.field) == (panel.device, field)]
        if own:
            former = next((limit.critical for limit in panel.limits if limit.field == field), None)
            limits.append(_limit(field, own, former))
    return replace(panel, limits=tuple(limits))


def _limit(field: str, bounds: Sequence[DeviceBound], former: float | None) -> Limit:
    """Return the narrowest limits; beyond what a critical rule names, or else `former`, it is worse."""
    low = max((b.low for b in bounds if b.low is not None), default=None)
    high = min((b.high for b in bounds if b.high is not None), default=None)
    if high is not None:
        worst = [b.high for b in bounds if b.critical and b.high is not None]
        critical = min(worst, default=former)
        return Limit(field=field, low=low, high=high, critical=critical if critical and critical > high else None)
    worst = [b.low for b in bounds if b.critical and b.low is not None]
    critical = max(worst, default=former)
    beyond = critical is not None and low is not None and critical < low
    return Limit(field=field, low=low, critical=critical if beyond else None)
