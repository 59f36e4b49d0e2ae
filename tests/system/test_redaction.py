"""A server that repeats what it was sent tells nobody a password, and one that sends without end fills no memory."""

from __future__ import annotations

import base64
import gzip
import html
import json
import os
import resource
import socketserver
import threading
import time
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from cryowatch.errors import CryowatchError, SinkAway
from cryowatch.grafana.push import Grafana
from cryowatch.influx.client import Access, Influx
from cryowatch.influx.server import Server
from cryowatch.notices.mail import Mail, MailServer
from cryowatch.notices.message import Context, trial
from cryowatch.notices.webhook import Webhook
from cryowatch.report.after import Command
from cryowatch.system.http import AnswerTooLong, asked
from cryowatch.system.redaction import Redaction, of_arguments

SECRET = "s3cr&t/ p+ss'w\"ord<7731>"


def forms(secret: str, user: str) -> list[str]:
    """Return how a server may repeat a secret."""
    pairs = [f"{user}:{secret}", f"\0{user}\0{secret}"]
    encoded = [e(pair.encode()).decode() for e in (base64.b64encode, base64.urlsafe_b64encode) for pair in pairs]
    return [
        secret, html.escape(secret), json.dumps(secret), urllib.parse.quote(secret), urllib.parse.quote_plus(secret),
        urllib.parse.quote(secret, safe="").lower(), secret.encode().hex(), secret.encode().hex().upper(), *encoded,
    ]  # fmt: skip


@pytest.mark.parametrize("user", ["", "a", "ab", "abc", "scipion_writer"])
def test_a_secret_is_hidden_however_it_is_written(user: str) -> None:
    hidden = Redaction(SECRET)
    for form in forms(SECRET, user):
        assert "…" in hidden(f"refused: {form}."), form
        assert SECRET not in hidden(form)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=4, max_size=30), st.text(max_size=5))
def test_any_secret_is_hidden_as_it_stands_and_in_base64(secret: str, before: str) -> None:
    hidden = Redaction(secret)
    assert secret not in hidden(f"{before}{secret}") or secret in "…"
    with_user = base64.b64encode(f"{before.encode('utf-8', 'replace').decode()}:{secret}".encode()).decode()
    assert hidden(with_user) != with_user


WRITTEN: dict[str, Callable[[str], str]] = {
    "capitals": str.upper,
    "an address in an address": lambda s: urllib.parse.quote(urllib.parse.quote(s)),
    "HTML in HTML": lambda s: html.escape(html.escape(s)),
    "HTML as Go writes it": lambda s: html.escape(s).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"),
    "entities": lambda s: "".join(f"&#x{ord(c):X};" for c in s),
    "JSON as Go writes it": lambda s: json.dumps(s)[1:-1].replace("&", r"\u0026").replace("<", r"\u003c"),
    "JSON in JSON": lambda s: json.dumps(json.dumps(s))[3:-3],
    "bytes of Python": lambda s: repr(s.encode())[2:-1],
    "hexadecimal digits, parted": lambda s: s.encode().hex(":"),
    "another encoding": lambda s: s.encode().decode("latin-1"),
    "plain letters alone": lambda s: s.encode("ascii", "replace").decode(),
    "quoted-printable": lambda s: "".join(f"={byte:02X}" for byte in s.encode()),
    "base64 in an address": lambda s: urllib.parse.quote(base64.b64encode(f"writer:{s}".encode()), safe=""),
    "base64 of another encoding": lambda s: base64.b64encode(f"writer:{s}".encode("latin-1")).decode(),
}


@pytest.mark.parametrize("way", WRITTEN)
@pytest.mark.parametrize("secret", [SECRET, "pläin%41 wörd?+x"])
def test_a_secret_is_hidden_as_servers_in_other_languages_write_it(secret: str, way: str) -> None:
    assert Redaction(secret)(f"refused: {WRITTEN[way](secret)} is wrong") == "refused: … is wrong"


def test_hiding_takes_no_long_time_whatever_a_server_says() -> None:
    hidden = Redaction(SECRET * 3)
    for text in ("%25" * 20_000, "\\" * 60_000, "&amp;" * 12_000, "QUJD" * 15_000, SECRET * 2_500):
        began = time.process_time()
        hidden(text)
        assert time.process_time() - began < 3


