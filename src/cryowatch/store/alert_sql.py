"""What queries about alerts share: which row of `mute` is an alert's, and which severity is worse."""

from __future__ import annotations

from cryowatch.records import Severity


def mute_of(alert: str) -> str:
    """Return the SQL condition that a row of `mute` is that of an alert, by the alert's name in the query.

    A mute is known by the rule, session, host and subject of an alert, so it holds for the same alert raised anew.
    """
    return (
        f"mute.rule = {alert}.rule AND mute.session_id = coalesce({alert}.session_id, 0)"
        f" AND mute.host = {alert}.host AND mute.subject = {alert}.subject"
    )


def weight(severity: str) -> str:
    """Return the SQL of a severity's weight; the worse has more."""
    cases = " ".join(f"WHEN '{known}' THEN {known.weight}" for known in Severity)
    return f"CASE {severity} {cases} END"


def of_weight(weight: str) -> str:
    """Return the SQL of the severity that has a weight."""
    cases = " ".join(f"WHEN {known.weight} THEN '{known}'" for known in Severity)
    return f"CASE {weight} {cases} END"
