"""What a facility's settings make of the pages: its dashboards and its logo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cryowatch.errors import ConfigError
from cryowatch.records import Severity

if TYPE_CHECKING:
    from cryowatch.alerts.rules import Rule
    from cryowatch.dashboards import Dashboard
    from cryowatch.dashboards.bounds import DeviceBound
    from cryowatch.settings.config import Settings


def dashboards_of(chosen: Settings) -> Sequence[Dashboard]:
    """Return the dashboards as the facility wants them, the machine judged by its alert rules; raises `ConfigError`."""
    from cryowatch.alerts.rules import rules_of  # noqa: PLC0415
    from cryowatch.dashboards import STANDARD  # noqa: PLC0415
    from cryowatch.dashboards.bounds import bounded  # noqa: PLC0415
    from cryowatch.dashboards.custom import customised  # noqa: PLC0415

    standard = bounded(STANDARD, bounds_of(rules_of(chosen.alerts.rules, file=chosen.file)))
    return customised(chosen.dashboards, chosen.limits, file=chosen.file, standard=standard)


def bounds_of(rules: Sequence[Rule]) -> list[DeviceBound]:
    """Return between what the enabled rules want the fields of the machine."""
    from cryowatch.alerts.rules import About  # noqa: PLC0415
    from cryowatch.dashboards.bounds import DeviceBound  # noqa: PLC0415

    devices = {About.HOST: "", About.FILESYSTEM: "filesystem", About.GPU: "gpu"}
    return [
        DeviceBound(
            device=devices[rule.about],
            field=rule.field,
            low=rule.low,
            high=rule.high,
            critical=rule.severity is Severity.CRITICAL,
        )
        for rule in rules
        if rule.enabled and rule.about in devices
    ]


def logo_of(chosen: Settings) -> Path | None:
    """Return the facility's logo; raises `ConfigError` where it is none."""
    from cryowatch.settings.config import LOGO_KINDS  # noqa: PLC0415

    logo = chosen.facility.logo
    if logo is not None and (logo.suffix.lower() not in LOGO_KINDS or not logo.is_file()):
        kinds = ", ".join(LOGO_KINDS)
        raise ConfigError(f"must be a file that is there and ends in {kinds}", where=f"{chosen.file}: facility.logo")
    return logo
