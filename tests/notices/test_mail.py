"""Mail comes whole over a protected line, and whatever a mail server does is one clear line."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from cryowatch.errors import MessageRefused, SinkAway, SinkError, SinkRefused
from cryowatch.images import Rendered
from cryowatch.notices.mail import Mail, MailServer, greeting
from cryowatch.records import Severity
from tests.notices.told import House, Time, message
from tests.support import smtp

SECRET = smtp.ACCOUNT[1]
Start = Callable[..., smtp.MailServer]

pytestmark = pytest.mark.filterwarnings("ignore:Requiring AUTH:UserWarning")  # the server's own, with TLS all along


def mail(server: smtp.MailServer | int, *, to: tuple[str, ...] = ("a@example.org",), **values: Any) -> Mail:
    port = server if isinstance(server, int) else server.port
    options = {"security": "none", **values}
    timeout = options.pop("timeout", 5.0)
    return Mail(
        MailServer(host=options.pop("host", "localhost"), port=port, **options),
        sender="cryowatch <cryowatch@example.org>",
        to=to,
        timeout=timeout,
    )


def parts(message: EmailMessage) -> dict[str, Any]:
    return {part.get_content_type(): part.get_content() for part in message.walk() if not part.is_multipart()}


def test_mail_says_what_since_when_how_much_and_where(serving: Start, house: House) -> None:
    house.raise_(
        Severity.CRITICAL, "Defocus: 4 of the last 25", value=4.31, limit=4.0, field="defocus", unit="µm",
        since=house.time.now - 35 * 60 * 10**9,
    )  # fmt: skip
    server = serving()
    picture = Rendered(data=b"\xff\xd8 a picture", media_type="image/jpeg")
    assert mail(server, to=("a@example.org", "B <b@example.org>")).send(message(house), {house.session: picture}) == ""
    (got,) = server.answers.taken
    assert got["Subject"] == "Critical: Defocus: 4 of the last 25 (alpha)"
    assert got["From"] == "cryowatch <cryowatch@example.org>"
    assert server.answers.recipients == [["a@example.org", "b@example.org"]]
    assert (got["Auto-Submitted"], got["Importance"]) == ("auto-generated", "high")
    found = parts(got)
    for said in ("Defocus: 4 of the last 25", "alpha", "for 35 min", "value 4.31 µm, limit 4.00 µm", "gpu1"):
        assert said in found["text/plain"]
        assert said in found["text/html"]
    assert "https://watch.example.org/s/alpha/summary" in found["text/plain"]
    assert 'href="https://watch.example.org/s/alpha/summary"' in found["text/html"]
    assert found["image/jpeg"] == b"\xff\xd8 a picture"
    (image,) = (part for part in got.walk() if part.get_content_type() == "image/jpeg")
    assert f"cid:{image['Content-ID'].strip('<>')}" in found["text/html"]
    assert image["Content-Disposition"] == "inline"


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_protected_line_with_an_account(serving: Start, house: House, tmp_path: Path, security: str) -> None:
    house.raise_()
    context, authority = smtp.server_context(tmp_path / "tls")
    server = serving(**{security: context}, account=True)
    user, password = smtp.ACCOUNT
    options: dict[str, Any] = {"security": security, "ca_file": authority, "username": user}
    assert mail(server, **options, password=password).send(message(house), {}) == ""
    assert server.logins == [smtp.ACCOUNT]
    with pytest.raises(SinkRefused, match=r"refuses the account: 535.*mail\.username") as refused:
        mail(server, **options, password="not that one").send(message(house), {})
    assert "not that one" not in str(refused.value)
    with pytest.raises(SinkRefused, match=r"wants an account|Check mail\.username"):
        mail(server, **{**options, "username": ""}).send(message(house), {})
    assert len(server.answers.taken) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_nobody_vouches_for(serving: Start, house: House, tmp_path: Path, security: str) -> None:
    house.raise_()
    context, authority = smtp.server_context(tmp_path / "tls")
    server = serving(**{security: context}, account=True)
    user, password = smtp.ACCOUNT
    options: dict[str, Any] = {"security": security, "username": user, "password": password}
    with pytest.raises(SinkRefused, match=r"certificate cannot be verified.*mail\.ca_file"):
        mail(server, **options).send(message(house), {})
    elsewhere = serving(**{security: context}, account=True, host="127.0.0.2")
    names = r"its certificate is not for the name 127\.0\.0\.2; it is for localhost, 127\.0\.0\.1\. Use a name that"
    with pytest.raises(SinkRefused, match=names):
        mail(elsewhere, **options, ca_file=authority, host="127.0.0.2").send(message(house), {})
    assert server.logins == []


def test_without_starttls_nothing_is_sent(serving: Start, house: House) -> None:
    house.raise_()
    server = serving()
    with pytest.raises(SinkRefused, match="offers no STARTTLS, and nothing is sent without"):
        mail(server, security="starttls").send(message(house), {})
    assert server.answers.tries == 0


def test_tls_where_none_is_spoken(serving: Start, house: House) -> None:
    house.raise_()
    with pytest.raises(SinkRefused, match=r"speaks no TLS that fits.*mail\.security"):
        mail(serving(), security="tls").send(message(house), {})


def test_a_server_that_is_away_or_hangs(house: House) -> None:
    house.raise_()
    with socket.socket() as hanging:
        hanging.bind(("127.0.0.1", 0))
        port = hanging.getsockname()[1]
        with pytest.raises(SinkAway, match="cannot be reached: Connection refused"):
            mail(port, host="127.0.0.1").send(message(house), {})
        hanging.listen()
        with pytest.raises(SinkAway, match=r"does not answer within 0\.1 s"):
            mail(port, host="127.0.0.1", timeout=0.1).send(message(house), {})


@pytest.mark.parametrize(
    "said",
    [
        [], ["220 hello"], ["220 hello", "250 at your service"], ["220 hello", "250 at your service", "250 sender"],
        ["220 hello", "250 at your service", "250 sender", "250 recipient", "354 go on"],
    ],
    ids=["at once", "after the greeting", "after EHLO", "after the sender", "in the middle of the text"],
)  # fmt: skip
def test_a_server_that_falls_silent_is_away(house: House, said: list[str]) -> None:
    house.raise_()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        heard: list[bytes] = []

        def answer() -> None:
            connection, _ = listening.accept()
            with connection, connection.makefile("rb") as lines:
                for number, line in enumerate(said):
                    if number:
                        heard.append(lines.readline())
                    connection.sendall(f"{line}\r\n".encode())
                lines.read()

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        with pytest.raises(SinkAway, match=r"does not answer within 0\.3 s"):
            mail(listening.getsockname()[1], host="127.0.0.1", timeout=0.3).send(message(house), {})
        thread.join(5)
    assert len(heard) == max(0, len(said) - 1)


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_has_run_out(serving: Start, house: House, tmp_path: Path, security: str) -> None:
    house.raise_()
    context, authority = smtp.server_context(tmp_path / "tls", now=datetime(2001, 1, 1, tzinfo=UTC))
    with pytest.raises(SinkRefused, match="certificate cannot be verified: certificate has expired"):
        mail(serving(**{security: context}), security=security, ca_file=authority).send(message(house), {})


@pytest.mark.parametrize(
    ("name", "address", "given"),
    [
        ("krios_1.example.org", "10.1.2.3", "[10.1.2.3]"),
        ("krios", "10.1.2.3", "[10.1.2.3]"),
        ("krios", "fe80::1%eth0", "[IPv6:fe80::1]"),
        ("localhost.localdomain", "10.1.2.3", "[10.1.2.3]"),
        ("-a.example.org", "10.1.2.3", "[10.1.2.3]"),
        ("mikroskop-ä.example.org", "10.1.2.3", "[10.1.2.3]"),
        ("10.1.2.3", "10.1.2.3", "[10.1.2.3]"),
        ("krios-1.em.example.org", "10.1.2.3", "krios-1.em.example.org"),
    ],
)
def test_a_machine_without_a_proper_name_greets_with_its_address(name: str, address: str, given: str) -> None:
    assert greeting(name, address) == given


def test_a_server_that_takes_no_odd_names_takes_our_mail(
    serving: Start, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.raise_()
    monkeypatch.setattr(socket, "getfqdn", lambda *_: "krios_1")
    server = serving()
    server.answers.greeting = lambda name: "" if re.fullmatch(r"\[127\.0\.0\.1\]", name) else "501 5.5.4 Invalid name"
    assert mail(server).reach() == ""
    assert mail(server).send(message(house), {}) == ""
    with pytest.raises(SinkRefused, match=r"does not take the name .* in EHLO: 501 .*Set mail\.ehlo to one it takes"):
        mail(server, ehlo="krios_1").send(message(house), {})


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("504 5.5.2 <krios_1>: Helo command rejected: need fully-qualified hostname", SinkRefused),
        ("450 4.7.1 <krios>: Helo command rejected: Host not found", SinkAway),
    ],
)
def test_a_name_that_is_refused_with_the_recipient_blames_no_recipient(
    serving: Start, house: House, answer: str, kind: type[SinkError]
) -> None:
    house.raise_()
    server = serving()
    server.answers.to = lambda _: answer
    said = r"does not take the name that this machine gives.*Set mail\.ehlo"
    with pytest.raises(kind, match=said):
        mail(server).reach()
    with pytest.raises(kind, match=said):
        mail(server).send(message(house), {})


def test_a_recipient_who_is_refused_keeps_mail_from_nobody_else(serving: Start, house: House) -> None:
    house.raise_()
    server = serving()
    server.answers.to = lambda address: "550 5.1.1 nobody here" if address.startswith("b@") else ""
    said = mail(server, to=("a@example.org", "b@example.org")).send(message(house), {})
    assert "b@example.org: 550 5.1.1 nobody here" in said
    assert "mail.to" in said
    assert server.answers.recipients == [["a@example.org"]]


@pytest.mark.parametrize(("answer", "kind"), [("550 nobody here", SinkRefused), ("451 later", SinkAway)])
def test_every_recipient_is_refused(serving: Start, house: House, answer: str, kind: type[SinkError]) -> None:
    house.raise_()
    server = serving()
    server.answers.to = lambda _: answer
    with pytest.raises(kind, match=f"refuses every recipient: a@example.org: {answer}"):
        mail(server).send(message(house), {})


@pytest.mark.parametrize(("answer", "kind"), [("554 no such words", MessageRefused), ("452 no room now", SinkAway)])
def test_the_text_is_refused(serving: Start, house: House, answer: str, kind: type[SinkError]) -> None:
    house.raise_()
    server = serving()
    server.answers.data = lambda _: answer
    with pytest.raises(kind, match=answer[4:]):
        mail(server).send(message(house), {})


def test_a_message_that_is_too_large(serving: Start, house: House) -> None:
    house.raise_()
    server = serving(size=20_000)
    large = Rendered(data=bytes(40_000), media_type="image/jpeg")
    with pytest.raises(MessageRefused, match="too large"):
        mail(server).send(message(house), {house.session: large})
    assert mail(server).send(message(house), {}) == ""


@pytest.mark.parametrize("line", ["innocent\nBcc: all@example.org", "innocent\r\n\r\nbody", "a\u2028b\u202egnp"])
def test_no_name_forges_a_header(serving: Start, tmp_path: Path, line: str) -> None:
    house = House(tmp_path / "data", Time(), name=line)
    house.raise_(text=line)
    server = serving()
    mail(server).send(message(house, facility=line), {})
    (got,) = server.answers.taken
    assert got["Bcc"] is None
    assert server.answers.recipients == [["a@example.org"]]
    assert "innocent" in got["Subject"] or "\\u2028" in got["Subject"]
    house.store.close()


def test_mail_has_the_whole_error_of_a_run(serving: Start, house: House) -> None:
    error = "\n".join(
        ["Traceback <most recent call last>:", *(f"  step {n} of {'x' * 60}" for n in range(50)), "no GPU"]
    )
    assert 3_000 < len(error) < 4_000
    house.raise_(Severity.CRITICAL, "ctffind has failed: no GPU", detail=error)
    server = serving()
    mail(server).send(message(house), {})
    found = parts(server.answers.taken[0])
    for line in error.split("\n"):
        assert f"| {line}" in found["text/plain"]
        assert line.replace("<", "&lt;").replace(">", "&gt;") in found["text/html"]


def test_no_name_means_anything_in_html(serving: Start, tmp_path: Path) -> None:
    evil = '<img src="https://evil.example/x"><script>alert(1)</script>{{ 7 * 7 }}'
    house = House(tmp_path / "data", Time(), name=evil.replace("/", "_"))
    house.raise_(text=evil)
    server = serving()
    mail(server).send(message(house, facility=evil), {})
    written = parts(server.answers.taken[0])["text/html"]
    assert "<script" not in written
    assert "<img" not in written
    assert "{{ 7 * 7 }}" in written
    house.store.close()


def test_the_same_notices_have_the_same_message_id(house: House) -> None:
    house.raise_()
    first, again = message(house), message(house)
    house.raise_()
    assert first.id == again.id
    assert message(house).id != first.id
    assert mail(25).written(first, {})["Message-ID"] == f"<{first.id}@example.org>"


def test_a_default_context_checks_certificates_and_names(tmp_path: Path) -> None:
    built = mail(465, security="tls")._tls
    assert built is not None
    assert built.verify_mode is ssl.CERT_REQUIRED
    assert built.check_hostname