@pytest.mark.parametrize(
    ("arguments", "secrets"),
    [
        (["curl", "-u", "me:pw12", "-T", "{file}"], {"me:pw12", "pw12"}),
        (["curl", "-H", "Authorization: Bearer xyz1", "https://host/x"], {"Bearer xyz1", "xyz1"}),
        (["send", "--api-key=k-12", "--token", "t-12"], {"k-12", "t-12"}),
        (["lftp", "sftp://me:pw-34@host/x"], {"me:pw-34", "pw-34"}),
        (["scp", "-q", "{file}", "host:/srv"], set()),
    ],
)
def test_what_is_secret_of_a_command_is_seen(arguments: list[str], secrets: set[str]) -> None:
    assert {one for one in of_arguments(arguments) if one} == secrets


def test_a_command_that_prints_passwords_tells_them_nobody(tmp_path: Path) -> None:
    script = tmp_path / "send"
    script.write_text('#!/bin/sh\necho "curl: $2 and of-the-settings-7731 were refused"\nexit 3\n')
    script.chmod(0o755)
    command = Command(
        arguments=[str(script), "--user", "me:of-the-command-7731"],
        timeout=60,
        environment=os.environ,
        secrets=["of-the-settings-7731"],
    )
    with pytest.raises(SinkAway, match="ended with 3: curl: … and … were refused"):
        command.run(tmp_path / "report.html", "demo")


def test_a_short_secret_hides_no_part_of_a_word_and_none_hides_nothing() -> None:
    assert Redaction("ab")("cab ab abc") == "cab … abc"
    assert Redaction("", "")("all of it") == "all of it"


class Echo(BaseHTTPRequestHandler):
    """Answers each request with an error that repeats its headers and body, in JSON and in a header."""

    status = 418

    def answer(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length).decode(errors="replace")
        decoded = [base64.b64decode(v.split()[1]).decode() for v in self.headers.get_all("Authorization") or []
                   if v.startswith("Basic ")]  # fmt: skip
        repeated = f"{dict(self.headers)} {decoded} {body} {urllib.parse.unquote_plus(body)} {self.path}"
        text = json.dumps({"error": repeated, "message": repeated, "results": [{"error": repeated}]}).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = answer

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def said(work: Callable[[], Any]) -> str:
    """Return what an error says, or the words that were returned."""
    try:
        returned = work()
        return returned if isinstance(returned, str) else ""
    except CryowatchError as error:
        return str(error)


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 500])
def test_nobody_is_told_a_password_that_a_server_repeats(status: int) -> None:
    handler = type("Handler", (Echo,), {"status": status})
    with serving(handler) as url:
        plain = Influx(Access(url=url, database="scipion", username="writer", password=SECRET))
        token = Influx(Access(url=url, database="scipion", token="token-of-secrets-7731"))
        texts = [said(work) for sink in (plain, token) for work in (
            sink.check, lambda s=sink: s.send(["m,t=1 a=1 5"]), lambda s=sink: s.query("SHOW DATABASES")[1], sink.keeps
        )]  # fmt: skip
        with Server(url) as server:
            server.log_in("admin", SecretStr(SECRET))
            texts.append(said(lambda: server.rows("SHOW USERS")))
            texts.append(
                said(lambda: server.run("CREATE USER a WITH PASSWORD 'other-s\\'cret-7731' WITH ALL PRIVILEGES"))
            )
            texts.append(said(lambda: server.run("SET PASSWORD FOR \"a\" = 'third-secret-7731'")))
        with Grafana(url, "glsa_7731_token") as grafana:
            texts.append(said(lambda: grafana.get("api/folders/x")))
            body = {"name": "x", "secureJsonData": {"password": SECRET}}
            texts.append(said(lambda: grafana.post("api/datasources", body)))
        hook = Webhook("night", f"{url}/hooks/path-secret-7731?key=query-secret-7731")
        texts.append(said(lambda: hook.send(trial(Context(host="gpu1"), channel="night", now=time.time_ns()), {})))
    whole = "\n".join(texts)
    for secret in (SECRET, "token-of-secrets-7731", "other-s'cret-7731", "third-secret-7731", "glsa_7731_token",
                   "path-secret-7731", "query-secret-7731"):  # fmt: skip
        assert not [form for form in forms(secret, "writer") if form in whole], secret
    assert "7731" not in whole
    assert len([text for text in texts if text]) >= 6


