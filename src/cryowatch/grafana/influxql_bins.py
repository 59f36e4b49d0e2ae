"""Bins in InfluxQL: what Grafana is given to count in them."""

from __future__ import annotations

from cryowatch.dashboards.definition import Bins


def within(bins: Bins, value: str) -> str:
    """Return the condition that a value lies within the bins, so that one far out does not squeeze all others."""
    return f"{value} >= {_decimal(bins.start)} AND {value} <= {_decimal(bins.stop)}"


def counted(bins: Bins, value: str) -> str:
    """Return a value for Grafana to count: a billionth of a bin more.

    Grafana divides by the step and rounds down: 0.3 / 0.1 is a little less than 3, so 0.3 would be counted below 0.3.
    """
    return f"{value} + {_decimal(bins.step * 1e-9)}"


def _decimal(value: float) -> str:
    """Return a number without an exponent, which InfluxQL does not read."""
    return f"{value:.15f}".rstrip("0").rstrip(".")
