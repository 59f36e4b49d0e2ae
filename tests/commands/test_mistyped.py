"""Every command, typed wrong in every way: one clear line, exit code 2, and nothing is made."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
import typer

from cryowatch import cli
from cryowatch.store import Store

Said = tuple[object, str, str]


def commands(group: Any = None, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every command of the command line, with the words that lead to it."""
    known: Any = group or typer.main.get_command(cli.app)
    for name, command in known.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*words, name))
        else:
            yield (*words, name), command


COMMANDS = dict(commands())


def every(wanted: Callable[[Any], bool] = lambda _: True) -> pytest.MarkDecorator:
    """Return what has a test tried with each command that is wanted."""
    chosen = [words for words, command in COMMANDS.items() if wanted(command)]
    return pytest.mark.parametrize("words", chosen, ids=" ".join)


def measured(command: Any) -> list[str]:
    """Return a command's options that take a number or a choice, and have one from the start or a least one."""
    return [
        one.opts[0]
        for one in command.params
        if one.param_type_name == "option"
        and not isinstance(one.default, bool)
        and (isinstance(one.default, int | float | Enum) or getattr(one, "min", None) is not None)
    ]


NEEDED = {"PATH…": "folder", "SESSION": "x", "FILE": "copy.sqlite", "NAME": "ada", "ID": "1", "role": "viewer"}
OPTIONS = {"out": "made", "name": "a.example.org", "format_": "csv"}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """Return what runs a command in a folder that holds a file, a folder and settings with an unknown key."""
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "unknown.toml").write_text('[web]\nlisen = "127.0.0.1:1"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("EMFACILITIES_HOME", "GRAFANA_TOKEN", "INFLUX_ADMIN_PASSWORD", "SUDO_USER"):
        monkeypatch.delenv(name, raising=False)

    def command(*arguments: str) -> Said:
        monkeypatch.setattr("sys.argv", ["cryowatch", *arguments])
        monkeypatch.setattr("sys.stdin", io.StringIO())
        before = sorted(tmp_path.glob("[!.]*"))
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert sorted(tmp_path.glob("[!.]*")) == before
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return command


def refused(said: Said, pattern: str) -> None:
    """Assert that a command said one line that tells what, and ended with 2."""
    code, out, err = said
    assert (code, out, err.count("\n")) == (2, "", 1), said
    assert re.search(pattern, err), err


def right(words: tuple[str, ...]) -> list[str]:
    """Return a command with everything that it needs."""
    typed = list(words)
    for parameter in COMMANDS[words].params:
        if parameter.required and parameter.param_type_name == "argument":
            typed.append(NEEDED[str(parameter.metavar or parameter.name)])
        elif parameter.required:
            typed += [parameter.opts[0], OPTIONS.get(str(parameter.name), "csv")]
    return typed


@every()
def test_an_unknown_option_is_named_with_where_help_is(run: Any, words: tuple[str, ...]) -> None:
    name = " ".join(("cryowatch", *words))
    refused(
        run(*right(words), "--no-such-option"), f"^{name}: no such option: --no-such-option.* `{name} --help` tells"
    )


@every(lambda command: any(one.required for one in command.params))
def test_what_is_missing_is_named(run: Any, words: tuple[str, ...]) -> None:
    refused(run(*words), "missing (argument|option) ")


@every(lambda command: all(one.nargs == 1 for one in command.params))
def test_a_word_too_many_is_named(run: Any, words: tuple[str, ...]) -> None:
    optional = [one for one in COMMANDS[words].params if one.param_type_name == "argument" and not one.required]
    refused(run(*right(words), *("file" for _ in optional), "too-many"), r"unexpected extra argument.*too-many")


@every(lambda command: bool(measured(command)))
def test_numbers_and_choices_of_the_wrong_kind_are_named(run: Any, words: tuple[str, ...]) -> None:
    for option in measured(COMMANDS[words]):
        refused(run(*right(words), option, "wrong"), f"invalid value for '{option}'")


@every(lambda command: any("--config" in one.opts for one in command.params))
@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("gone.toml", "gone.toml: there is no such file"),
        ("folder", "folder: cannot be read: Is a directory. It is a folder; name a file"),
        ("unknown.toml", "web.lisen: is not a setting. Did you mean listen?"),
        ("bytes.toml", "bytes.toml: "),
    ],
)
def test_settings_that_cannot_be_read_are_named(run: Any, words: tuple[str, ...], file: str, text: str) -> None:
    refused(run(*right(words), "--config", file), text)


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("export x --format xml", "invalid value for '--format': 'xml' is not one of 'csv', 'json'"),
        ("accounts role ada king", "invalid value for 'role': 'king' is not one of"),
        ("exprt x", r"no such command 'exprt'. Did you mean 'export', 'report'\? `cryowatch --help` tells more$"),
        ("grafana pusj", "^cryowatch grafana: no such command 'pusj'.*push"),
        ("watch gone", "gone: is not there. Was it moved"),
        ("watch folder --secrets gone", "gone: there is no such file. Check --secrets"),
        ("watch folder --secrets folder", "folder: is a folder. Check --secrets"),
        ("report x --out folder", "folder: is a folder. Name a file"),
        ("report x --out gone/x.html", "gone: there is no such folder. Make it"),
        ("backup folder", "folder: is a folder. Name the file"),
        ("backup gone/x", "gone/x: cannot be written: No such file or directory. Check the path"),
        ("backup file/x", "file/x: cannot be written: Not a directory. A part of the path is a file"),
        ("accounts add ada --password-file gone", "gone: cannot be read: No such file or directory. Check the path"),
        ("accounts add ada --password-file folder", "folder: cannot be read: .*It is a folder; name a file"),
        ("grafana push --token-file gone", "gone: cannot be read: No such file or directory. Check the path"),
        ("grafana push --token-file folder", "folder: cannot be read: Is a directory. It is a folder; name a file"),
        ("grafana push", "--token-file: is missing. Or set"),
        ("grafana export --out file", "file/summary.json: cannot be written: .*A part of the path is a file"),
        ("tls create --out file --name a", "file: is there already, and nothing is overwritten. Give another --out"),
        ("influx init --url nonsense", "--url: is not a server's address. Write https://HOST:8086"),
        ("influx init --retention never", "'never': is not a duration. Write it like 12w"),
        ("secrets check gone", "gone: there is no such file. Check --secrets"),
        ("service install --run-as no-such-account-here folder", "no-such-account-here: there is no such account"),
    ],
)
def test_a_path_or_a_value_that_cannot_be_is_named(run: Any, tmp_path: Path, typed: str, text: str) -> None:
    Store(tmp_path / ".local/share/cryowatch").close()
    refused(run(*typed.split()), text)
