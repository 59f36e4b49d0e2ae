"""The pages: shells that the browser fills from the JSON interface, and the files they need."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from cryowatch import __version__
from cryowatch.dashboards import Dashboard, find
from cryowatch.errors import AccessError, NotFoundError
from cryowatch.settings.config import LOGO_KINDS
from cryowatch.web.assets import Assets
from cryowatch.web.gate import Access, who
from cryowatch.web.sight import Sights


class Pages:
    """Renders the templates."""

    def __init__(
        self,
        sights: Sights,
        dashboards: Sequence[Dashboard],
        *,
        assets: Assets,
        access: Access | None = None,
        facility: str = "",
        logo: Path | None = None,
    ) -> None:
        self._assets = assets
        self._logo = logo
        self._access = access
        self._sights = sights
        self._dashboards = dashboards
        self._templates = Environment(
            loader=PackageLoader("cryowatch.web"),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals["version"] = __version__
        self._templates.globals["facility"] = facility
        self._templates.globals["logo"] = f"/logo?{logo.stat().st_mtime_ns}" if logo is not None else ""
        self._templates.globals["static"] = assets.address
        self._templates.globals["modules"] = assets.modules

    def routes(self) -> list[Route]:
        """Return the routes of the pages."""
        return [
            Route("/", self.sessions),
            Route("/wall", self.wall),
            Route("/logo", self.logo),
            Route("/s/{session}", self.session),
            Route("/s/{session}/{dashboard}", self.dashboard),
        ]

    def sessions(self, request: Request) -> Response:
        sight = self._sights.of(who(request))
        if sight.confined:
            own = sight.sessions()
            return RedirectResponse(f"/s/{sight.key(own[0]['key'])}" if own else "/login", 303)
        return self.page(request, "sessions.html", {})

    def wall(self, request: Request) -> Response:
        if self._sights.of(who(request)).confined:
            raise NotFoundError("there is no such page")
        return self.page(request, "wall.html", {})

    def logo(self, request: Request) -> Response:
        del request
        if self._logo is None or not self._logo.is_file():
            raise NotFoundError("this facility has no logo", remedy="Set facility.logo")
        kind = LOGO_KINDS[self._logo.suffix.lower()]
        return FileResponse(self._logo, media_type=kind, headers={"Cache-Control": "no-cache"})

    def session(self, request: Request) -> Response:
        sight = self._sights.of(who(request))
        session = sight.session(request.path_params["session"])
        seen = sight.dashboards(self._dashboards)
        wanted = request.query_params.get("dashboard")
        name = next((dashboard.name for dashboard in seen if dashboard.name == wanted), seen[0].name)
        kept = urlencode([pair for pair in request.query_params.multi_items() if pair[0] != "dashboard"])
        return RedirectResponse(f"/s/{sight.key(session['key'])}/{name}{f'?{kept}' if kept else ''}", 307)

    def dashboard(self, request: Request) -> Response:
        sight = self._sights.of(who(request))
        session = sight.session(request.path_params["session"])
        dashboards = sight.dashboards(self._dashboards)
        dashboard = find(request.path_params["dashboard"], dashboards)
        key = sight.key(session["key"])
        if request.path_params != {"session": key, "dashboard": dashboard.name}:
            query = f"?{request.url.query}" if request.url.query else ""
            return RedirectResponse(f"/s/{key}/{dashboard.name}{query}", 307)
        context = {
            "session": {"id": key, "name": session["name"]},
            "dashboard": {"name": dashboard.name, "title": dashboard.title},
            "dashboards": [{"name": d.name, "title": d.title} for d in dashboards],
        }
        return self.page(request, "dashboard.html", context)

    def error(self, request: Request, status: int, text: str) -> Response:
        """Return the page that says what is wrong."""
        return self.page(request, "error.html", {"status": status, "text": text}, status)

    def page(self, request: Request, template: str, context: Mapping[str, Any], status: int = 200) -> Response:
        """Return a page made of a template, which also gets who asks (`who`) and what to warn of."""
        secure = request.url.scheme == "https"
        warnings: Sequence[str] = ()
        with contextlib.suppress(AccessError):  # which is what the page tells of, then
            warnings = self._access.warnings(secure=secure) if self._access is not None else ()
        self._assets.look()
        common = {"who": who(request), "warnings": warnings}
        text = self._templates.get_template(template).render({**common, **context})
        return HTMLResponse(text, status, headers={"Cache-Control": "no-store"})
