"""Queries: few at a time for each reader, in turns, ended where nobody waits, and the same one made once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request
from starlette.types import Message

from cryowatch.errors import QueryEnded
from cryowatch.store import Store
from cryowatch.store.reader import Reader
from cryowatch.web.pool import Pool
from cryowatch.web.replies import Busy
from tests.support.serving import Served, demo_project, serving

ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    store = Store(tmp_path)
    yield store.reader()
    store.close()


class Client:
    """Somebody who asks from an address, and may hang up."""

    def __init__(self, address: str = "10.0.0.1") -> None:
        self._gone = asyncio.Event()
        self.request = Request({"type": "http", "client": (address, 1), "headers": []}, self._receive)

    def hang_up(self) -> None:
        self._gone.set()

    async def _receive(self) -> Message:
        await self._gone.wait()
        return {"type": "http.disconnect"}


class Work:
    """Work that goes on until it is let go, and how much of it is under way."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.under_way: list[str] = []
        self.most = 0

    def of(self, name: str) -> Callable[[], str]:
        def work() -> str:
            self.under_way.append(name)
            self.most = max(self.most, len(self.under_way))
            self.go_on.wait(60)
            self.under_way.remove(name)
            return name

        return work


async def started(found: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not found():
            await asyncio.sleep(0.01)


def test_one_reader_has_two_queries_at_a_time_and_holds_up_no_other(reader: Reader) -> None:
    async def run() -> None:
        pool, work = Pool(reader), Work()
        hog, other = Client(), Client("10.0.0.2")
        asked = [asyncio.create_task(pool.answer(hog.request, work.of(f"hog {n}"), same=n)) for n in range(8)]
        await started(lambda: len(work.under_way) == 2)
        await asyncio.sleep(0.1)
        assert len(work.under_way) == 2
        mine = asyncio.create_task(pool.answer(other.request, work.of("other"), same="other"))
        await started(lambda: "other" in work.under_way)
        work.go_on.set()
        assert await mine == "other"
        assert await asyncio.gather(*asked) == [f"hog {n}" for n in range(8)]
        assert work.most == 3

    asyncio.run(run())


def test_what_several_ask_for_at_a_time_is_computed_once(reader: Reader) -> None:
    async def run() -> None:
        pool, work = Pool(reader), Work()
        clients = [Client(f"10.0.0.{n}") for n in range(5)]
        asked = [asyncio.create_task(pool.answer(c.request, work.of("one"), same="same")) for c in clients]
        await started(lambda: work.under_way)
        await asyncio.sleep(0.1)
        work.go_on.set()
        assert await asyncio.gather(*asked) == ["one"] * 5
        assert work.most == 1

    asyncio.run(run())


def test_a_query_ends_when_whoever_asked_has_gone(reader: Reader) -> None:
    ended = threading.Event()

    def work() -> str:
        try:
            reader.table(ENDLESS)
        except QueryEnded:
            ended.set()
            raise
        return "never"

    async def run() -> None:
        pool, client = Pool(reader), Client()
        asked = asyncio.create_task(pool.answer(client.request, work, same="endless"))
        await asyncio.sleep(0.2)
        client.hang_up()
        assert await asked is None
        await started(ended.is_set)

    asyncio.run(run())


def test_a_query_that_takes_too_long_is_given_up_and_said(reader: Reader) -> None:
    async def run() -> None:
        pool = Pool(reader, run_seconds=0.3)
        began = time.monotonic()
        with pytest.raises(Busy, match=r"took longer than 0\.3 s"):
            await pool.answer(Client().request, lambda: reader.table(ENDLESS), same="endless")
        assert time.monotonic() - began < 30

    asyncio.run(run())


def test_who_asks_for_more_than_any_page_does_is_refused_and_others_are_not(reader: Reader) -> None:
    async def run() -> None:
        pool, work = Pool(reader, most_waiting_each=5), Work()
        hog = Client()
        asked = [asyncio.create_task(pool.answer(hog.request, work.of(str(n)), same=n)) for n in range(20)]
        await started(lambda: sum(task.done() for task in asked) == 13)
        mine = asyncio.create_task(pool.answer(Client("10.0.0.2").request, work.of("other"), same="other"))
        await started(lambda: "other" in work.under_way)
        work.go_on.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert sum(isinstance(answer, Busy) for answer in answers) == 13
        assert await mine == "other"

    asyncio.run(run())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("pool")
    with serving([demo_project(folder / "demo-session", 40)], folder / "data") as found:
        yield found


def test_a_panel_that_is_named_fifty_times_is_computed_and_sent_once(served: Served) -> None:
    path = "/api/sessions/demo-session/data/ctf"
    once = served.client.get(path, params={"panels": "compare"})
    often = served.client.get(path, params={"panels": ",".join(["compare"] * 50)})
    assert once.status_code == often.status_code == 200
    assert list(often.json()["panels"]) == ["compare"]
    assert len(often.content) == len(once.content)
