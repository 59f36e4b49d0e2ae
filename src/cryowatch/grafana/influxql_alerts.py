"""Alerts in InfluxQL, which the layout `cryowatch` alone holds: the rows of a table, and marks on a time axis."""

from __future__ import annotations

from cryowatch.influx.layouts import DURING, HOST, PROJECT, UNTIL

MOST_EVENTS = 500
_COLUMNS = (
    ("severity", "Severity"),
    ("text", "Text"),
    ("active", "State"),
    ("value", "Measured"),
    ("limit", "Limit"),
    ("subject", "About"),
    ("rule", "Rule"),
)
"""Grafana would give a column "Value" the name of its table."""


def alert_rows(most: int) -> str:
    """Return the query of the newest alerts of the project, and of those of its host that are of no project."""
    columns = ", ".join(f'"{name}" AS "{title}"' for name, title in _COLUMNS)
    rows = f'FROM "alert" WHERE {_whose(machine=True)} AND {UNTIL}'
    return f"SELECT {columns} {rows} ORDER BY time DESC LIMIT {most}"


def alert_events(*, active: bool, machine: bool) -> str:
    """Return the query of when alerts of the project began, or were over; with those of its `machine` alone or not."""
    rows = f'FROM "alert" WHERE {_whose(machine=machine)} AND "active" = {str(active).lower()} AND {DURING}'
    return f'SELECT "rule" AS "title", "text", "severity", "host" {rows} ORDER BY time DESC LIMIT {MOST_EVENTS}'


def _whose(*, machine: bool) -> str:
    """Return the condition of whose alerts are meant: an empty name would match what has no project."""
    project = f'("project" =~ {PROJECT} AND "project" != \'\')'
    whose = f"({project} OR \"project\" = '')" if machine else project
    return f'"host" =~ {HOST} AND {whose}'
