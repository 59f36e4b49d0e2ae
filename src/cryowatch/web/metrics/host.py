"""The host's newest sample in Prometheus' text format: base units, shares of 1, and nothing where there is no value."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from cryowatch.store import samples
from cryowatch.store.reader import Reader, Row
from cryowatch.web.metrics.text import Samples, family

FRESH = 120 * 10**9
"""How old a sample may be, in ns: what is older says nothing of now."""

_HOST = (
    ("cpu_ratio", "cpu", 0.01, "Share of all cores that is at work."),
    ("memory_ratio", "memory", 0.01, "Share of the memory in use."),
    ("swap_ratio", "swap", 0.01, "Share of the swap space in use."),
    ("load1", "load", 1, "Mean run queue of the last minute."),
    ("cores", "cores", 1, "Cores of the machine."),
)
_PRESSURE = ("pressure_cpu", "pressure_memory", "pressure_io")
_DEVICES = (
    ("filesystem_size_bytes", "filesystem", "total", 1, "Size of a file system."),
    ("filesystem_free_bytes", "filesystem", "free", 1, "Free space of a file system."),
    ("filesystem_used_ratio", "filesystem", "used", 0.01, "Share of a file system in use."),
    ("filesystem_full_in_seconds", "filesystem", "full_in", 1, "Until nothing is free, by the last hour's trend."),
    ("disk_read_bytes_per_second", "disk", "read", 1, "Data read from a disk."),
    ("disk_written_bytes_per_second", "disk", "written", 1, "Data written to a disk."),
    ("network_sent_bytes_per_second", "network", "sent", 1, "Traffic out of an interface."),
    ("network_received_bytes_per_second", "network", "received", 1, "Traffic into an interface."),
    ("gpu_use_ratio", "gpu", "use", 0.01, "Share of the time in which a GPU's compute units were at work."),
    ("gpu_memory_ratio", "gpu", "memory", 0.01, "Share of a GPU's memory in use."),
    ("gpu_temperature_celsius", "gpu", "temperature", 1, "Temperature of a GPU."),
    ("gpu_power_watts", "gpu", "power", 1, "Power that a GPU draws."),
    ("gpu_processes", "gpu", "processes", 1, "Processes that compute on a GPU."),
)


def host_metrics(reader: Reader, host: str, now: int) -> Iterator[str]:
    """Yield the families of the host's newest sample; nothing where there is none of the last two minutes."""
    found = samples.newest(reader, host, since=now - FRESH)
    if found is None:
        return
    sample, devices = found
    yield _gauge("host_sample_timestamp_seconds", "Time of these values.", [({}, sample["time"] / 10**9)])
    for name, field, scale, text in _HOST:
        yield _gauge(f"host_{name}", text, _values([sample], field, scale, lambda _: {}))
    waiting = [({"resource": f.rpartition("_")[2]}, sample[f] * 0.01) for f in _PRESSURE if sample[f] is not None]
    yield _gauge("host_pressure_ratio", "Share of the last 10 s in which some task had to wait.", waiting)
    for name, kind, field, scale, text in _DEVICES:
        of_kind = [d for d in devices if d["kind"] == kind and d["device"]]
        yield _gauge(name, text, _values(of_kind, field, scale, lambda d: {"device": d["device"]}))


def _values(
    rows: Iterable[Row], field: str, scale: float, labels: Callable[[Row], Mapping[str, str]]
) -> list[tuple[Mapping[str, str], float]]:
    return [(labels(row), row[field] * scale) for row in rows if row[field] is not None]


def _gauge(name: str, text: str, samples: Samples) -> str:
    return family(f"cryowatch_{name}", "gauge", text, samples)
