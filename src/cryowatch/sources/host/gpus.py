"""NVIDIA's GPUs, by NVML.

No driver, no GPU, a driver that was updated under our feet, a GPU that fell off the bus: all of that is "absent" with
a reason, which people see on the page and once in the log.  It is tried again every few minutes.  What a GPU does not
support (the use of one that is divided, the memory of one that shares the machine's) is no value.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from typing import Any, Protocol

from cryowatch.records import DeviceSample

log = logging.getLogger(__name__)

RETRY = 300.0
"""Seconds until what is absent is looked for again."""

_CHIP = 0
"""NVML_TEMPERATURE_GPU, the only sensor that every GPU has."""

_WITHOUT_RESERVED = 0x02000028
"""nvmlMemory_v2, for which memory that the driver keeps for itself is not in use, as nvidia-smi prints it."""

_REASONS = {
    "NVMLError_LibraryNotFound": "there is no NVIDIA driver",
    "NVMLError_DriverNotLoaded": "the NVIDIA driver is not loaded",
    "NVMLError_LibRmVersionMismatch": "the NVIDIA driver was updated; restart the machine to load it",
    "NVMLError_NoPermission": "this user may not use the GPUs",
    "NVMLError_GpuIsLost": "it fell off the bus or was reset; restart the machine",
    "NVMLError_ResetRequired": "it needs a reset",
}
_FATAL = {"NVMLError_GpuIsLost", "NVMLError_ResetRequired"}
_UNLOADED = {"NVMLError_Uninitialized", "NVMLError_DriverNotLoaded", "NVMLError_LibRmVersionMismatch"}


class Nvml(Protocol):
    """The part of NVML that is used, by the names of the module `pynvml`; everything raises its `NVMLError`."""

    NVMLError: type[Exception]

    def nvmlInit(self) -> None: ...  # noqa: N802

    def nvmlShutdown(self) -> None: ...  # noqa: N802

    def nvmlDeviceGetCount(self) -> int: ...  # noqa: N802

    def nvmlDeviceGetHandleByIndex(self, index: int) -> Any: ...  # noqa: N802

    def nvmlDeviceGetUtilizationRates(self, handle: Any) -> Any: ...  # noqa: N802

    def nvmlDeviceGetMemoryInfo(self, handle: Any, version: int | None = None) -> Any: ...  # noqa: N802

    def nvmlDeviceGetTemperature(self, handle: Any, sensor: int) -> int: ...  # noqa: N802

    def nvmlDeviceGetPowerUsage(self, handle: Any) -> int: ...  # noqa: N802

    def nvmlDeviceGetComputeRunningProcesses(self, handle: Any) -> list[Any]: ...  # noqa: N802


def _pynvml() -> Nvml:
    import pynvml  # noqa: PLC0415

    module: Nvml = pynvml
    return module


class Gpus:
    """Reads all GPUs, or `only` those of these numbers.

    `read` may take long, is called from one thread at a time, and raises nothing.  `load` gives NVML, `clock` monotonic
    seconds.
    """

    def __init__(
        self,
        load: Callable[[], Nvml] = _pynvml,
        *,
        clock: Callable[[], float] = time.monotonic,
        only: Collection[int] | None = None,
    ) -> None:
        self._load = load
        self._only = only
        self._clock = clock
        self._nvml: Nvml | None = None
        self._absent = ""
        self._again = clock()
        self._lost: dict[int, tuple[str, float]] = {}

    def read(self) -> tuple[DeviceSample, ...]:
        """Return a sample of each GPU, named by its number; or one without a name that says why there are none."""
        if self._only is not None and not self._only:
            return ()
        nvml = self._nvml or self._begun()
        if nvml is None:
            return (DeviceSample(kind="gpu", device="", note=self._absent),)
        try:
            count = nvml.nvmlDeviceGetCount()
            numbers = range(count) if self._only is None or not count else sorted(set(self._only))
            samples = tuple(self._sample(nvml, index) if index < count else _unknown(index) for index in numbers)
        except nvml.NVMLError as error:
            self._end(nvml, _reason(error))
        else:
            if samples:
                return samples
            self._end(nvml, "the NVIDIA driver knows of no GPU")
        return (DeviceSample(kind="gpu", device="", note=self._absent),)

    def _begun(self) -> Nvml | None:
        """Return NVML at work; None where it is not there, or was not a short while ago."""
        if self._clock() < self._again:
            return None
        nvml = self._load()
        try:
            nvml.nvmlInit()
        except nvml.NVMLError as error:
            self._tell(_reason(error))
            return None
        self._nvml = nvml
        return nvml

    def _end(self, nvml: Nvml, reason: str) -> None:
        """Let go of NVML, to begin anew in a while: what a driver that was updated needs."""
        self._nvml = None
        with suppress(nvml.NVMLError):
            nvml.nvmlShutdown()
        self._tell(reason)

    def _tell(self, reason: str) -> None:
        self._again = self._clock() + RETRY
        if reason != self._absent:
            self._absent = reason
            log.info("no GPUs are shown: %s", reason)

    def _sample(self, nvml: Nvml, index: int) -> DeviceSample:
        reason, until = self._lost.get(index, ("", 0.0))
        if reason and self._clock() < until:
            return DeviceSample(kind="gpu", device=str(index), note=reason)
        try:
            handle = nvml.nvmlDeviceGetHandleByIndex(index)
            use = _value(nvml, lambda: nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
            memory = _memory(nvml, handle)
            temperature = _value(nvml, lambda: nvml.nvmlDeviceGetTemperature(handle, _CHIP))
            power = _value(nvml, lambda: nvml.nvmlDeviceGetPowerUsage(handle))
            processes = _value(nvml, lambda: nvml.nvmlDeviceGetComputeRunningProcesses(handle))
        except nvml.NVMLError as error:
            if type(error).__name__ in _UNLOADED:
                raise
            if _reason(error) != reason:
                log.warning("GPU %s: %s", index, _reason(error))
            self._lost[index] = _reason(error), self._clock() + RETRY
            return DeviceSample(kind="gpu", device=str(index), note=_reason(error))
        self._lost.pop(index, None)
        return DeviceSample(
            kind="gpu",
            device=str(index),
            use=None if use is None else float(use),
            memory=100 * memory.used / memory.total if memory is not None and memory.total else None,
            temperature=None if temperature is None else float(temperature),
            power=None if power is None else power / 1000,
            processes=None if processes is None else len(processes),
        )


def _unknown(index: int) -> DeviceSample:
    return DeviceSample(kind="gpu", device=str(index), note="this machine has no such GPU")


def _memory(nvml: Nvml, handle: Any) -> Any:
    """Return what a GPU says of its memory; a driver before 510 counts what it keeps for itself as used."""
    memory = _value(nvml, lambda: nvml.nvmlDeviceGetMemoryInfo(handle, _WITHOUT_RESERVED))
    return memory or _value(nvml, lambda: nvml.nvmlDeviceGetMemoryInfo(handle))


def _value(nvml: Nvml, call: Callable[[], Any]) -> Any:
    """Return what a call says; None of one that this GPU, its driver or this user's rights do not have."""
    try:
        return call()
    except nvml.NVMLError as error:
        if type(error).__name__ in _FATAL | _UNLOADED:
            raise
        return None


def _reason(error: Exception) -> str:
    return _REASONS.get(type(error).__name__, f"NVML says: {error}")
