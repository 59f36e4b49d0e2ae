"""What of Grafana's HTTP API `push` uses, as its documentation describes it; answers can be scripted."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "glsa_only_for_tests"


class GrafanaServer:
    """Folders, data sources and dashboards with their versions; `wrapped` lists versions as Grafana 12 does.

    `saved_in_13` are those of which Grafana 13 holds a version in its new schema, saved in its pages.
    """

    def __init__(self, *, wrapped: bool = False) -> None:
        self.folders: dict[str, Any] = {}
        self.sources: dict[str, Any] = {}
        self.dashboards: dict[str, Any] = {}
        self.versions: dict[str, list[dict[str, Any]]] = {}
        self.scripted: dict[tuple[str, str], tuple[int, bytes, dict[str, str]]] = {}
        self.asked: list[tuple[str, str]] = []
        self.saved_in_13: set[str] = set()
        self.wrapped = wrapped
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # headers and body in one packet, or each answer waits 40 ms for an acknowledgement

            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length)) if length else None
                path = self.path.split("?")[0]
                server.asked.append((self.command, path))
                if (self.command, path) in server.scripted:
                    status, content, headers = server.scripted[self.command, path]
                elif self.headers.get("Authorization") != f"Bearer {TOKEN}":
                    status, content, headers = 401, b'{"message":"Invalid API key"}', {}
                else:
                    status, found = server.handle(self.command, path.strip("/").split("/")[1:], body)
                    content, headers = json.dumps(found).encode(), {}
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = answer

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://localhost:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def handle(self, method: str, path: list[str], body: Any) -> tuple[int, Any]:  # noqa: PLR0911  one for each address
        """Return status and body of an answer."""
        match method, path:
            case "GET", ["folders", uid]:
                return self._found(self.folders, uid, "folder not found")
            case "POST", ["folders"]:
                self.folders[body["uid"]] = body
                return 200, body
            case "GET", ["datasources", "uid", uid]:
                return self._found(self.sources, uid, "Data source not found")
            case "POST", ["datasources"]:
                if any(s["name"] == body["name"] for s in self.sources.values()):
                    return 409, {"message": "data source with the same name already exists"}
                self.sources[body["uid"]] = body
                return 200, {"message": "Datasource added"}
            case "PUT", ["datasources", "uid", uid]:
                self.sources[uid] = body
                return 200, {"message": "Datasource updated"}
            case "GET", ["dashboards", "uid", uid] if uid in self.saved_in_13:
                where = f"/apis/dashboard.grafana.app/v2/namespaces/default/dashboards/{uid}"
                return 406, {"message": f"dashboard api version not supported, use {where} instead"}
            case "GET", ["dashboards", "uid", uid]:
                return self._found(self.dashboards, uid, "Dashboard not found")
            case "GET", ["dashboards", "uid", uid, "versions"]:
                newest = self.versions[uid][::-1]
                return 200, {"continueToken": "", "versions": newest} if self.wrapped else newest
            case "POST", ["dashboards", "db"]:
                return self.save(body["dashboard"], body["folderUid"], body["message"], overwrite=body["overwrite"])
        return 404, {"message": "Not found"}

    def _found(self, where: dict[str, Any], uid: str, absent: str) -> tuple[int, Any]:
        return (200, where[uid]) if uid in where else (404, {"message": absent})

    def save(self, dashboard: dict[str, Any], folder: str, message: str, *, overwrite: bool = False) -> tuple[int, Any]:
        """Save as Grafana does: only on top of the version that was looked at, or of any with `overwrite`."""
        uid = dashboard["uid"]
        there = self.dashboards.get(uid)
        version = there["dashboard"]["version"] if there else 0
        if dashboard["version"] != version and not overwrite:
            return 412, {"message": "The dashboard has been changed by someone else", "status": "version-mismatch"}
        saved = {**dashboard, "id": 7, "version": version + 1}
        self.saved_in_13.discard(uid)
        self.dashboards[uid] = {"dashboard": saved, "meta": {"folderUid": folder}}
        self.versions.setdefault(uid, []).append({"version": version + 1, "message": message})
        return 200, {"uid": uid, "status": "success"}
