"""Webhooks get JSON in four shapes, in which no name means anything; their addresses stay secret."""

from __future__ import annotations

import json
import logging
import re
import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from markdown_it import MarkdownIt

from cryowatch.errors import ConfigError, MessageRefused, SinkAway, SinkError, SinkRefused
from cryowatch.notices.message import trial
from cryowatch.notices.webhook import Webhook
from cryowatch.records import Severity
from tests.notices.told import HOUR, MINUTE, House, Time, message, notifier, run
from tests.support import smtp
from tests.support.receiver import Receiver

SECRET = "/services/T0GEHEIM/B0GEHEIM/zXyGEHEIMzXy?key=GEHEIMNIS"
EVIL = (
    "<!channel> @channel @here <https://evil.example|click> [x](https://evil.example) **bold** `code` "
    "<img src=x> &lt; ~#! www.evil.example http://evil.example"
)
SHAPES = ("json", "slack", "mattermost", "teams")
Start = Callable[..., Receiver]


def webhook(server: Receiver, shape: str = "json", **values: Any) -> Webhook:
    return Webhook("chat", server.url + SECRET, shape=shape, **values)


def texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for inside in value.values():
            yield from texts(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from texts(inside)


def test_json_says_all_there_is(receiving: Start, house: House) -> None:
    now = house.time.now
    house.raise_(Severity.CRITICAL, "Defocus: low", value=4.31, limit=4.0, field="defocus", unit="µm", since=now - HOUR)
    server = receiving()
    assert webhook(server).send(message(house), {}) == ""
    (body,) = server.bodies
    ((path, headers),) = server.requests
    assert path == SECRET
    assert headers["Content-Type"] == "application/json"
    assert headers["Idempotency-Key"] == body["id"] == message(house).id
    iso = datetime.fromtimestamp((now - HOUR) / 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert body["alerts"] == [
        {
            "event": "raised",
            "severity": "critical",
            "rule": "rule-0",
            "session": "alpha",
            "host": "gpu1",
            "subject": None,
            "text": "Defocus: low",
            "detail": None,
            "reason": None,
            "since": iso,
            "until": None,
            "value": 4.31,
            "limit": 4.0,
            "unit": "µm",
            "acknowledged": False,
            "url": "https://watch.example.org/s/alpha/summary",
        }
    ]
    assert (body["version"], body["test"], body["severity"], body["more"]) == (1, False, "critical", 0)


def test_json_has_the_whole_error_of_a_run(receiving: Start, house: House) -> None:
    house.raise_(Severity.CRITICAL, "ctffind has failed: no GPU", detail="Traceback:\n  in step 3\nno GPU")
    server = receiving()
    webhook(server).send(message(house), {})
    (body,) = server.bodies
    assert body["alerts"][0]["detail"] == "Traceback:\n  in step 3\nno GPU"
    assert "  |   in step 3\n  | no GPU" in body["text"]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_shape_says_what_since_when_and_how_much(receiving: Start, house: House, shape: str) -> None:
    house.raise_(text="Defocus low", value=4.31, limit=4.0, field="defocus", unit="µm", since=house.time.now - HOUR)
    house.end(house.raise_(text="Import stalled", since=house.time.now - MINUTE), text="It goes on")
    server = receiving()
    webhook(server, shape).send(message(house), {})
    said = "\n".join(texts(server.bodies[0])).replace("\\", "")
    for words in ("Defocus low", "alpha", "for 1 h", "value 4.31 µm, limit 4.00 µm", "Import stalled", "It goes on"):
        assert words in said
    assert "https://watch.example.org/s/alpha/summary" in said


def test_in_slack_no_name_means_anything(receiving: Start, tmp_path: Path) -> None:
    house = House(tmp_path / "data", Time(), name=EVIL.replace("/", "|"))
    house.raise_(text=EVIL)
    server = receiving()
    webhook(server, "slack").send(message(house), {})
    (body,) = server.bodies
    assert "<" not in body["text"]
    marked = [text for text in texts(body) if "Open the session" in text]
    assert [text.partition("|")[2] for text in marked] == ["Open the session>"]
    elsewhere = [text for text in texts(body) if text not in marked]
    for call in ("<!", "@channel", "@here", "<http", "://evil"):
        assert not [text for text in elsewhere if call in text]
    kinds = [block["text"]["type"] for block in body["blocks"] if "text" in block]
    assert set(kinds) == {"plain_text"}
    house.store.close()


def test_in_mattermost_no_name_means_anything(receiving: Start, tmp_path: Path) -> None:
    house = House(tmp_path / "data", Time(), name=EVIL.replace("/", "|"))
    house.raise_(text=EVIL)
    server = receiving()
    webhook(server, "mattermost").send(message(house), {})
    text = server.bodies[0]["text"]
    for call in ("@channel", "@here", "](https://evil", "://evil", "www.evil", " <", " **bold", " `code", "![", "[x]"):
        assert call not in text
    assert "\n[Open the session](https://watch.example.org/s/" in text
    shown = MarkdownIt("commonmark").render(text)
    assert re.findall(r"<(?!/)([^ >]+)", shown.replace("<br />", "")) == ["h4", "p", "strong", "a", "p", "em"]
    assert re.findall(r'href="([^"]*)"', shown) == [message(house).entries[0].url]
    assert "**bold** `code` &lt;img src=x&gt; &amp;lt; ~#!" in shown.replace("\u2060", "")
    house.store.close()


def test_in_teams_what_comes_from_a_project_is_in_text_runs(receiving: Start, tmp_path: Path) -> None:
    house = House(tmp_path / "data", Time(), name=EVIL.replace("/", "|"))
    house.raise_(text=EVIL)
    server = receiving()
    webhook(server, "teams").send(message(house), {})
    (attachment,) = server.bodies[0]["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"

    def check(value: Any) -> None:
        if isinstance(value, list):
            for inside in value:
                check(inside)
        elif isinstance(value, dict):
            assert value["type"] in {"AdaptiveCard", "RichTextBlock", "TextRun", "Container", "Action.OpenUrl"}
            assert ("evil" in json.dumps(value.get("text", ""))) <= (value["type"] == "TextRun")
            for name, inside in value.items():
                if name in ("body", "items", "inlines", "actions", "selectAction"):
                    check(inside)

    check(attachment["content"])
    house.store.close()


@pytest.mark.parametrize("shape", SHAPES)
def test_a_storm_fits_everywhere(receiving: Start, house: House, shape: str) -> None:
    for _ in range(200):
        house.raise_(Severity.CRITICAL, "Ü" * 600)
    server = receiving()
    webhook(server, shape).send(message(house), {})
    (body,) = server.bodies
    if shape == "json":
        assert (len(body["alerts"]), body["more"]) == (30, 170)
    else:
        assert [text for text in texts(body) if "more" in text and text.startswith("and 1")] or "and 1" in body["text"]
        assert len(json.dumps(body)) < (28_000 if shape == "teams" else 50_000)
        assert len(body.get("blocks", ())) <= 50


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (400, MessageRefused, "answers 400: no"),
        (413, MessageRefused, "answers 413"),
        (401, SinkRefused, r"answers 401: no\. Check the address of webhooks\.chat"),
        (404, SinkRefused, "answers 404"),
        (410, SinkRefused, "answers 410"),
        (302, SinkRefused, "redirects, which is not followed"),
        (408, SinkAway, "answers 408"),
        (429, SinkAway, "answers 429"),
        (500, SinkAway, "answers 500"),
        (503, SinkAway, "answers 503"),
    ],
)
def test_what_each_answer_means(receiving: Start, house: House, status: int, kind: type[SinkError], words: str) -> None:
    house.raise_()
    server = receiving(status=status, said="no", headers={"Location": f"https://elsewhere{SECRET}"})
    with pytest.raises(kind, match=rf"^webhook chat \(localhost:\d+\): .*{words}") as raised:
        webhook(server).send(message(house), {})
    assert isinstance(raised.value, MessageRefused) == (kind is MessageRefused)
    assert "GEHEIM" not in str(raised.value)
    assert len(server.bodies) == 1


def test_a_server_says_when_to_come_again(receiving: Start, house: House) -> None:
    house.raise_()
    server = receiving(status=429, headers={"Retry-After": "37"})
    with pytest.raises(SinkAway) as raised:
        webhook(server).send(message(house), {})
    assert raised.value.after == 37
    server.headers = {"Retry-After": format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)}
    with pytest.raises(SinkAway) as raised:
        webhook(server).send(message(house), {})
    assert raised.value.after is not None
    assert 80 < raised.value.after <= 90
    server.headers = {"Retry-After": "soon"}
    with pytest.raises(SinkAway) as raised:
        webhook(server).send(message(house), {})
    assert raised.value.after is None


