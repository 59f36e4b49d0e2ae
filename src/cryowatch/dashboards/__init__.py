"""The dashboards as data, and what they compile to."""

from cryowatch.dashboards.definition import Dashboard, Panel, PanelKind
from cryowatch.dashboards.standard import STANDARD, find
from cryowatch.store.panels.compile import answer_panels, compile_panel
from cryowatch.store.panels.query import Query, Scope

__all__ = ["STANDARD", "Dashboard", "Panel", "PanelKind", "Query", "Scope", "answer_panels", "compile_panel", "find"]
