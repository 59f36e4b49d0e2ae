"""What is wrong in the settings of channels is found at the start; `cryowatch alerts test` tries them out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cryowatch import cli
from cryowatch.agent.build.channels import channels
from cryowatch.errors import ConfigError
from cryowatch.settings.config import load
from tests.support import smtp
from tests.support.receiver import Receiver
from tests.support.smtp import MailServer

MAIL = '[mail]\nhost = "mail.example.org"\nsender = "a@example.org"\nto = ["b@example.org"]\n'

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cryowatch.toml"


def mistake(file: Path, text: str) -> str:
    """Return the one line that settings end with."""
    file.write_text(text)
    with pytest.raises(ConfigError) as raised:
        [make() for _, make in channels(load(file, environment={}))]
    line = str(raised.value)
    assert "\n" not in line
    return line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (MAIL.replace('sender = "a@example.org"\n', ""), "mail.sender: is missing, though mail.host is set"),
        (MAIL.replace('to = ["b@example.org"]\n', ""), "mail.to: is missing, though mail.host is set"),
        (MAIL.replace("host", "#"), "mail.host: is missing, though other settings of mail are there"),
        (MAIL.replace("a@ex", "ex"), "mail.sender: it is no mail address; write it like someone@example.org"),
        (MAIL.replace("b@ex", "ex"), "mail.to.0: it is no mail address"),
        (MAIL.replace('["b', '["b@c\\nBcc: d@'), "mail.to.0: it is no mail address"),
        (MAIL + 'username = "me"', "mail.username: the account has no password"),
        (MAIL + 'username = "me"\npassword = "ß"', "holds letters that no mail server takes"),
        (MAIL + 'username = "me"\npassword = "x"\nsecurity = "none"', "a password does not go over an open line"),
        (
            MAIL + 'password_file = "/none"',
            "/none: cannot be read: No such file or directory. It is named as mail.pass",
        ),
        (MAIL + 'ca_file = "/none"', "/none: is no readable certificate: No such file or directory. See mail.ca_file"),
        ("[webhooks.chat]", "webhooks.chat: has no address. Name a file that holds it: url_file"),
        ('[webhooks.chat]\nurl_file = "/none"', "/none: cannot be read: No such file or directory. It is named as web"),
        ('[webhooks.chat]\nurl = "ftp://GEHEIM"', "webhooks.chat: is no address"),
        ('[webhooks.chat]\nurl = ["GEHEIM"]', "webhooks.chat.url: "),
        ('[webhooks]\nchat = "https://GEHEIM"', "webhooks.chat: "),
        ('[webhooks.chat]\nurll = "https://GEHEIM"', "webhooks.chat.urll: is not a setting. Did you mean url?"),
        ('[webhooks."c\\nd"]\nurl = "https://GEHEIM"', "is no name for a webhook"),
        ('[apprise]\nurls_file = "/none"', "/none: cannot be read: No such file or directory. It is apprise.urls_file"),
    ],
)
def test_a_mistake_is_one_line_that_names_the_key(file: Path, text: str, said: str) -> None:
    line = mistake(file, text)
    assert said in line
    assert "GEHEIM" not in line
    assert str(file) in line or "/none" in line


def test_a_password_goes_over_an_open_line_to_this_machine_alone(file: Path) -> None:
    account = 'username = "me"\npassword = "x"\nsecurity = "none"'
    file.write_text(MAIL.replace("mail.example.org", "localhost") + account)
    assert [make().name for _, make in channels(load(file, environment={}))] == ["mail"]


def test_every_channel_has_a_name_and_a_place_without_secrets(file: Path, tmp_path: Path) -> None:
    urls, url = tmp_path / "urls", tmp_path / "url"
    urls.write_text("json://GEHEIM@localhost/GEHEIM\n")
    url.write_text("https://hooks.example.org/GEHEIM\n")
    file.write_text(
        f'{MAIL}username = "me"\npassword = "GEHEIM"\n[webhooks.a]\nurl_file = "{url}"\n'
        f'[webhooks.b]\nurl = "http://other.example.org:8080/GEHEIM"\n[apprise]\nurls_file = "{urls}"'
    )
    made = [make() for _, make in channels(load(file, environment={}))]
    assert [(channel.name, channel.where) for channel in made] == [
        ("mail", "mail through mail.example.org:587"),
        ("webhook a", "webhook a (hooks.example.org)"),
        ("webhook b", "webhook b (other.example.org:8080)"),
        ("apprise json", "apprise json"),
    ]


def tried(file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    monkeypatch.setattr("sys.argv", ["cryowatch", "alerts", "test", "--config", str(file)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    printed = capsys.readouterr()
    assert "GEHEIM" not in printed.out + printed.err
    return int(ended.value.code or 0), printed.out


def test_a_test_goes_through_every_channel_and_says_what_came_back(
    file: Path,
    tmp_path: Path,
    serving: Callable[..., MailServer],
    receiving: Callable[..., Receiver],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    context, authority = smtp.server_context(tmp_path / "tls")
    server, chat = serving(starttls=context), receiving()
    file.write_text(
        f'[mail]\nhost = "localhost"\nport = {server.port}\nca_file = "{authority}"\nsender = "a@example.org"\n'
        f'to = ["b@example.org", "c@example.org"]\n[webhooks.chat]\nurl = "{chat.url}/GEHEIM"\n'
    )
    code, out = tried(file, monkeypatch, capsys)
    assert code == 0
    assert out.splitlines() == [
        f"taken   mail through localhost:{server.port}",
        f"taken   webhook chat (localhost:{chat.port})",
    ]
    assert server.answers.taken[0]["Subject"] == "cryowatch: a test, nothing has happened"
    assert chat.bodies[0]["test"] is True

    chat.status = 404
    server.answers.to = lambda address: "550 nobody here" if address.startswith("c@") else ""
    code, out = tried(file, monkeypatch, capsys)
    assert code == 1
    assert "partly  mail through" in out
    assert "failed  webhook chat" in out
    assert "answers 404" in out


def test_where_nobody_is_told_it_says_how(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("")
    code, out = tried(file, monkeypatch, capsys)
    assert code == 1
    assert "mail.host" in out
    assert str(file) in out
