"""The dashboards as data, and what they compile to."""

from cryowatch.dashboards.definition import Dashboard, Panel, PanelKind
from cryowatch.dashboards.query import Query, Scope
from cryowatch.dashboards.sql import answer_panels, compile_panel
from cryowatch.dashboards.standard import STANDARD, find

__all__ = ["STANDARD", "Dashboard", "Panel", "PanelKind", "Query", "Scope", "answer_panels", "compile_panel", "find"]
