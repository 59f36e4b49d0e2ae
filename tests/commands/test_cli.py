"""The command line as people and scripts meet it: real processes, exit codes, and one clear line for what is wrong."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import cryowatch
from cryowatch.demo.project import Run, SetFile, local, write_objects
from cryowatch.store.export import export

STARTED = 1_790_000_000.0
SET = "Runs/000135_CistemProtCTFFind/ctfs.sqlite"
COMMAND = [sys.executable, "-m", "cryowatch"]
NAMES = ["a b.mrc", "'one' \"two\", three.mrc", "<b>&amp;</b>.mrc", "😀 é.mrc", "x" * 200]


class Shell:
    """Runs cryowatch in a folder of its own: its home, its settings and its data are all below it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.environment = {
            "PATH": os.environ.get("PATH", ""),
            "HOME": str(folder / "home"),
            "LANG": "C.UTF-8",
            "CRYOWATCH_DATA_DIR": str(self.data),
        }
        for name in ("CONFIG", "DATA", "CACHE", "STATE"):
            self.environment[f"XDG_{name}_HOME"] = str(folder / "home" / name.lower())
        self.opened = ExitStack()

    def run(self, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        """Return what a command said in the end."""
        return subprocess.run(
            [*COMMAND, *(str(argument) for argument in arguments)],
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=30,
        )

    def line(self, *arguments: object, code: int, **environment: str) -> str:
        """Return the one line on standard error with which a command ends, and that with this code."""
        ended = self.run(*arguments, **environment)
        assert ended.returncode == code, ended.stderr
        assert ended.stdout == ""
        assert ended.stderr.endswith("\n")
        assert ended.stderr.count("\n") == 1, ended.stderr
        return ended.stderr.removesuffix("\n")

    def watch(self, *arguments: object) -> subprocess.Popen[str]:
        """Return a watch that has begun; it ends with the test."""
        process = self.opened.enter_context(
            subprocess.Popen(
                [*COMMAND, "watch", *(str(argument) for argument in arguments)],
                cwd=self.folder,
                env=self.environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
            )
        )
        self.opened.callback(process.kill)
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if "Ctrl+C" in line:
                return process
        raise AssertionError("".join(said))

    def export(self, session: str, kind: str = "micrographs") -> str:
        """Return what `export` prints, without a process of its own."""
        out = io.StringIO()
        export(self.data, session, kind=kind, as_json=False, raw=True, out=out)
        return out.getvalue()


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    opened = Shell(tmp_path)
    with opened.opened:
        yield opened


def project(
    folder: Path, names: Sequence[str] = ("1.mrc", "2.mrc", "3.mrc"), *, status: str = "finished", **values: Any
) -> Path:
    """Write a project of one run, whose CTFs have these names; its images are nowhere."""
    folder.mkdir(parents=True)
    run = Run(folder, 135, "CistemProtCTFFind", "ctffind 4", parameters=values)
    run.status, run.started, run.ended = status, local(STARTED), local(STARTED + 60)
    run.output = "outputCTF"
    run.set = SetFile(folder, SET, "SetOfCTF", {})
    run.set.append([(number, STARTED + number, item(number, name)) for number, name in enumerate(names, 1)])
    run.set.close_stream()
    run.store()
    write_objects(folder / "project.sqlite", [(1, None, "CreationTime", "String", local(STARTED), ""), *run.objects()])
    return folder


def item(number: int, name: str) -> Mapping[str, Any]:
    """Return the values of an estimate; that of an even number has no resolution."""
    return {
        "_micObj._micName": name,
        "_micObj._filename": f"Runs/000067_ProtMotionCorr/extra/{number}.mrc",
        "_defocusU": 15_000.0 + number,
        "_defocusV": 14_800.0,
        "_defocusAngle": 45.0,
        "_resolution": 3.5 if number % 2 else None,
    }


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text, newline=""), strict=True))


