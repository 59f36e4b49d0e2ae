"""`make audit` asks about what cryowatch needs while it runs, and takes no silence for a good answer."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tools.audit import NOTHING, SOMETHING, UNKNOWN, echarts, python, required

VERSIONS = {"starlette": "0.1", "h11": "0.2"}
KNOWN = {
    "id": "GHSA-test",
    "affected": [
        {
            "package": {"name": "h11", "ecosystem": "PyPI"},
            "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "0.3"}]}],
        }
    ],
}


@contextmanager
def service(known: dict[str, Sequence[dict[str, Any]]]) -> Iterator[list[str]]:
    """Serve what is known, as osv.dev does; yields the options that let it be asked."""

    class Answer(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            content = json.dumps({"vulns": known.get(asked["package"]["name"], [])}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *said: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield ["--vulnerability-service=osv", f"--osv-url=http://127.0.0.1:{server.server_port}/"]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def registry(known: dict[str, Sequence[dict[str, Any]]] | None) -> Iterator[list[str]]:
    """Serve ECharts and what it needs as npm's registry does, and what is known of them, None for no answer to that."""
    needs = {"echarts": {"zrender": "6.0.0"}, "zrender": {}}

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.strip("/")
            place = f"http://127.0.0.1:{server.server_port}/{name}.tgz"
            version = {"name": name, "version": "6.0.0", "dependencies": needs[name],
                       "dist": {"tarball": place, "shasum": "0" * 40}}  # fmt: skip
            self.answer({"name": name, "dist-tags": {"latest": "6.0.0"}, "versions": {"6.0.0": version}})

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(known)

        def answer(self, said: object) -> None:
            content = json.dumps(said).encode()
            self.send_response(405 if said is None else 200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *said: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield [f"--registry=http://127.0.0.1:{server.server_port}/"]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_what_runs_is_asked_about_and_what_only_develops_is_not() -> None:
    found = required("cryowatch", frozenset({"", "apprise"}))
    assert {"starlette", "h11", "cryptography", "bcrypt", "argon2-cffi", "apprise", "pydantic-core"} <= set(found)
    assert not {"pytest", "mypy", "schemathesis", "pip-audit", "mkdocs", "cryowatch"} & set(found)


def test_a_known_vulnerability_is_told_with_what_mends_it(capsys: pytest.CaptureFixture[str]) -> None:
    with service({"h11": [KNOWN]}) as options:
        assert python(VERSIONS, *options) == SOMETHING
    said = capsys.readouterr().out
    assert "h11 0.2: GHSA-test, mended in 0.3" in said
    assert "2 of 2 audited, 1 known" in said


def test_where_nothing_is_known_all_is_well(capsys: pytest.CaptureFixture[str]) -> None:
    with service({}) as options:
        assert python(VERSIONS, *options) == NOTHING
    assert "2 of 2 audited, 0 known" in capsys.readouterr().out


def test_a_service_that_is_away_is_one_line_and_no_good_answer(capsys: pytest.CaptureFixture[str]) -> None:
    assert python(VERSIONS, "--vulnerability-service=osv", "--osv-url=http://127.0.0.1:9/") == UNKNOWN
    said = capsys.readouterr().out
    assert said.count("\n") == 1
    assert "not audited, the service for vulnerabilities cannot be asked" in said


@pytest.mark.skipif(shutil.which("npm") is None, reason="there is no npm")
def test_what_npm_knows_of_echarts_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    advisory = {
        "id": 1100001, "url": "https://github.com/advisories/GHSA-test", "title": "Markup in a tooltip",
        "severity": "moderate", "vulnerable_versions": "<6.2.0", "cwe": ["CWE-79"],
        "cvss": {"score": 6.1, "vectorString": "CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:C/C:L/I:L/A:N"},
    }  # fmt: skip
    answers: tuple[tuple[dict[str, Sequence[dict[str, Any]]] | None, int, str], ...] = (
        (
            {"zrender": [advisory]},
            SOMETHING,
            "ECharts: zrender: Markup in a tooltip, see https://github.com/advisories",
        ),
        ({}, NOTHING, "ECharts 6.0.0: 0 of it and what it needs have known vulnerabilities"),
        (
            None,
            UNKNOWN,
            "ECharts 6.0.0: not audited, npm's service for vulnerabilities cannot be asked: npm warn audit 405",
        ),
    )
    for number, (known, expected, words) in enumerate(answers):
        with registry(known) as options:
            assert echarts("6.0.0", *options, f"--cache={tmp_path}/{number}") == expected
        assert words in capsys.readouterr().out
