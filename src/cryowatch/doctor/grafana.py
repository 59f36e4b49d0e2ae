"""Grafana: its address, account, certificate and clock, and the files that it is provisioned from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

from cryowatch.agent.build.appearance import dashboards_of
from cryowatch.doctor import certificates, clock
from cryowatch.doctor.finding import Finding, absent, bad, look, well
from cryowatch.errors import CryowatchError
from cryowatch.grafana.dashboard import compile_grafana, dump
from cryowatch.grafana.provision import DASHBOARDS
from cryowatch.grafana.push import Grafana
from cryowatch.influx.layouts import Layout
from cryowatch.settings.config import Settings
from cryowatch.settings.section import contents
from cryowatch.settings.web import is_loopback


@dataclass(frozen=True, slots=True, kw_only=True)
class GrafanaAt:
    """Where a Grafana is; nothing is looked at without an address, or without files."""

    url: str = ""
    token_file: Path | None = None
    ca_file: Path | None = None
    dashboards: Path = Path(DASHBOARDS)


def server(chosen: Settings, at: GrafanaAt) -> Iterator[Finding]:
    """Look whether Grafana answers, knows the token, and has the dashboards."""
    what = "Grafana"
    if not at.url:
        yield absent(what, "was not looked at. Name it: --grafana-url")
        return
    if at.url.startswith("https:"):
        yield from certificates.served("TLS, Grafana", at.url, at.ca_file, "--grafana-ca-file")
    elif at.token_file is not None and not is_loopback(urlsplit(at.url).hostname or ""):
        yield look("TLS, Grafana", f"{at.url}: the token goes over the net for everybody to read. Use https")
    try:
        token = contents(at.token_file, "--grafana-token-file") if at.token_file else "none"
        with Grafana(at.url, token, ca_file=at.ca_file) as grafana:
            health, date = grafana.health()
            yield well(what, f"{at.url}: answers, version {health}")
            yield from clock.compared("Grafana", date)
            yield from _images(chosen, at.url)
            if at.token_file is None:
                yield absent("Grafana, account", "was not tried. Name a file with a token: --grafana-token-file")
                return
            dashboards = dashboards_of(chosen)
            missing = [d.title for d in dashboards if grafana.get(f"/api/dashboards/uid/{d.uid}") is None]
    except CryowatchError as error:
        yield bad(what, error)
        return
    if missing:
        remedy = "Put them there: `cryowatch grafana push` or `provision`"
        yield look("Grafana, account", f"the token is taken, but {', '.join(missing)} not there. {remedy}")
    else:
        yield well("Grafana, account", f"the token is taken, and all {len(dashboards)} dashboards are there")


def _images(chosen: Settings, url: str) -> Iterator[Finding]:
    """Look whether published images lie below the path that Grafana has; an address of another server may be any."""
    path, prefix = urlsplit(url).path.rstrip("/"), chosen.images.url_prefix
    if chosen.images.publish and path and prefix.startswith("/") and not f"{prefix}/".startswith(f"{path}/"):
        text = f"Grafana lies below {path}, and images.url_prefix does not: its readers see no images"
        yield look("Grafana, images", f'{text}. Write "{path}{prefix}"')


def files(chosen: Settings, at: GrafanaAt) -> Iterator[Finding]:
    """Look whether the dashboards that Grafana is provisioned from are those of this version and these settings."""
    what = "Grafana, files"
    try:
        there = at.dashboards.is_dir()
    except OSError as error:
        yield bad(what, f"{at.dashboards}: cannot be read: {error.strerror}")
        return
    if not there:
        yield absent(what, f"there is no {at.dashboards} on this machine")
        return
    try:
        dashboards = dashboards_of(chosen)
    except CryowatchError:
        return  # said with the configuration
    other = []
    for dashboard in dashboards:
        file = at.dashboards / f"{dashboard.name}.json"
        try:
            text = file.read_text(encoding="utf-8")
        except FileNotFoundError:
            other.append(f"{file.name} is missing")
            continue
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is no text"
            yield bad(what, f"{file}: cannot be read: {reason}")
            return
        ours = (
            dump(compile_grafana(dashboard, layout, open_list=opened, choose_source=choose, dashboards=dashboards))
            for layout, opened, choose in product(Layout, (False, True), (False, True))
        )
        if text not in ours:
            other.append(f"{file.name} differs")
    if other:
        remedy = "Run `cryowatch grafana provision` again, as after every upgrade"
        yield look(what, f"{at.dashboards}: not as this cryowatch writes them: {', '.join(other)}. {remedy}")
    else:
        yield well(what, f"{at.dashboards}: all {len(dashboards)} dashboards are as this cryowatch writes them")
