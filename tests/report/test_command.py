"""`cryowatch report` and `[report]` as somebody uses them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cryowatch.report import file
from tests.report.making import soon
from tests.support.projects import genuine


class Shell:
    """Runs cryowatch with a home of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kept = {name: value for name, value in os.environ.items() if not name.startswith("CRYOWATCH_")}
        self.environment = {**kept, "HOME": str(folder)}

    def command(self, *arguments: str | Path) -> list[str]:
        return [sys.executable, "-m", "cryowatch", *map(str, arguments), "--data-dir", str(self.folder / "data")]

    def __call__(self, *arguments: str | Path) -> tuple[int, str]:
        """Return the exit code and standard error."""
        ended = subprocess.run(
            self.command(*arguments), env=self.environment, capture_output=True, encoding="utf-8", check=False
        )
        return ended.returncode, ended.stderr


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)


def test_a_report_says_what_it_holds_and_refuses_what_is_wrong(shell: Shell) -> None:
    assert shell("watch", "--once", genuine(shell.folder))[0] == 0
    out = shell.folder / "small.html"
    code, said = shell("report", "small", "--out", out)
    assert code == 0
    assert re.match(rf"{out}: \d\.\d MB, 8 micrographs, 0 with images\n", said)
    assert "The images of 8 micrographs could not be rendered: the file is not there." in said
    assert file.is_report(out)
    out.write_text("my thesis")
    assert shell("report", "small", "--out", out) == (
        2,
        f"cryowatch: {out}: is there, and no report of cryowatch. Use --force to replace it\n",
    )
    code, said = shell("report", "small", "--out", out, "--force", "--size-mb", "1")
    assert (code, out.read_text()) == (2, "my thesis")
    assert "Use a larger --size-mb" in said
    assert shell("report", "smal", "--out", shell.folder / "other.html") == (
        2,
        "cryowatch: there is no session smal. Known: small\n",
    )


def test_live_sessions_are_reported_while_watched(shell: Shell) -> None:
    project = genuine(shell.folder)
    config = shell.folder / "cryowatch.toml"
    script = 'cp "$1" "$2/$3.html"'
    config.write_text(
        f"""
[report]
minutes = 0.01
folder = "{shell.folder}/reports"
command = ["/bin/sh", "-c", '{script}', "publish", "{{file}}", "{shell.folder}", "{{session}}"]
"""
    )
    process = subprocess.Popen(
        shell.command("watch", project, "--no-web", "--config", config),
        env=shell.environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        published = shell.folder / "small.html"
        soon(lambda: published.exists() and file.is_report(published), 20)
        assert file.is_report(shell.folder / "reports" / "small" / "index.html")
    finally:
        process.terminate()
        assert process.wait(60) == 0
