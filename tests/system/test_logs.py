"""The log: one line a record, in UTC; rotated by its size or by somebody else; nothing in it can be forged."""

from __future__ import annotations

import io
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from cryowatch.errors import ConfigError
from cryowatch.system import logs

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ [\w.]+: .+")


@pytest.fixture(autouse=True)
def root() -> Iterator[None]:
    """Leave the loggers as they were."""
    logger, ours = logging.getLogger(), logging.getLogger("cryowatch")
    handlers, level, our_level = logger.handlers[:], logger.level, ours.level
    yield
    for name in logs.SPARED:
        logging.getLogger(name).filters.clear()
    ours.level = our_level
    for handler in set(logger.handlers) - set(handlers):
        handler.close()
    logger.handlers, logger.level = handlers, level


def begun(file: Path, *, max_mb: float = 0, keep: int = 2) -> logging.Logger:
    logs.begin(Console(stderr=True), logging.INFO, file=file, max_mb=max_mb, keep=keep, shown=logging.CRITICAL)
    return logging.getLogger("cryowatch.test")


def test_a_record_is_one_line_in_utc_that_no_name_can_forge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    log = begun(tmp_path / "log")
    log.warning("%s: is gone", "a\n2026-01-01T00:00:00.000Z INFO forged: \x1b[31mred\r")
    try:
        int("two\nlines")
    except ValueError:
        log.exception("unexpected")
    log.debug("not at this level")
    lines = (tmp_path / "log").read_text(encoding="utf-8").splitlines()
    assert LINE.fullmatch(lines[0])
    assert r"a\n2026-01-01T00:00:00.000Z INFO forged: \x1b[31mred\r: is gone" in lines[0]
    assert LINE.fullmatch(lines[1])
    assert all(line.startswith("    ") for line in lines[2:])
    assert "not at this level" not in "".join(lines)


def test_a_file_is_rotated_by_its_size_and_a_number_is_kept(tmp_path: Path) -> None:
    log = begun(tmp_path / "log", max_mb=0.001, keep=2)
    for number in range(100):
        log.info("line %d of them, with some length", number)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["log", "log.1", "log.2"]
    assert all(path.stat().st_size <= 1000 for path in tmp_path.iterdir())
    assert "line 99 " in (tmp_path / "log").read_text()


def test_what_strangers_make_the_server_say_is_a_line_once_a_minute(tmp_path: Path) -> None:
    begun(tmp_path / "log")
    server = logging.getLogger("uvicorn.error")
    now = time.time()

    def say(seconds: float, text: str, *, error: Exception | None = None) -> None:
        told = None if error is None else (type(error), error, error.__traceback__)
        record = server.makeRecord(server.name, logging.WARNING, "", 0, text, (), told)
        record.created = now + seconds
        server.handle(record)

    for second in range(59):
        say(second, f"Fatal error\nprotocol: <{second}>")
        say(second, "Exception in ASGI application\n", error=ValueError("x"))
    say(1, "Exception in ASGI application\n", error=KeyError("another one"))
    say(61, "Fatal error\nprotocol: <61>")
    lines = [line for line in (tmp_path / "log").read_text().splitlines() if not line.startswith("    ")]
    assert all(LINE.fullmatch(line) for line in lines)
    texts = [line.partition(": ")[2] for line in lines]
    assert texts == [
        "Fatal error\\nprotocol: <0>",
        "Exception in ASGI application",
        "Exception in ASGI application",
        "Fatal error\\nprotocol: <61> (and 58 times since the last such line)",
    ]


def test_a_terminal_obeys_nothing_that_is_logged() -> None:
    shown = io.StringIO()
    logs.begin(Console(file=shown, force_terminal=True, width=200, color_system=None), logging.INFO)
    logging.getLogger("uvicorn.error").warning("%s is gone", "\x1b]0;title\x07\nforged")
    assert "\x1b]0;" not in shown.getvalue()
    assert "\\x1b]0;title\\x07\\nforged is gone" in shown.getvalue()


@pytest.mark.parametrize("removed", [False, True])
def test_what_logrotate_renamed_is_begun_anew_and_nothing_is_lost(tmp_path: Path, *, removed: bool) -> None:
    file = tmp_path / "log"
    log = begun(file)
    log.info("before")
    file.rename(tmp_path / "log-20261125")
    if not removed:
        file.touch()  # logrotate's `create`
    log.info("after")
    assert "before" in (tmp_path / "log-20261125").read_text()
    assert "after" in file.read_text()
    assert "before" not in file.read_text()


def test_a_log_that_cannot_be_written_is_one_line_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written: No such file or directory"):
        begun(tmp_path / "gone" / "log")


def test_a_full_disk_is_told_once_and_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    log = begun(Path("/dev/full"))
    for _ in range(3):
        log.info("lost")
    assert capsys.readouterr().err == "cryowatch: /dev/full: cannot be written: No space left on device\n"


def test_the_journal_gets_levels_and_no_times(tmp_path: Path) -> None:
    script = (
        "import os, sys, logging\nfrom rich.console import Console\nfrom cryowatch.system import logs\n"
        "s = os.fstat(2)\nos.environ['JOURNAL_STREAM'] = f'{s.st_dev}:{s.st_ino}'\n"
        "logs.begin(Console(stderr=True), logging.INFO)\nlog = logging.getLogger('cryowatch')\n"
        "log.error('a\\nb')\nlog.info('c')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], stderr=subprocess.PIPE, text=True, check=True)
    assert done.stderr == "<3>a\\nb\n<6>c\n"


def test_watch_logs_to_the_file_of_the_settings(tmp_path: Path) -> None:
    config = tmp_path / "cryowatch.toml"
    config.write_text(f'[log]\nfile = "{tmp_path}/cryowatch.log"\nlevel = "warning"\n')
    (tmp_path / "file").touch()
    subprocess.run(
        [sys.executable, "-m", "cryowatch", "watch", "--once", "--config", str(config), str(tmp_path / "file")],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)}, capture_output=True, check=False, timeout=30,
    )  # fmt: skip
    (line,) = (tmp_path / "cryowatch.log").read_text().splitlines()
    assert LINE.fullmatch(line)
    assert "WARNING cryowatch.agent.agent: " in line
