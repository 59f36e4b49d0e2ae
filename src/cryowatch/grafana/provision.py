"""A folder that a Grafana can be provisioned from, and files of dashboards to import by hand.

::

    dashboards/*.json                         the five dashboards
    provisioning/dashboards/cryowatch.yaml    where Grafana finds them
    provisioning/datasources/cryowatch.yaml   the data source: reader's account, authority's certificate
    grafana.ini                               what differs from Grafana's defaults
    compose.yaml                              InfluxDB 1.8 and Grafana as containers

No file holds a secret: Grafana reads the password from a file or an environment variable of its own.  Dashboards and
`provisioning/` are written anew each time; `grafana.ini` and `compose.yaml`, which people adapt, only where they are
not there yet.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from cryowatch.dashboards.definition import Dashboard
from cryowatch.dashboards.standard import STANDARD
from cryowatch.errors import ConfigError, remedy_of
from cryowatch.grafana.dashboard import DATA_SOURCE, DATA_SOURCE_UID, compile_grafana, dump
from cryowatch.influx.layouts import Layout

FOLDER = "cryowatch"
DASHBOARDS = "/etc/grafana/dashboards/cryowatch"
IMAGES = "/usr/share/grafana/public/img/scipionbox"
PUBLISHED = "/srv/scipionbox/images"
"""Where images are published to.  Grafana's unit has seen nothing of /home since 8.2 (ProtectHome)."""

ADMIN_FILE = "/etc/grafana/secrets/grafana_admin.password"
GRAFANA = "12.4.11"
"""The version of the container, one that the tests compare the dashboards with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSource:
    """How Grafana reaches InfluxDB.  `password` and `ca` are what Grafana is told: texts, or references to files."""

    url: str
    database: str
    user: str
    password: str
    ca: str = ""

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise ConfigError(
                "is not InfluxDB's address", where=self.url, remedy="Write it like https://influx.example.org:8086"
            )

    @property
    def encrypted(self) -> bool:
        """Whether InfluxDB speaks TLS; its certificate is always verified."""
        return self.url.startswith("https:")

    def settings(self) -> dict[str, object]:
        """Return the data source as Grafana's API takes it."""
        tls = self.encrypted and bool(self.ca)
        secrets = {"password": self.password}
        return {
            "name": DATA_SOURCE,
            "uid": DATA_SOURCE_UID,
            "type": "influxdb",
            "access": "proxy",
            "url": self.url,
            "user": self.user,
            "jsonData": {
                "dbName": self.database,
                "httpMode": "POST",
                "version": "InfluxQL",
                "tlsAuthWithCACert": tls,
                "tlsSkipVerify": False,
            },
            "secureJsonData": {**secrets, "tlsCACert": self.ca} if tls else secrets,
        }


@dataclass(frozen=True, slots=True)
class Written:
    """A file, and whether it was written or kept as it was."""

    path: Path
    state: Literal["written", "kept"]


def export(
    out: Path, layout: Layout, *, open_list: bool = False, dashboards: Sequence[Dashboard] = STANDARD
) -> Iterator[Written]:
    """Write each dashboard's JSON into a folder, to be imported by hand; raises `ConfigError`."""
    for dashboard in dashboards:
        compiled = compile_grafana(dashboard, layout, open_list=open_list, dashboards=dashboards)
        yield _write(out / f"{dashboard.name}.json", dump(compiled))


def provision(
    out: Path,
    layout: Layout,
    source: DataSource,
    *,
    open_list: bool = False,
    dashboards: Sequence[Dashboard] = STANDARD,
) -> Iterator[Written]:
    """Write the folder; raises `ConfigError` where it cannot be written."""
    for dashboard in dashboards:
        compiled = compile_grafana(dashboard, layout, open_list=open_list, choose_source=False, dashboards=dashboards)
        yield _write(out / "dashboards" / f"{dashboard.name}.json", dump(compiled))
    yield _write(out / "provisioning" / "dashboards" / "cryowatch.yaml", _PROVIDER)
    yield _write(out / "provisioning" / "datasources" / "cryowatch.yaml", _data_source(source))
    for name, text in (("grafana.ini", _INI), ("compose.yaml", _COMPOSE)):
        if (out / name).exists():
            yield Written(out / name, "kept")
        else:
            yield _write(out / name, text)


def _write(path: Path, text: str) -> Written:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", where=path, remedy=remedy_of(error)) from None
    return Written(path, "written")


