"""A facility's command gets each report without a shell, whatever projects are called, and its failures are shown."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from cryowatch.errors import SinkAway, SinkRefused
from cryowatch.report.after import Command
from cryowatch.settings.config import Report
from cryowatch.settings.placeholders import filled

SHOW = "import json, os, sys; print(json.dumps([sys.argv[1:], dict(os.environ), os.getcwd()]), file=open(OUT, 'w'))"


def command(*arguments: str, timeout: float = 10.0, **environment: str) -> Command:
    return Command(arguments=arguments, timeout=timeout, environment={**os.environ, **environment})


def test_places_are_filled_in_and_passwords_kept_back(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    report = tmp_path / "a folder; rm -rf" / "index.html"
    script = SHOW.replace("OUT", repr(str(out)))
    words = ["{folder}/", "web:reports/{session}/", "{file}", "$HOME; `id`", "{session}{session}", "${HOME} { a; } {}"]
    found = command(sys.executable, "-c", script, *words, CRYOWATCH_INFLUX__PASSWORD="secret", SSH_AUTH_SOCK="/agent")
    found.run(report, "demo-1")
    [arguments, environment, place] = json.loads(out.read_text())
    assert arguments == [
        f"{report.parent}/",
        "web:reports/demo-1/",
        str(report),
        "$HOME; `id`",
        "demo-1demo-1",
        words[-1],
    ]
    assert environment["SSH_AUTH_SOCK"] == "/agent"
    assert "CRYOWATCH_INFLUX__PASSWORD" not in environment
    assert place == "/"


@pytest.mark.parametrize("key", ["-e sh", "--rsh=sh", "../other", "a b", "a;b", "a\nb", "", ".", "é"])
def test_a_key_that_is_no_plain_name_is_never_given_to_a_command(tmp_path: Path, key: str) -> None:
    with pytest.raises(SinkRefused, match="is not plain"):
        command("touch", str(tmp_path / "{session}")).run(tmp_path / "index.html", key)
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.text()), st.text(), st.text())
def test_a_value_stays_in_its_argument_and_is_never_filled_in_again(words: list[str], one: str, other: str) -> None:
    plain = [word.replace("{", "") for word in words]
    values = {"file": f"{{session}}{one}", "folder": other, "session": "{file}"}
    result = filled([*plain, "{file}", "a{folder}b{session}"], values)
    assert result == [*plain, values["file"], f"a{other}b{{file}}"]


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ("rsync -a {folder}", "no shell reads it: write a list"),
        (["{session}", "-a"], "it must begin with a program"),
        (["./publish.sh"], "a name to look up, or a whole path"),
        ([""], "it must begin with a program"),
        (["rsync", "{project}"], r"there is no \{project\} to fill in"),
        (["rsync", 3], "write a list of texts"),
        (["rsync", "a\0b"], "null"),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused(said: object, problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        Report.model_validate({"command": said})


def test_checking_the_settings_runs_nothing(tmp_path: Path) -> None:
    Report.model_validate({"minutes": 5, "command": ["/usr/bin/touch", str(tmp_path / "made")]})
    assert list(tmp_path.iterdir()) == []


def test_a_failure_says_how_it_ended_and_its_last_words(tmp_path: Path) -> None:
    script = "import sys; print('connecting'); print('web: no route to host', file=sys.stderr); sys.exit(23)"
    with pytest.raises(SinkAway) as raised:
        command(sys.executable, "-c", script).run(tmp_path / "index.html", "demo")
    assert str(raised.value) == f"report of demo: {sys.executable}: ended with 23: web: no route to host"


def test_a_program_that_is_not_there_needs_a_person(tmp_path: Path) -> None:
    with pytest.raises(SinkRefused, match=r"cannot be run: No such file or directory\. See report\.command"):
        command("no-such-program-anywhere").run(tmp_path / "index.html", "demo")


def test_a_command_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    child = tmp_path / "child"
    script = f"sleep 600 & echo $! > {child}; wait"
    began = time.monotonic()
    with pytest.raises(SinkAway, match=r"took longer than 0\.5 s and was ended"):
        command("/bin/sh", "-c", script, timeout=0.5).run(tmp_path / "index.html", "demo")
    assert time.monotonic() - began < 60
    state = Path(f"/proc/{child.read_text().strip()}/stat")
    assert not state.exists() or state.read_text().split(") ")[1][0] in "ZX"


def test_a_command_ends_soon_with_cryowatch(tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(0.2, stop.set).start()
    began = time.monotonic()
    with pytest.raises(SinkAway, match="was ended with cryowatch"):
        command("/bin/sleep", "600").run(tmp_path / "index.html", "demo", ended=stop.is_set)
    assert time.monotonic() - began < 60


def test_much_that_is_printed_hangs_nobody(tmp_path: Path) -> None:
    script = "import sys; sys.stdout.write('x' * 5_000_000 + '\\nthe end'); sys.exit(1)"
    with pytest.raises(SinkAway, match="ended with 1: the end"):
        command(sys.executable, "-c", script).run(tmp_path / "index.html", "demo")
