"""What a facility's settings make of the pages: its dashboards and its logo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cryowatch.errors import ConfigError

if TYPE_CHECKING:
    from cryowatch.config import Settings
    from cryowatch.dashboards import Dashboard


def dashboards_of(chosen: Settings) -> Sequence[Dashboard]:
    """Return the dashboards as the facility wants them; raises `ConfigError`."""
    from cryowatch.dashboards.custom import customised  # noqa: PLC0415

    return customised(chosen.dashboards, chosen.limits, file=chosen.file)


def logo_of(chosen: Settings) -> Path | None:
    """Return the facility's logo; raises `ConfigError` where it is none."""
    from cryowatch.web.pages import LOGO_KINDS  # noqa: PLC0415

    logo = chosen.facility.logo
    if logo is not None and (logo.suffix.lower() not in LOGO_KINDS or not logo.is_file()):
        kinds = ", ".join(LOGO_KINDS)
        raise ConfigError(f"must be a file that is there and ends in {kinds}", where=f"{chosen.file}: facility.logo")
    return logo