def _data_source(source: DataSource) -> str:
    """Return the data source as YAML; every value is written as JSON writes texts, which YAML reads alike.

    Grafana expands `$` everywhere; `$$` stands for one.
    """
    plain = replace(source, **{k: getattr(source, k).replace("$", "$$") for k in ("url", "database", "user")})
    settings = plain.settings()
    lines = [
        "# Written by cryowatch.  Grafana reads the password itself: $__file{…} is a file that Grafana can read,",
        "# $NAME a variable of its environment.  A password that holds a $ has to come from a variable.",
        "apiVersion: 1",
        "datasources:",
    ]
    for place, (key, value) in enumerate(settings.items()):
        start = "  - " if place == 0 else "    "
        if isinstance(value, dict):
            lines.append(f"{start}{key}:")
            lines += [f"      {name}: {json.dumps(inner, ensure_ascii=False)}" for name, inner in value.items()]
        else:
            lines.append(f"{start}{key}: {json.dumps(value, ensure_ascii=False)}")
    return "\n".join([*lines, "    editable: false", ""])


_PROVIDER = f"""\
# Written by cryowatch.  What is edited in Grafana is saved as a copy, under an address of its own: these five stay as
# they are here, and a copy is never touched.
apiVersion: 1
providers:
  - name: cryowatch
    orgId: 1
    folder: {FOLDER}
    folderUid: {FOLDER}
    type: file
    disableDeletion: true
    allowUiUpdates: false
    updateIntervalSeconds: 30
    options:
      path: {DASHBOARDS}
"""

_INI = f"""\
; Written by cryowatch: what differs from Grafana's defaults.  It can stand at the end of /etc/grafana/grafana.ini.

[server]
protocol = https
cert_file = /etc/grafana/tls/server-cert.pem
cert_key = /etc/grafana/tls/server-key.pem

[security]
cookie_secure = true
; The password of the account admin.  It counts when Grafana starts for the first time.
admin_password = $__file{{{ADMIN_FILE}}}

[users]
allow_sign_up = false

[auth.anonymous]
; People log in.  Whoever may query a data source may query all of it, whatever a dashboard shows.
enabled = false

[panels]
; cryowatch's dashboards need no HTML: they take the image's address out of the links of the layout scipion.
; Only the published gallery (grafana.com 12355) shows those links themselves: as images where this is true and Grafana
; is 10 or older, else as text.  With true, everybody who writes to InfluxDB can run scripts in the browsers of all who
; look.
disable_sanitize_html = false

; Images: link the folder that the images are published to, so that Grafana serves it as /public/img/scipionbox:
;   ln -s {PUBLISHED} {IMAGES}
; and let Grafana's user read it.  It must not lie below /home, which Grafana's service cannot see.
; Grafana serves files below /public to everybody who knows their address.
"""

_COMPOSE = f"""\
# Written by cryowatch: InfluxDB 1.8 and Grafana as containers on one machine.  In this folder:
#   cryowatch tls create --out tls --name influxdb --name grafana.example.org
#   docker compose up -d influxdb
#   curl --retry 20 --retry-delay 1 --retry-all-errors --cacert tls/ca-cert.pem https://localhost:8086/ping
#   cryowatch influx init --create-admin --url https://localhost:8086 --ca-file tls/ca-cert.pem --out passwords
#   openssl rand -base64 18 > passwords/grafana_admin.password
#   mkdir images
#   sudo install -d -o 472 -m 0700 grafana-tls grafana-secrets
#   sudo install -o 472 -m 0400 tls/ca-cert.pem tls/server-cert.pem tls/server-key.pem grafana-tls/
#   sudo install -o 472 -m 0400 passwords/scipion_reader.password passwords/grafana_admin.password grafana-secrets/
#   docker compose up -d
# Grafana runs as user 472, and reads no other secrets than these.  The images that cryowatch publishes go to ./images.
services:
  influxdb:
    image: influxdb:1.8
    restart: unless-stopped
    environment:
      INFLUXDB_REPORTING_DISABLED: "true"
      INFLUXDB_HTTP_AUTH_ENABLED: "true"
      INFLUXDB_HTTP_HTTPS_ENABLED: "true"
      INFLUXDB_HTTP_HTTPS_CERTIFICATE: /etc/influxdb/tls/server-cert.pem
      INFLUXDB_HTTP_HTTPS_PRIVATE_KEY: /etc/influxdb/tls/server-key.pem
    ports:
      - "8086:8086"
    volumes:
      - influxdb:/var/lib/influxdb
      - ./tls:/etc/influxdb/tls:ro
  grafana:
    image: grafana/grafana:${{GRAFANA_VERSION:-{GRAFANA}}}
    restart: unless-stopped
    depends_on:
      - influxdb
    ports:
      - "3000:3000"
    volumes:
      - grafana:/var/lib/grafana
      - ./grafana.ini:/etc/grafana/grafana.ini:ro
      - ./provisioning:/etc/grafana/provisioning:ro
      - ./dashboards:{DASHBOARDS}:ro
      - ./grafana-tls:/etc/grafana/tls:ro
      - ./grafana-secrets:/etc/grafana/secrets:ro
      - ./images:{IMAGES}:ro
volumes:
  influxdb:
  grafana:
"""
