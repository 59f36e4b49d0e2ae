"""A real InfluxDB for tests: Debian's influxd on free loopback ports, with accounts, over TLS where asked."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx2

from tests.support.ports import free_port

INFLUXD = Path("/usr/bin/influxd")
ADMIN = ("admin", "only for tests")

_CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  series-id-set-cache-size = 0
  max-values-per-tag = 0
[http]
  enabled = true
  bind-address = "127.0.0.1:{port}"
  auth-enabled = {auth}
  log-enabled = false
  https-enabled = {https}
  https-certificate = "{certificate}"
  https-private-key = "{key}"
[logging]
  level = "error"
[monitor]
  store-enabled = false
"""


class InfluxServer:
    """One influxd with its data in a folder; `stop` and `start` keep the data, `kill` pulls the plug."""

    def __init__(
        self,
        folder: Path,
        *,
        auth: bool = True,
        certificate: Path | None = None,
        key: Path | None = None,
        administrator: bool = True,
    ) -> None:
        self.folder = folder
        self.port = free_port()
        self.tls = certificate is not None
        self.certificate = certificate
        self.url = f"{'https' if self.tls else 'http'}://localhost:{self.port}"
        folder.mkdir(parents=True, exist_ok=True)
        self._config = folder / "influxdb.conf"
        self._config.write_text(
            _CONFIG.format(
                folder=folder,
                rpc=free_port(),
                port=self.port,
                auth=str(auth).lower(),
                https=str(self.tls).lower(),
                certificate=certificate or "",
                key=key or "",
            )
        )
        self._auth = auth
        self._administrator = auth and administrator
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start the server and wait until it answers; the first time, make the administrator."""
        self.client = httpx2.Client(base_url=self.url, verify=False, timeout=30)
        log = (self.folder / "influxd.log").open("ab")
        self._process = subprocess.Popen([INFLUXD, "-config", self._config], stdout=log, stderr=log)
        log.close()
        end = time.monotonic() + 30
        while True:
            try:
                self.client.get("/ping", timeout=2)
                break
            except httpx2.TransportError:
                assert self._process.poll() is None, (self.folder / "influxd.log").read_text()[-2000:]
                assert time.monotonic() < end
                time.sleep(0.05)
        if self._administrator:
            user, password = ADMIN
            statement = f"CREATE USER {user} WITH PASSWORD '{password}' WITH ALL PRIVILEGES"
            self.client.post("/query", data={"q": statement})

    def stop(self) -> None:
        """End the server in order; once is enough, more do no harm."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End the server as a power cut does."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        self.client.close()
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(20)
            self._process = None

    def query(self, statement: str, *, database: str = "", auth: tuple[str, str] | None = ADMIN, **more: Any) -> Any:
        """Return the results of a query as the server gives them; raises AssertionError for an error."""
        answer = self.client.post(
            "/query",
            data={"q": statement, "db": database, "epoch": "ns", **more},
            auth=httpx2.BasicAuth(*auth) if self._auth and auth else httpx2.USE_CLIENT_DEFAULT,
        )
        assert answer.status_code == 200, answer.text
        results = json.loads(answer.text)["results"]
        for result in results:
            assert "error" not in result, (statement, result["error"])
        return results

    def rows(self, statement: str, *, database: str = "scipion", **more: Any) -> list[dict[str, Any]]:
        """Return the rows of a query, each with its columns and its series' name and tags."""
        found = []
        for result in self.query(statement, database=database, **more):
            for series in result.get("series", []):
                shared = {"measurement": series.get("name", ""), **series.get("tags", {})}
                found += [
                    {**shared, **dict(zip(series["columns"], row, strict=True))} for row in series.get("values", [])
                ]
        return found