def test_a_certificate_that_nobody_vouches_for(receiving: Start, house: House, tmp_path: Path) -> None:
    house.raise_()
    context, authority = smtp.server_context(tmp_path / "tls")
    server = receiving(tls=context)
    with pytest.raises(SinkRefused, match=r"certificate cannot be verified.*webhooks\.chat\.ca_file"):
        webhook(server).send(message(house), {})
    assert webhook(server, ca_file=authority).send(message(house), {}) == ""
    with pytest.raises(ConfigError, match="is no readable certificate"):
        webhook(server, ca_file=tmp_path / "none")


def test_a_server_that_is_away_or_hangs(house: House) -> None:
    house.raise_()
    with socket.socket() as hanging:
        hanging.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{hanging.getsockname()[1]}{SECRET}"
        with pytest.raises(SinkAway, match=r"cannot be reached: Connection refused$"):
            Webhook("chat", url).send(message(house), {})
        hanging.listen()
        with pytest.raises(SinkAway, match=r"does not answer in time$"):
            Webhook("chat", url, timeout=httpx2.Timeout(0.1)).send(message(house), {})


def test_the_address_is_shown_nowhere(
    receiving: Start, house: House, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    server = receiving(status=403, said=f"nothing at {SECRET}, T0GEHEIM; key=GEHEIMNIS")
    channel = webhook(server)
    told = notifier(house, channel)
    with caplog.at_level(logging.INFO):
        for status in (403, 500, 302, 200):
            server.status = status
            house.raise_()
            run(told, house.time, 1000)
    assert len(server.bodies) >= 4
    shown = [caplog.text, json.dumps(told.status().shown()), repr(channel.where), *capsys.readouterr()]
    shown += [str(house.store.reader().followers(since=0))]
    assert "answers 403" in caplog.text
    assert not [text for text in shown if "GEHEIM" in text]


@pytest.mark.parametrize(
    "url", ["ftp://host/GEHEIM", "GEHEIM", "https:///GEHEIM", "https://host:GEHEIM/", "http://a b/"]
)
def test_what_is_no_address_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(ConfigError, match=r"webhooks\.chat: is no address") as raised:
        Webhook("chat", url)
    assert "GEHEIM" not in str(raised.value)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_test_says_that_it_is_one(receiving: Start, house: House, shape: str) -> None:
    server = receiving()
    sent = trial(message(house).context, channel="webhook chat", now=house.time.now)
    webhook(server, shape).send(sent, {})
    said = "\n".join(texts(server.bodies[0])).replace("\\", "")
    assert "a test, nothing has happened" in said
    assert "Nothing has happened." in said
