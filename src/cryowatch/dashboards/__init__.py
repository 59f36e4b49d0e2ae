"""The dashboards as data: what they show, and how a facility changes them."""

from cryowatch.dashboards.definition import Dashboard, Panel, PanelKind
from cryowatch.dashboards.standard import STANDARD, find

__all__ = ["STANDARD", "Dashboard", "Panel", "PanelKind", "find"]