class EchoingMail(socketserver.StreamRequestHandler):
    """An SMTP server that refuses every account, with what it was sent, plain and decoded."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            word = line[:4].upper()
            if word == b"EHLO":
                self.wfile.write(b"250-here\r\n250 AUTH PLAIN\r\n")
            elif word == b"AUTH":
                sent = line.split()[-1]
                decoded = base64.b64decode(sent).replace(b"\0", b" ")
                self.wfile.write(b"535 5.7.8 wrong: " + sent + b" that is " + decoded + b"\r\n")
            else:
                self.wfile.write(b"221 bye\r\n")
                return


def test_a_mail_server_that_repeats_the_password_tells_it_nobody() -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), EchoingMail) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        account = MailServer(
            host="127.0.0.1", port=server.server_address[1], security="none", username="ada", password=SECRET
        )
        text = said(Mail(account, sender="a@example.org", to=["b@example.org"]).reach)
        server.shutdown()
    assert "refuses the account: 535 5.7.8 wrong: " in text
    assert not [form for form in forms(SECRET, "ada") if form in text]
    assert "7731" not in text


class EndlessMail(socketserver.StreamRequestHandler):
    """An SMTP server whose greeting has no last line."""

    def handle(self) -> None:
        with suppress(OSError):
            while True:
                self.wfile.write(b"220-%s\r\n" % (b"x" * 4_000))


class StrangeMail(socketserver.StreamRequestHandler):
    """An SMTP server whose challenge is no base64."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        for line in self.rfile:
            login = line[:4].upper() == b"EHLO"
            self.wfile.write(b"250-here\r\n250 AUTH CRAM-MD5\r\n" if login else b"334 A\r\n")


@pytest.mark.parametrize(
    ("kind", "what"), [(EndlessMail, "ended the connection"), (StrangeMail, "cannot be reached: Invalid base64")]
)
def test_a_mail_server_that_makes_no_sense_is_told_and_fills_no_memory(
    kind: type[socketserver.BaseRequestHandler], what: str
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        account = MailServer(
            host="127.0.0.1", port=server.server_address[1], security="none", username="ada", password=SECRET
        )
        text = said(Mail(account, sender="a@example.org", to=["b@example.org"]).reach)
        server.shutdown()
    assert what in text
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000


class Bomb(Echo):
    """Answers with 300 kB of gzip that are 300 MB, asked for or not."""

    body = gzip.compress(bytes(300 * 2**20), 9)

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(self.status)
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(self.body)

    do_GET = do_POST = do_PUT = answer


class Endless(Echo):
    """Answers without end."""

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(self.status)
        self.end_headers()
        with suppress(OSError):
            while True:
                self.wfile.write(b"[" * 65536)

    do_GET = do_POST = do_PUT = answer


@pytest.mark.parametrize("kind", [Bomb, Endless])
@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_that_unfolds_or_never_ends_fills_no_memory(kind: type[Echo], status: int) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with serving(type("Handler", (kind,), {"status": status})) as url:
        sink = Influx(Access(url=url, database="scipion", username="writer", password=SECRET))
        assert len(said(lambda: sink.query("SHOW DATABASES"))) < 2_000
        assert len(said(lambda: sink.send(["m,t=1 a=1 5"]))) < 2_000
        with Server(url) as server:
            assert len(said(lambda: server.rows("SHOW USERS"))) < 2_000
        with Grafana(url, "token") as grafana:
            assert len(said(lambda: grafana.get("api/folders/x"))) < 2_000
        hook = Webhook("night", f"{url}/hooks/x")
        message = trial(Context(host="gpu1"), channel="night", now=time.time_ns())
        text = said(lambda: hook.send(message, {}))
        assert text == "" if status == 200 else "answers 500" in text
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert grown < 150, "it may keep the 32 MB that an answer may have, some times over"


def test_an_answer_has_to_come_to_an_end() -> None:
    class Trickle(Echo):
        def answer(self) -> None:
            self.send_response(200)
            self.end_headers()
            with suppress(OSError):
                while True:
                    self.wfile.write(b" ")
                    self.wfile.flush()
                    time.sleep(0.02)

        do_GET = answer

    with serving(Trickle) as url, httpx2.Client(base_url=url) as client:
        began = time.monotonic()
        with pytest.raises(AnswerTooLong, match=r"answers for more than 0\.3 s"):
            asked(client, "GET", "/", seconds=0.3)
        assert time.monotonic() - began < 30


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://influx.example.org:8086", True), ("https://influx.example.org:8086", False),
        ("http://127.0.0.1:8086", False), ("http://localhost:8086", False), ("http://[::1]:8086", False),
    ],
)  # fmt: skip
def test_a_secret_on_an_open_line_to_another_machine_is_told(*, url: str, told: bool) -> None:
    sink = Influx(Access(url=url, database="scipion", username="writer", password=SECRET, verify_tls=False))
    hook = Webhook("night", f"{url}/hooks/path-secret-7731")
    assert bool(sink.open_line) is told
    assert bool(hook.open_line) is told
    assert "7731" not in sink.open_line + hook.open_line
    nobody = Influx(Access(url=url, database="scipion", verify_tls=False))
    assert nobody.open_line == ""
