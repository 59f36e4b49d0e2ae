"""Each core's share of work is measured between two questions."""

from __future__ import annotations

import json

from starlette.requests import Request

from cryowatch.sources.host.counters import CpuTimes, core_times
from cryowatch.web.cores import Cores

REQUEST = Request({"type": "http"})


class Machine:
    """Cores and a clock that a test sets."""

    def __init__(self, *times: CpuTimes) -> None:
        self.now = 100.0
        self.times = times
        self.cores = Cores("gpu1", clock=lambda: self.now, read=lambda: self.times)

    def answer(self) -> dict[str, object]:
        found: dict[str, object] = json.loads(bytes(self.cores.cores(REQUEST).body))
        return found


def test_cores_are_at_work_for_their_share_of_the_time_since_the_last_question() -> None:
    machine = Machine((10.0, 100.0), (50.0, 100.0))
    machine.now, machine.times = 104.0, ((13.0, 104.0), (50.0, 104.0))
    assert machine.answer() == {"host": "gpu1", "seconds": 4.0, "cores": [75.0, 0.0], "unit": "%"}
    machine.now, machine.times = 106.0, ((13.0, 106.0), (52.0, 106.0))
    assert machine.answer()["cores"] == [0.0, 100.0]


def test_who_asks_again_at_once_gets_the_same_answer() -> None:
    machine = Machine((0.0, 0.0))
    assert machine.answer()["cores"] == [None]
    machine.now, machine.times = 102.0, ((1.0, 2.0),)
    first = machine.answer()
    machine.now, machine.times = 102.5, ((1.5, 2.5),)
    assert machine.answer() == first


def test_cores_that_were_switched_off_or_on_begin_anew() -> None:
    machine = Machine((0.0, 0.0), (0.0, 0.0))
    machine.now, machine.times = 102.0, ((1.0, 2.0),)
    assert machine.answer()["cores"] == []
    machine.now, machine.times = 104.0, ((2.0, 4.0),)
    assert machine.answer()["cores"] == [50.0]


def test_this_machine_has_cores() -> None:
    assert core_times()
    assert all(0 <= work <= every for work, every in core_times())
