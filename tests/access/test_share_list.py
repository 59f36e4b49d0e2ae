"""`cryowatch share list`: which links there are, and which of them open nothing."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from cryowatch import cli
from cryowatch.access.key import key_of
from cryowatch.access.shares import Shares
from cryowatch.agent.agent import Agent
from cryowatch.store import Store
from tests.support.links import earlier_link
from tests.support.projects import genuine

Listed = Callable[[], tuple[dict[str, str], str]]


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Listed:
    """Return what runs the command: it gives what is said of each link, by its number, and what is said beside."""

    def run() -> tuple[dict[str, str], str]:
        monkeypatch.setattr("sys.argv", ["cryowatch", "share", "list", "--data-dir", str(tmp_path / "data")])
        out, errors = io.StringIO(), io.StringIO()
        with redirect_stdout(out), redirect_stderr(errors), pytest.raises(SystemExit) as ended:
            cli.main()
        assert not ended.value.code
        return {
            line[:12]: line.partition("by ada")[2].strip() for line in out.getvalue().splitlines()
        }, errors.getvalue()

    return run


def test_links_that_open_nothing_say_why(tmp_path: Path, listed: Listed) -> None:
    data, now = tmp_path / "data", time.time_ns() // 10**6
    store = Store(data)
    Agent(store, [genuine(tmp_path, "grid1")], host="gpu1").once(lambda *_: None)
    [row] = store.reader().sessions()
    store.close()
    key = key_of(data)
    shares = Shares(data, key, clock=time.time_ns)

    def link(**more: str) -> str:
        bound = {"session": row["key"], "path": row["path"], "origin": row["origin"], **more}
        return shares.create(**bound, days=1, by="ada")[0].id

    good, gone = link(), link(session="grid2", path="/data/grid2")
    other = link(origin="2020-01-01 00:00:00.1")
    earlier = earlier_link(data, key, session=row["key"], path=row["path"], now=now)[:12]
    links, _ = listed()
    assert links == {
        good: "",
        gone: "void: its session is not here any more",
        other: "void: another project is in its folder",
        earlier: "",
    }


def test_links_are_listed_where_nothing_was_watched(tmp_path: Path, listed: Listed) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    shares = Shares(data, key_of(data), clock=time.time_ns)
    share, _ = shares.create(session="grid1", path="/data/grid1", origin="2026", days=1, by="ada")
    links, beside = listed()
    assert links == {share.id: ""}
    assert "Which links open something cannot be looked up" in beside
