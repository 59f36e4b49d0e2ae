"""A house with alerts, and servers that end with their test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.notices.told import House, Time
from tests.support.receiver import Receiver
from tests.support.smtp import MailServer


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """Yield a store in which alerts can be raised; its session is called alpha."""
    made = House(tmp_path / "data", Time())
    yield made
    made.store.close()


@pytest.fixture
def serving() -> Iterator[Callable[..., MailServer]]:
    """Return what starts mail servers."""
    started: list[MailServer] = []

    def start(**options: Any) -> MailServer:
        started.append(MailServer(**options))
        return started[-1]

    yield start
    for server in started:
        server.stop()


@pytest.fixture
def receiving() -> Iterator[Callable[..., Receiver]]:
    """Return what starts HTTP servers."""
    started: list[Receiver] = []

    def start(**options: Any) -> Receiver:
        started.append(Receiver(**options))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let nothing go through a proxy of this machine."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv("no_proxy", "*")
