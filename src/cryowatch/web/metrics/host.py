"""The host's newest sample as Prometheus wants it: base units, shares of 1, and nothing where there is no value."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.metrics_core import Metric

from cryowatch.store import samples
from cryowatch.store.reader import Reader, Row
from cryowatch.times import MINUTE, SECOND
from cryowatch.web.metrics.families import Samples, gauge

FRESH = 2 * MINUTE
"""How old a sample may be, in ns: what is older says nothing of now."""

_HOST = (
    ("cpu_ratio", "cpu", 100, "Share of all cores that is at work."),
    ("memory_ratio", "memory", 100, "Share of the memory in use."),
    ("swap_ratio", "swap", 100, "Share of the swap space in use."),
    ("load1", "load", 1, "Mean run queue of the last minute."),
    ("cores", "cores", 1, "Cores of the machine."),
)
_PRESSURE = ("pressure_cpu", "pressure_memory", "pressure_io")
_DEVICES = (
    ("filesystem_size_bytes", "filesystem", "total", 1, "Size of a file system."),
    ("filesystem_free_bytes", "filesystem", "free", 1, "Free space of a file system."),
    ("filesystem_used_ratio", "filesystem", "used", 100, "Share of a file system in use."),
    ("filesystem_full_in_seconds", "filesystem", "full_in", 1, "Until nothing is free, by the last hour's trend."),
    ("disk_read_bytes_per_second", "disk", "read", 1, "Data read from a disk."),
    ("disk_written_bytes_per_second", "disk", "written", 1, "Data written to a disk."),
    ("network_sent_bytes_per_second", "network", "sent", 1, "Traffic out of an interface."),
    ("network_received_bytes_per_second", "network", "received", 1, "Traffic into an interface."),
    ("gpu_use_ratio", "gpu", "use", 100, "Share of the time in which a GPU's compute units were at work."),
    ("gpu_memory_ratio", "gpu", "memory", 100, "Share of a GPU's memory in use."),
    ("gpu_temperature_celsius", "gpu", "temperature", 1, "Temperature of a GPU."),
    ("gpu_power_watts", "gpu", "power", 1, "Power that a GPU draws."),
    ("gpu_processes", "gpu", "processes", 1, "Processes that compute on a GPU."),
)


def host_metrics(reader: Reader, host: str, now: int) -> Iterator[Metric]:
    """Yield the families of the host's newest sample; nothing where there is none of the last two minutes."""
    found = samples.newest(reader, host, since=now - FRESH)
    if found is None:
        return
    sample, devices = found
    yield from gauge(
        "cryowatch_host_sample_timestamp_seconds", "Time of these values.", [((), sample["time"] / SECOND)]
    )
    for name, field, per, text in _HOST:
        yield from gauge(f"cryowatch_host_{name}", text, _values([sample], field, per))
    waiting = [((f.rpartition("_")[2],), sample[f] / 100) for f in _PRESSURE if sample[f] is not None]
    text = "Share of the last 10 s in which some task had to wait."
    yield from gauge("cryowatch_host_pressure_ratio", text, waiting, labels=("resource",))
    for name, kind, field, per, text in _DEVICES:
        of_kind = [d for d in devices if d["kind"] == kind and d["device"]]
        yield from gauge(f"cryowatch_{name}", text, _values(of_kind, field, per, "device"), labels=("device",))


def _values(rows: Iterable[Row], field: str, per: int, *labels: str) -> Samples:
    """Return the values that there are of a field, so many of whose units make one of the family's."""
    return [([row[label] for label in labels], row[field] / per) for row in rows if row[field] is not None]
