"""What /metrics says of the machine: base units, the newest sample alone, and nothing that is not known."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cryowatch.records import DeviceSample, HostSample
from cryowatch.store import Store
from cryowatch.web.metrics.families import written
from cryowatch.web.metrics.host import host_metrics
from tests.support.records import SECOND, START

DEVICES = (
    DeviceSample(kind="filesystem", device='/data "2"', used=92.5, free=1.5e12, total=2e13, full_in=7200.0),
    DeviceSample(kind="filesystem", device="/dead", note="does not answer"),
    DeviceSample(kind="network", device="eth0", sent=2e6, received=1e9),
    DeviceSample(kind="disk", device="nvme0n1", read=0.0, written=3.5e8),
    DeviceSample(kind="gpu", device="0", use=90.0, memory=50.0, temperature=71.0, power=412.5, processes=3),
    DeviceSample(kind="gpu", device="", note="there is no NVIDIA driver"),
)
SAMPLE = HostSample(
    host="gpu1",
    time=START,
    cpu=12.5,
    memory=40.0,
    load=3.25,
    cores=16,
    pressure_cpu=0.5,
    pressure_io=100.0,
    devices=DEVICES,
)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    found = Store(tmp_path / "data")
    yield found
    found.close()


def values(store: Store, now: int = START) -> dict[str, float]:
    """Return the samples of the text; each family has its help and type before it."""
    found: dict[str, float] = {}
    family = ""
    text, _ = written(host_metrics(store.reader(), "gpu1", now), as_openmetrics=False)
    for line in text.decode().splitlines():
        if line.startswith("# TYPE "):
            _, _, family, kind = line.split(" ")
            assert kind == "gauge"
        elif not line.startswith("# HELP "):
            name, _, value = line.rpartition(" ")
            assert name.partition("{")[0] == family
            found[name.removeprefix("cryowatch_")] = float(value)
    return found


def test_values_are_in_base_units(store: Store) -> None:
    store.add_host_sample(SAMPLE)
    assert values(store) == {
        "host_sample_timestamp_seconds": START / SECOND,
        "host_cpu_ratio": 0.125,
        "host_memory_ratio": 0.4,
        "host_load1": 3.25,
        "host_cores": 16,
        'host_pressure_ratio{resource="cpu"}': 0.005,
        'host_pressure_ratio{resource="io"}': 1.0,
        r'filesystem_size_bytes{device="/data \"2\""}': 2e13,
        r'filesystem_free_bytes{device="/data \"2\""}': 1.5e12,
        r'filesystem_used_ratio{device="/data \"2\""}': 0.925,
        r'filesystem_full_in_seconds{device="/data \"2\""}': 7200,
        'disk_read_bytes_per_second{device="nvme0n1"}': 0,
        'disk_written_bytes_per_second{device="nvme0n1"}': 3.5e8,
        'network_sent_bytes_per_second{device="eth0"}': 2e6,
        'network_received_bytes_per_second{device="eth0"}': 1e9,
        'gpu_use_ratio{device="0"}': 0.9,
        'gpu_memory_ratio{device="0"}': 0.5,
        'gpu_temperature_celsius{device="0"}': 71,
        'gpu_power_watts{device="0"}': 412.5,
        'gpu_processes{device="0"}': 3,
    }


def test_only_the_newest_sample_of_this_host_counts(store: Store) -> None:
    store.add_host_sample(SAMPLE)
    store.add_host_sample(HostSample(host="gpu1", time=START + 10 * SECOND, cpu=50.0))
    store.add_host_sample(HostSample(host="gpu2", time=START + 20 * SECOND, cpu=99.0))
    assert values(store) == {"host_sample_timestamp_seconds": START / SECOND + 10, "host_cpu_ratio": 0.5}


def test_an_old_sample_says_nothing_of_now(store: Store) -> None:
    store.add_host_sample(SAMPLE)
    assert values(store, START + 119 * SECOND)
    assert values(store, START + 121 * SECOND) == {}
