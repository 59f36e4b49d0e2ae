"""Many who try passwords hold up neither the pages nor who knows the right one."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from cryowatch.access.accounts import Accounts
from cryowatch.access.role import Role
from cryowatch.web.tries import MOST_WAITING, Away, Crowded, Tries
from tests.support.people import PASSWORD, add_account
from tests.support.projects import genuine
from tests.web.crowd import Agent, served_in_time, watching

BYSTANDER = "127.0.0.3"


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """An agent whose accounts have hashes as genuine ones have them, which take their time."""
    folder = tmp_path_factory.mktemp("tries")
    data = folder / "data"
    data.mkdir()
    for name in ("ada", "grace"):
        Accounts(data).add(name, Role.VIEWER, PASSWORD, now=1)
    with watching(folder, [genuine(folder)]) as found:
        yield found


def guess(agent: Agent, number: int) -> socket.socket:
    """Send a try with a wrong password, from one of 60 addresses, and wait for nothing."""
    line = agent.line(f"127.0.1.{number % 60 + 1}")
    form = f"name=nobody{number}&password=guess+{number}+{number}".encode()
    line.sendall(
        b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nSec-Fetch-Site: same-origin\r\nConnection: close\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s" % (len(form), form)
    )
    return line


def status(line: socket.socket) -> tuple[int, bytes]:
    line.settimeout(20)
    said = b""
    while part := line.recv(65536):
        said += part
    line.close()
    return int(said.split(b" ", 2)[1]), said


@pytest.mark.timeout(60)
def test_300_tries_hold_up_neither_pages_nor_who_knows_a_password(agent: Agent) -> None:
    cookie = agent.login("grace", PASSWORD, address=BYSTANDER)
    lines = [guess(agent, number) for number in range(300)]
    begun = time.monotonic()
    for _ in range(30):
        answer = agent.ask("/login", address=BYSTANDER, form=f"name=ada&password={PASSWORD.replace(' ', '+')}")
        if answer.status != 503:
            break
        time.sleep(0.1)
    assert answer.status == 303
    assert time.monotonic() - begun < 8
    asked = served_in_time(lambda: agent.ask("/s/small/summary", address=BYSTANDER, cookie=cookie).status)
    assert asked == []
    answers = [status(line) for line in lines]
    assert {code for code, _ in answers} == {401, 503}
    assert sum(code == 401 for code, _ in answers) < 60, "all others are refused at once"
    refused = next(said for code, said in answers if code == 503)
    assert re.search(rb"\r\nretry-after: [0-9]+\r\n", refused)
    assert b"Many are logging in just now. Please try again in" in refused


@pytest.mark.timeout(60)
def test_one_address_that_tries_all_the_time_delays_a_login_by_two_tries_at_most(agent: Agent) -> None:
    usual = time.monotonic()
    agent.login("ada", PASSWORD, address=BYSTANDER)
    usual = time.monotonic() - usual
    lines = [guess(agent, 60 * number) for number in range(15)]
    begun = time.monotonic()
    agent.login("ada", PASSWORD, address=BYSTANDER)
    taken = time.monotonic() - begun
    for line in lines:
        status(line)
    assert taken < 4 * usual + 0.5


def test_a_try_that_was_refused_is_not_counted(agent: Agent) -> None:
    add_account(agent.data, "quick", Role.VIEWER)
    lines = [guess(agent, number) for number in range(100, 160)]
    for _ in range(30):
        agent.ask("/login", address="127.0.0.6", form="name=quick&password=wrong+password")
    answers = [status(line)[0] for line in lines]
    assert 503 in answers
    assert 429 not in answers


def run(tries: Tries, wanted: list[tuple[str, bool]]) -> tuple[list[str], list[str]]:
    """Let all want a try while a first one goes on; returns who has had one, in order, and who was refused."""
    first = threading.Event()
    done: list[str] = []
    refused: list[str] = []

    async def one(name: str, by: str, *, known: bool) -> None:
        try:
            await tries.run(lambda: done.append(name), by=by, known=known)
        except Crowded:
            refused.append(name)

    async def all_() -> None:
        running: list[asyncio.Task[Any]] = [
            asyncio.create_task(tries.run(lambda: first.wait(5), by="first", known=False))
        ]
        await asyncio.sleep(0)
        for number, (by, known) in enumerate(wanted):
            running.append(asyncio.create_task(one(f"{by}{number}", by, known=known)))
            await asyncio.sleep(0)
        first.set()
        await asyncio.gather(*running)

    asyncio.run(all_())
    return done, refused


def test_eight_wait_and_others_are_refused() -> None:
    done, refused = run(Tries(), [(f"{number}-", False) for number in range(MOST_WAITING + 4)])
    assert len(done) == MOST_WAITING
    assert refused == ["8-8", "9-9", "10-10", "11-11"]


def test_an_address_with_many_gives_way_to_one_with_none() -> None:
    done, refused = run(Tries(), [*[("a", False)] * 8, ("b", False), ("c", False)])
    assert set(refused) == {"a7", "a6"}
    assert done[:4] == ["a0", "b8", "a1", "c9"], "and has no two turns in a row"


def test_a_browser_that_was_logged_in_before_comes_first() -> None:
    done, refused = run(Tries(), [*[(f"{number}-", False) for number in range(8)], ("ada", True)])
    assert done[0] == "ada8"
    assert refused == ["7-7"]


def test_an_account_that_logs_in_all_the_time_keeps_no_stranger_out() -> None:
    done, refused = run(Tries(), [*[("eve", True)] * 12, ("b", False), ("c", False)])
    assert done.index("b12") <= 2
    assert done.index("c13") <= 4
    assert set(refused) >= {"eve8", "eve9", "eve10", "eve11"}


def test_who_has_gone_before_the_turn_costs_nothing() -> None:
    tried: list[int] = []

    async def gone() -> bool:
        return True

    async def all_() -> None:
        tries = Tries()
        with pytest.raises(Away):
            await tries.run(lambda: tried.append(1), by="a", known=False, gone=gone)
        await tries.run(lambda: tried.append(2), by="a", known=False)
        waiting = asyncio.create_task(tries.run(lambda: time.sleep(0.05), by="a", known=False))
        await asyncio.sleep(0)
        ended = asyncio.create_task(tries.run(lambda: tried.append(3), by="a", known=False))
        await asyncio.sleep(0)
        ended.cancel()
        await waiting
        await tries.run(lambda: tried.append(4), by="a", known=False)

    asyncio.run(all_())
    assert tried == [2, 4]


def test_pages_are_answered_while_a_password_is_tried(agent: Agent) -> None:
    lines = [guess(agent, number) for number in range(200, 208)]
    assert served_in_time(lambda: agent.ask("/login", address=BYSTANDER).status, times=10, seconds=1) == []
    for line in lines:
        status(line)
