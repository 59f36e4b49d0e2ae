"""GPUs by NVML: what each says, and nothing that goes wrong there is an error."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from cryowatch.records import DeviceSample
from cryowatch.sources.host.gpus import RETRY, Gpus

Failing = Callable[[], Exception]

LOST: Failing = pynvml.NVMLError_GpuIsLost
UNSUPPORTED: Failing = pynvml.NVMLError_NotSupported
MISSING: Failing = pynvml.NVMLError_LibraryNotFound


class Card:
    """What one GPU answers; `fails` has the calls that do not."""

    def __init__(self, **fails: Failing) -> None:
        self.fails = fails

    def say(self, call: str, answer: Any) -> Any:
        if call in self.fails:
            raise self.fails[call]()
        return answer


class Recorded:
    """NVML as a driver with these cards answers."""

    NVMLError = pynvml.NVMLError

    def __init__(self, *cards: Card) -> None:
        self.cards = list(cards)
        self.begin: Failing | None = None
        self.count: Failing | None = None
        self.begun = 0
        self.ended = 0

    def nvmlInit(self) -> None:
        self.begun += 1
        if self.begin is not None:
            raise self.begin()

    def nvmlShutdown(self) -> None:
        self.ended += 1

    def nvmlDeviceGetCount(self) -> int:
        if self.count is not None:
            raise self.count()
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any:
        return self.cards[index].say("handle", self.cards[index])

    def nvmlDeviceGetUtilizationRates(self, handle: Card) -> Any:
        return handle.say("use", SimpleNamespace(gpu=97, memory=41))

    def nvmlDeviceGetMemoryInfo(self, handle: Card, version: int | None = None) -> Any:
        if version is None:
            return handle.say("memory", SimpleNamespace(total=48 << 30, used=39 << 30, free=9 << 30))
        assert version == pynvml.nvmlMemory_v2
        known = SimpleNamespace(total=48 << 30, used=36 << 30, free=9 << 30, reserved=3 << 30)
        return handle.say("memory", handle.say("reserved", known))

    def nvmlDeviceGetTemperature(self, handle: Card, sensor: int) -> int:
        assert sensor == pynvml.NVML_TEMPERATURE_GPU
        return int(handle.say("temperature", 71))

    def nvmlDeviceGetPowerUsage(self, handle: Card) -> int:
        return int(handle.say("power", 287_350))

    def nvmlDeviceGetComputeRunningProcesses(self, handle: Card) -> list[Any]:
        return list(handle.say("processes", [SimpleNamespace(pid=1), SimpleNamespace(pid=2)]))


class Machine:
    """GPUs of a driver, read as time goes by."""

    def __init__(self, *cards: Card, only: list[int] | None = None) -> None:
        self.nvml = Recorded(*cards)
        self.now = 1_000.0
        self.gpus = Gpus(lambda: self.nvml, clock=lambda: self.now, only=only)

    def read(self, *, after: float = 10) -> tuple[DeviceSample, ...]:
        self.now += after
        return self.gpus.read()


FULL = {"use": 97.0, "memory": 75.0, "temperature": 71.0, "power": 287.35, "processes": 2}


def absent(note: str) -> tuple[DeviceSample, ...]:
    return (DeviceSample(kind="gpu", device="", note=note),)


def test_each_gpu_is_a_sample_by_its_number() -> None:
    found = Machine(Card(), Card()).read()
    assert found == tuple(DeviceSample(kind="gpu", device=name, **FULL) for name in ("0", "1"))  # type: ignore[arg-type]


def test_only_the_gpus_that_are_wanted_are_read() -> None:
    machine = Machine(Card(), Card(), only=[1, 4])
    unknown = DeviceSample(kind="gpu", device="4", note="this machine has no such GPU")
    assert machine.read() == (DeviceSample(kind="gpu", device="1", **FULL), unknown)  # type: ignore[arg-type]
    none = Machine(Card(), only=[])
    assert none.read() == ()
    assert none.nvml.begun == 0, "a driver that nobody asks about is left alone"


def test_the_driver_is_begun_once() -> None:
    machine = Machine(Card())
    for _ in range(5):
        machine.read()
    assert (machine.nvml.begun, machine.nvml.ended) == (1, 0)


@pytest.mark.parametrize("call", ["use", "memory", "temperature", "power", "processes"])
@pytest.mark.parametrize("error", [UNSUPPORTED, pynvml.NVMLError_NoPermission, pynvml.NVMLError_Unknown])
def test_what_a_gpu_does_not_say_is_no_value(call: str, error: Failing) -> None:
    (found,) = Machine(Card(**{call: error})).read()
    assert found == DeviceSample(kind="gpu", device="0", **{**FULL, call: None})  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [pynvml.NVMLError_FunctionNotFound, pynvml.NVMLError_NotSupported])
def test_an_old_driver_tells_no_more_than_all_memory_that_is_not_free(error: Failing) -> None:
    (found,) = Machine(Card(reserved=error)).read()
    assert found.memory == pytest.approx(100 * 39 / 48)


def test_a_gpu_that_is_lost_says_so_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine(Card(), Card())
    machine.read()
    machine.nvml.cards[1].fails = {"use": LOST}
    for _ in range(10):
        first, second = machine.read()
        assert first.use == 97
        assert (second.device, second.use, second.temperature) == ("1", None, None)
        assert "fell off the bus" in second.note
    assert len(caplog.records) == 1
    machine.nvml.cards[1].fails = {}
    assert machine.read(after=RETRY)[1].note == ""


def test_a_lost_gpu_is_not_asked_again_and_again() -> None:
    machine = Machine(Card(handle=LOST))
    machine.read()
    machine.nvml.cards[0].fails = {}
    assert machine.read(after=RETRY / 2)[0].note
    assert machine.read(after=RETRY)[0].use == 97


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MISSING, "there is no NVIDIA driver"),
        (pynvml.NVMLError_DriverNotLoaded, "the NVIDIA driver is not loaded"),
        (pynvml.NVMLError_LibRmVersionMismatch, "the NVIDIA driver was updated; restart the machine to load it"),
        (pynvml.NVMLError_NoPermission, "this user may not use the GPUs"),
        (pynvml.NVMLError_Unknown, "NVML says: Unknown Error"),
    ],
)
def test_without_a_driver_there_are_no_gpus_and_a_reason(
    error: Failing, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    machine = Machine(Card())
    machine.nvml.begin = error
    for _ in range(100):
        assert machine.read() == absent(said)
    assert machine.nvml.begun == 1 + int(99 * 10 / RETRY), "looked for every few minutes"
    assert len(caplog.records) == 1
    machine.nvml.begin = None
    assert machine.read(after=RETRY)[0].use == 97


def test_a_driver_that_goes_away_is_let_go_and_begun_anew() -> None:
    machine = Machine(Card())
    machine.read()
    machine.nvml.count = pynvml.NVMLError_DriverNotLoaded
    assert machine.read() == absent("the NVIDIA driver is not loaded")
    assert machine.nvml.ended == 1
    machine.nvml.count = None
    assert machine.read() == absent("the NVIDIA driver is not loaded"), "not yet"
    assert machine.read(after=RETRY)[0].use == 97
    assert machine.nvml.begun == 2


def test_a_driver_that_is_replaced_under_a_call_is_begun_anew() -> None:
    machine = Machine(Card())
    machine.read()
    machine.nvml.cards[0].fails = {"memory": pynvml.NVMLError_LibRmVersionMismatch}
    assert machine.read() == absent("the NVIDIA driver was updated; restart the machine to load it")
    machine.nvml.cards[0].fails = {}
    assert machine.read(after=RETRY)[0].use == 97


def test_a_driver_without_a_gpu_is_absent() -> None:
    assert Machine().read() == absent("the NVIDIA driver knows of no GPU")


def test_memory_of_no_size_has_no_share(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Machine(Card())
    empty = SimpleNamespace(total=0, used=0, free=0)
    monkeypatch.setattr(machine.nvml, "nvmlDeviceGetMemoryInfo", lambda *_: empty)
    (found,) = machine.read()
    assert (found.memory, found.use) == (None, 97)


def test_this_machine_answers_without_an_error() -> None:
    found = Gpus().read()
    assert found
    assert all(gpu.note if not gpu.device else gpu.device.isdecimal() for gpu in found)
