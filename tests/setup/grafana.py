"""What stands for Grafana on a machine that is set up: it reads the files that Grafana reads, as Grafana's account.

`grafana.ini` with its later lines winning, `$__file{…}` in it and in the provisioned data source; the dashboards of
the provider.  It serves `/api/health`, the files below `/public`, and at `/stand-in` what the data source answers.
"""

from __future__ import annotations

import configparser
import json
import re
import ssl
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import yaml

ETC = Path("/etc/grafana")
PUBLIC = Path("/usr/share/grafana/public")


def expanded(text: str) -> str:
    """Return a text with the contents of the files that it names."""
    return re.sub(r"\$__file\{([^}]+)\}", lambda found: Path(found[1]).read_text().strip(), text)


def settings() -> configparser.ConfigParser:
    """Return what grafana.ini says."""
    found = configparser.ConfigParser(strict=False, interpolation=None, comment_prefixes=(";", "#"))
    found.read(ETC / "grafana.ini", encoding="utf-8")
    return found


def source() -> dict[str, Any]:
    """Return the data source, its secrets in place."""
    text = (ETC / "provisioning/datasources/cryowatch.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)["datasources"][0]
    found["secureJsonData"] = {key: expanded(value) for key, value in found["secureJsonData"].items()}
    return found


def titles() -> list[str]:
    """Return what the provisioned dashboards are called."""
    providers = yaml.safe_load((ETC / "provisioning/dashboards/cryowatch.yaml").read_text(encoding="utf-8"))
    folder = Path(providers["providers"][0]["options"]["path"])
    return sorted(json.loads(file.read_text(encoding="utf-8"))["title"] for file in folder.glob("*.json"))


def counted() -> int:
    """Return how many micrographs the data source sees, over TLS with the authority that it names."""
    found = source()
    context = ssl.create_default_context(cadata=found["secureJsonData"]["tlsCACert"])
    answer = httpx2.post(
        f"{found['url']}/query",
        data={"db": found["jsonData"]["dbName"], "q": 'SELECT count("defocus") FROM "micrograph"'},
        auth=httpx2.BasicAuth(found["user"], found["secureJsonData"]["password"]),
        verify=context,
        timeout=30,
    )
    series = answer.json()["results"][0].get("series", [])
    return int(series[0]["values"][0][1]) if series else 0


class Handler(BaseHTTPRequestHandler):
    """Answers."""

    def do_GET(self) -> None:
        """Answer."""
        if self.path == "/stand-in":
            admin = expanded(settings()["security"]["admin_password"])
            content = json.dumps({"micrographs": counted(), "dashboards": titles(), "admin": admin}).encode()
        elif self.path.startswith("/public/"):
            file = PUBLIC / self.path.removeprefix("/public/")
            if not file.is_file():
                self.send_error(404)
                return
            content = file.read_bytes()
        else:
            content = b'{"database": "ok", "version": "12.4.11"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


if __name__ == "__main__":
    server = settings()["server"]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server["cert_file"], server["cert_key"])
    with ThreadingHTTPServer(("", 3000), Handler) as http:
        http.socket = context.wrap_socket(http.socket, server_side=True)
        http.serve_forever()