def test_help_lists_the_commands_and_version_the_version(shell: Shell) -> None:
    ended = shell.run("--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    listed = re.findall(r"^\W*([a-z]+) ", ended.stdout, flags=re.MULTILINE)
    assert set(listed) >= {"watch", "demo", "status", "export"}
    assert shell.run("--version").stdout == f"cryowatch {cryowatch.__version__}\n"
    assert not (shell.folder / "home").exists()


def test_help_waits_for_no_heavy_module(shell: Shell) -> None:
    code = """
import sys
sys.argv = ["cryowatch", "--help"]
from cryowatch.cli import main
try:
    main()
finally:
    heavy = {"numpy", "uvicorn", "starlette", "PIL", "mrcfile", "pydantic", "psutil", "sqlite3", "orjson"}
    print("heavy:", sorted(heavy & set(sys.modules)), file=sys.stderr)
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], env=shell.environment, capture_output=True, encoding="utf-8", check=True
    )
    assert ended.stderr == "heavy: []\n"


def test_a_path_that_gives_nothing_is_one_line_with_what_to_do(shell: Shell) -> None:
    (shell.folder / "file").touch()
    (shell.folder / "empty").mkdir()
    where = shell.folder
    gone = f"{where}/nope: is not there. Was it moved, deleted or not mounted?"
    file = f"{where}/file: is a file. Give the project's folder, or the one above it"
    empty = f"{where}/empty: no Scipion project is there. Give a folder that holds project.sqlite, or one above"
    assert shell.line("watch", "--once", "file", code=1) == file
    assert shell.line("watch", "--once", "empty", code=1) == empty
    assert shell.line("watch", "nope", code=2) == f"cryowatch: {gone}"
    assert shell.line("watch", "--once", "~no-such-user-here/x", code=2).startswith("cryowatch: ~no-such-user-here/x: ")


def test_one_bad_path_does_not_hide_the_good_one(shell: Shell) -> None:
    project(shell.folder / "projects" / "alpha")
    ended = shell.run("watch", "--once", "nope", "projects")
    problem, summary = ended.stderr.splitlines()
    assert ended.returncode == 1
    assert problem == f"{shell.folder}/nope: is not there. Was it moved, deleted or not mounted?"
    assert summary.startswith("1 project, 3 items, ")
    assert len(rows(shell.export("alpha"))) == 3


AS_NOBODY = """
import os, sys
import _strptime, rich.progress, rich.table
from cryowatch import cli
from cryowatch.agent import run
from cryowatch.settings import secrets
from cryowatch.store import export, status
os.setgroups([]); os.setgid(65534); os.setuid(65534)
cli.main()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_what_this_user_may_not_read_or_write_is_one_line() -> None:
    with tempfile.TemporaryDirectory(prefix="cryowatch-test-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        project(folder / "projects" / "fine")
        project(folder / "projects" / "locked").chmod(0o700)
        (folder / "kept").mkdir()
        (folder / "kept").chmod(0o700)
        (folder / "data").mkdir()
        (folder / "data").chmod(0o777)
        shell = Shell(folder)

        def nobody(*arguments: str, data: str = "data") -> tuple[int, list[str]]:
            ended = subprocess.run(
                [sys.executable, "-c", AS_NOBODY, *arguments, "--data-dir", str(folder / data)],
                env=shell.environment,
                capture_output=True,
                encoding="utf-8",
                check=False,
            )
            return ended.returncode, ended.stderr.splitlines()

        locked = folder / "projects" / "locked"
        text = f"{locked}: this user may not read it. Run cryowatch as a user in the project's group"
        assert nobody("watch", "--once", str(locked)) == (1, [text])
        assert nobody("watch", str(locked)) == (2, [f"cryowatch: {text}"])
        code, lines = nobody("watch", "--once", str(folder / "projects"))
        assert (code, lines[0], len(lines)) == (1, text, 2)
        assert lines[1].startswith("1 project, 3 items, ")
        refused = "Permission denied. Choose another --data-dir"
        code, lines = nobody("watch", "--once", str(folder / "projects"), data="kept/data")
        assert (code, lines) == (2, [f"cryowatch: {folder}/kept/data: cannot be made: {refused}"])
        code, lines = nobody("watch", "--once", str(folder / "projects"), data="kept")
        assert (code, lines) == (2, [f"cryowatch: {folder}/kept/cryowatch.lock: cannot be written: {refused}"])
        code, lines = nobody("status", data="kept")
        assert (code, len(lines)) == (2, 1)
        assert lines[0].startswith(f"cryowatch: {folder}/kept: this user may not read it. ")


def test_reading_once_and_again_gives_the_same(shell: Shell) -> None:
    project(shell.folder / "alpha")
    exports = []
    for _ in range(2):
        ended = shell.run("watch", "--once", "alpha")
        assert (ended.returncode, ended.stdout) == (0, "")
        assert re.fullmatch(r"1 project, 3 items, \d+\.\d s\n", ended.stderr)
        exports.append([shell.export("alpha", kind) for kind in ("micrographs", "runs")])
    assert exports[0] == exports[1]
    assert not list(shell.folder.glob("alpha/**/*-journal"))


def test_projects_of_one_name_are_two_sessions(shell: Shell) -> None:
    project(shell.folder / "a" / "same")
    project(shell.folder / "b" / "same", ["1.mrc"])
    assert "2 projects, 4 items, " in shell.run("watch", "--once", "a", "b").stderr
    known = json.loads(shell.run("status", "--json").stdout)["sessions"]
    assert sorted((one["name"], one["ctf"]) for one in known) == [("same", 1), ("same", 3)]
    assert len({one["session"] for one in known}) == 2


def test_an_empty_project_and_one_whose_set_is_empty_are_fine(shell: Shell) -> None:
    project(shell.folder / "projects" / "no-items", [])
    empty = shell.folder / "projects" / "no-runs"
    empty.mkdir()
    write_objects(empty / "project.sqlite", [(1, None, "CreationTime", "String", local(STARTED), "")])
    ended = shell.run("watch", "--once", "projects")
    assert (ended.returncode, ended.stderr[:20]) == (0, "2 projects, 0 items,")
    assert shell.export("no-runs").count("\n") == 1
    assert json.loads(shell.run("export", "no-items", "--format", "json").stdout) == []
    known = json.loads(shell.run("status", "--json").stdout)["sessions"]
    assert {one["name"]: one["status"] for one in known} == {"no-items": "finished", "no-runs": "empty"}


def test_damaged_sets_are_named_and_what_was_stored_stays(shell: Shell) -> None:
    """In turn: cut short, without tables, overwritten, gone; beside it stands a project that is whole."""
    names = [f"{number:04d}.mrc" for number in range(2_000)]
    file = project(shell.folder / "projects" / "alpha", names) / SET
    project(shell.folder / "projects" / "beta")
    assert shell.run("watch", "--once", "projects").returncode == 0
    before = shell.export("alpha")
    assert len(rows(before)) == 2_000
    whole = file.read_bytes()
    damages: dict[str, bytes | None] = {
        "is damaged or cut short": whole[: len(whole) // 2],
        "holds no tables": b"",
        "is not a database": b"\0" * 5_000,
        "is not there": None,
    }
    for what, content in damages.items():
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        ended = shell.run("watch", "--once", "projects")
        problem, summary = ended.stderr.splitlines()
        assert ended.returncode == 1
        assert problem.startswith(f"{shell.folder}/projects/alpha: {SET}: {what}. ")
        assert summary.startswith("2 projects, 2,003 items, ")
        assert shell.export("alpha") == before
    ended = shell.run("status")
    assert ended.returncode == 1
    (line,) = [line for line in ended.stdout.splitlines() if line.startswith("alpha ")]
    assert f"{SET}: is not there" in line
    file.write_bytes(whole)
    assert shell.run("watch", "--once", "projects").returncode == 0
    assert shell.run("status").returncode == 0


def test_other_sets_and_projects_are_read_beside_a_damaged_one(shell: Shell) -> None:
    folder = project(shell.folder / "projects" / "alpha")
    project(shell.folder / "projects" / "beta")
    (folder / SET).write_bytes((folder / SET).read_bytes()[:5_000])
    (project(shell.folder / "projects" / "gamma") / "project.sqlite").write_text("no database")
    ended = shell.run("watch", "--once", "projects")
    assert ended.returncode == 1
    first, second, summary = ended.stderr.splitlines()
    assert first.startswith(f"{folder}: {SET}: is damaged or cut short. ")
    assert second.startswith(f"{shell.folder}/projects/gamma/project.sqlite: is not a database. ")
    assert summary.startswith("3 projects, 3 items, ")
    assert len(rows(shell.export("beta"))) == 3


def test_names_of_any_kind_survive(shell: Shell) -> None:
    name = "a 'b' \"c\" <i> 😀 :bug: [red]"
    folder = project(shell.folder / name, NAMES)
    assert shell.run("watch", "--once", folder).returncode == 0
    printed = shell.run("export", folder, "--format", "csv")
    assert (printed.returncode, printed.stderr) == (0, "")
    assert [row["name"] for row in rows(printed.stdout)] == NAMES
    latin = shell.run("export", folder, "--format", "json", PYTHONIOENCODING="latin-1")
    assert [row["name"] for row in json.loads(latin.stdout)] == NAMES
    assert name in shell.run("status", PYTHONIOENCODING="ascii").stdout


def test_names_in_messages_stand_as_they_are(shell: Shell) -> None:
    (shell.folder / ":bug: [red] a\nb").mkdir()
    assert f"{shell.folder}/:bug: [red] a\\nb: " in shell.line("watch", "--once", ":bug: [red] a\nb", code=1)


def test_a_folder_given_from_inside_is_called_by_its_name(shell: Shell) -> None:
    folder = project(shell.folder / "alpha")
    shell.folder = folder / "Runs"
    assert shell.run("watch", "--once", "..").returncode == 0
    shell.folder = folder
    assert shell.run("watch", "--once", ".").returncode == 0
    known = json.loads(shell.run("status", "--json").stdout)["sessions"]
    assert [(one["session"], one["path"]) for one in known] == [("alpha", str(folder))]


def test_exported_values_are_those_of_the_project(shell: Shell) -> None:
    project(shell.folder / "alpha", ["=cmd()", "2.mrc"])
    shell.run("watch", "--once", "alpha")
    first, second = rows(shell.export("alpha"))
    assert (first["name"], second["name"]) == ("'=cmd()", "2.mrc")
    assert (first["resolution"], second["resolution"], second["phase_shift"]) == ("3.5", "", "")
    assert (float(first["defocus_u"]), float(first["defocus"]), first["enabled"]) == (15_001.0, 14_900.5, "true")
    assert int(second["time"]) == int(STARTED + 2) * 10**9
    plain = json.loads(shell.run("export", "alpha", "--format", "json").stdout)
    assert (plain[0]["name"], plain[1]["resolution"], plain[1]["item"]) == ("=cmd()", None, 2)


def test_what_is_asked_of_nothing_is_one_line(shell: Shell) -> None:
    assert shell.line("status", code=2) == (
        f"cryowatch: {shell.data}: nothing has been watched with this data directory yet."
        " Check --data-dir, or run cryowatch watch first"
    )
    assert not shell.data.exists()
    project(shell.folder / "alpha")
    shell.run("watch", "--once", "alpha")
    expected = "cryowatch: there is no session beta. Known: alpha"
    assert shell.line("export", "beta", "--format", "json", code=2) == expected
    assert shell.line("export", b"b\xff".decode(errors="surrogateescape"), "--format", "json", code=2) == (
        "cryowatch: there is no session b\\udcff. Known: alpha"
    )


def test_a_reader_that_has_had_enough_is_no_error(shell: Shell) -> None:
    """An export that fills the pipe, and others that are only written at their end."""
    project(shell.folder / "alpha", [f"{number}.mrc" for number in range(5_000)])
    shell.run("watch", "--once", "alpha")
    for command in (
        "export alpha --format csv | head -1",
        "export alpha --format json --kind runs | true",
        "status | true",
        "status --json | true",
    ):
        ended = subprocess.run(
            ["/bin/sh", "-c", f"{' '.join(COMMAND)} {command}"],
            env=shell.environment,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        assert ended.stdout.count("\n") == ("head" in command)


def test_status_says_what_needs_a_person(shell: Shell) -> None:
    project(shell.folder / "projects" / "alpha")
    shell.run("watch", "--once", "projects")
    ended = shell.run("status")
    assert (ended.returncode, ended.stderr) == (0, "")
    heading, line = ended.stdout.splitlines()
    assert heading.split()[:2] == ["Session", "Status"]
    assert line.split()[:5] == ["alpha", "finished", "0", "0", "3"]
    project(shell.folder / "projects" / "beta", status="failed")
    shell.run("watch", "--once", "projects")
    ended = shell.run("status", "--json")
    found = json.loads(ended.stdout)
    assert (ended.returncode, found["healthy"]) == (1, False)
    needs = {one["session"]: one["needs"] for one in found["sessions"]}
    assert needs == {"alpha": [], "beta": ["run 135 (ctffind 4) failed"]}
    assert "run 135 (ctffind 4) failed" in shell.run("status").stdout


def test_settings_that_are_wrong_are_one_line(shell: Shell) -> None:
    project(shell.folder / "alpha")
    file = shell.folder / "cryowatch.toml"
    file.write_text("[web]\nlisen = '127.0.0.1:1'\n")
    assert shell.line("watch", "--once", "alpha", "--config", file, code=2) == (
        f"cryowatch: {file}: web.lisen: is not a setting. Did you mean listen?"
    )
    assert shell.line("status", code=2, CRYOWATCH_CONFIG=str(shell.folder / "nope.toml")).startswith(
        f"cryowatch: {shell.folder}/nope.toml: there is no such file. "
    )
    assert shell.line("status", code=2, CRYOWATCH_SCIPION__INTERVALL="1").startswith(
        "cryowatch: CRYOWATCH_SCIPION__INTERVALL: is not a setting. "
    )


def test_the_option_wins_over_the_environment(shell: Shell) -> None:
    project(shell.folder / "alpha")
    assert shell.run("watch", "--once", "alpha", "--data-dir", "other").returncode == 0
    assert not shell.data.exists()
    assert json.loads(shell.run("status", "--json", "--data-dir", "other").stdout)["sessions"]


def test_a_data_directory_that_cannot_be_is_one_line(shell: Shell) -> None:
    project(shell.folder / "alpha")
    (shell.folder / "file").touch()
    assert shell.line("watch", "--once", "alpha", "--data-dir", "file", code=2) == (
        f"cryowatch: {shell.folder}/file: cannot be made: File exists. Choose another --data-dir"
    )
    assert shell.line("watch", "alpha", "--no-web", "--data-dir", "file/below", code=2) == (
        f"cryowatch: {shell.folder}/file/below: cannot be made: Not a directory. Choose another --data-dir"
    )


def test_pages_that_cannot_be_served_are_one_line(shell: Shell) -> None:
    project(shell.folder / "alpha")
    assert shell.line("watch", "alpha", "--listen", "8420", code=2) == (
        "cryowatch: 8420: is not an address and port. Write 127.0.0.1:8420"
    )
    assert shell.line("watch", "alpha", "--insecure", "--listen", "no.such.host.invalid:8420", code=2).startswith(
        "cryowatch: no.such.host.invalid:8420: cannot listen there: "
    )
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        assert shell.line("watch", "alpha", "--listen", address, code=2) == (
            f"cryowatch: {address}: cannot listen there: Address already in use. Choose another port with --listen"
        )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("options", [["--listen", "127.0.0.1:0"], ["--no-web"]])
def test_a_watch_ends_in_order_when_told_to(shell: Shell, number: signal.Signals, options: list[str]) -> None:
    project(shell.folder / "alpha")
    process = shell.watch("alpha", *options)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in said) == (0, False)
    assert not list(shell.data.glob("*.sqlite-wal")), "the store was closed"


def test_a_second_watch_on_the_same_data_is_refused_and_reading_is_not(shell: Shell) -> None:
    project(shell.folder / "alpha")
    process = shell.watch("alpha", "--no-web")
    refused = shell.line("watch", "--once", "alpha", code=2)
    assert refused == (
        f"cryowatch: {shell.data}: another cryowatch (process {process.pid}) works with this data directory."
        " Stop it, or give this one its own --data-dir"
    )
    assert shell.run("status").returncode == 0
    process.kill()
    process.wait()
    assert shell.run("watch", "--once", "alpha").returncode == 0, "a killed one leaves no lock"


def test_a_watch_of_an_empty_folder_waits_for_projects(shell: Shell) -> None:
    (shell.folder / "projects").mkdir()
    process = shell.watch("projects", "--no-web")
    assert process.poll() is None
    process.terminate()
    assert process.wait(60) == 0


def test_a_project_copied_without_its_images_is_read_whole(shell: Shell) -> None:
    folder = project(shell.folder / "alpha")
    shutil.rmtree(folder / "Runs/000135_CistemProtCTFFind/extra")
    ended = shell.run("watch", "--once", "alpha")
    assert (ended.returncode, ended.stderr[:19]) == (0, "1 project, 3 items,")
    assert rows(shell.export("alpha"))[0]["micrograph_path"] == "Runs/000067_ProtMotionCorr/extra/1.mrc"
