"""What is sampled of this machine is plausible, and nothing that is missing is an error."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from cryowatch.model import DeviceSample, HostSample
from cryowatch.sources.host import HostSource, Parts
from cryowatch.sources.host import source as source_of_samples
from cryowatch.sources.host.counters import cpu_times, share_at_work
from cryowatch.sources.host.gpus import Gpus
from cryowatch.sources.host.pressure import pressure

SECOND = 10**9
Counters = Mapping[str, tuple[int, int]]


class NoGpus(Gpus):
    """A machine without GPUs that says nothing of it."""

    def read(self) -> tuple[DeviceSample, ...]:
        return ()


NO_GPUS = NoGpus()


class Machine:
    """A clock and counters that a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 1_795_000_000 * SECOND
        self.networks: Counters = {}
        self.disks: Counters | None = {}
        monkeypatch.setattr(psutil, "net_io_counters", self._networks)
        monkeypatch.setattr(psutil, "disk_io_counters", self._disks)
        blocks = [Path(f"/sys/block/{name}") for name in ("sda", "nvme0n1", "loop0", "dm-0", "md0", "sr0")]
        monkeypatch.setattr(Path, "iterdir", lambda folder: iter(blocks))
        self.source = HostSource("gpu1", clock=lambda: self.now, gpus=NO_GPUS)

    def _networks(self, *, pernic: bool, nowrap: bool) -> dict[str, SimpleNamespace]:
        return {name: SimpleNamespace(bytes_sent=a, bytes_recv=b) for name, (a, b) in self.networks.items()}

    def _disks(self, *, perdisk: bool, nowrap: bool) -> dict[str, SimpleNamespace] | None:
        if self.disks is None:
            return None
        return {name: SimpleNamespace(read_bytes=a, write_bytes=b) for name, (a, b) in self.disks.items()}

    def sample(
        self, *, after: float = 10, networks: Counters | None = None, disks: Counters | None = None
    ) -> HostSample:
        """Let time pass and the counters run, and take a sample."""
        self.now += int(after * SECOND)
        self.networks = networks or {}
        self.disks = disks
        return self.source.sample([])


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def later(take: Callable[[], HostSample], wanted: Callable[[HostSample], bool]) -> HostSample:
    """Return the first sample that holds what is wanted."""
    for _ in range(200):
        sample = take()
        if wanted(sample):
            return sample
        time.sleep(0.02)
    raise AssertionError("what is wanted never came")


def devices(sample: HostSample, kind: str) -> dict[str, DeviceSample]:
    return {d.device: d for d in sample.devices if d.kind == kind}


def test_only_the_wanted_parts_are_sampled(machine: Machine) -> None:
    machine.source = HostSource(
        "gpu1", clock=lambda: machine.now, parts=Parts(gpus=[], interfaces=["eth1"], disk_rates=False)
    )
    for _ in range(2):
        sample = machine.sample(networks={"eth0": (1, 1), "eth1": (2, 2)}, disks={"sda": (1, 1)})
    assert [(d.kind, d.device) for d in sample.devices] == [("network", "eth1")]


def test_this_machine_is_sampled_plausibly(tmp_path: Path) -> None:
    source = HostSource("gpu1", gpus=NO_GPUS)
    first, second = source.sample([tmp_path]), later(lambda: source.sample([tmp_path]), lambda s: s.cpu is not None)
    assert first.host == "gpu1"
    assert first.cpu is None, "there is no share of nothing"
    assert second.cpu is not None
    assert 0 <= second.cpu <= 100
    assert second.memory is not None
    assert 0 < second.memory < 100
    assert second.load is not None
    assert second.cores == os.cpu_count()
    assert second.load >= 0
    assert second.time >= first.time
    assert not [d for d in first.devices if d.kind != "filesystem"]
    rates = [(d.sent, d.received) if d.kind == "network" else (d.read, d.written) for d in second.devices]
    assert all(value is None or value >= 0 for pair in rates for value in pair)


def test_each_file_system_among_the_paths_is_told_of_once(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    source = HostSource("gpu1", gpus=NO_GPUS)
    paths = [tmp_path, tmp_path / "project", tmp_path / "gone"]
    sample = later(lambda: source.sample(paths), lambda s: bool(s.devices))
    (told,) = (device for device in sample.devices if device.kind == "filesystem")
    where = Path(told.device)
    assert told.kind == "filesystem"
    assert tmp_path.is_relative_to(where)
    assert where.is_mount()
    assert where.stat().st_dev == tmp_path.stat().st_dev
    assert told.used is not None
    assert 0 <= told.used <= 100
    assert told.free == pytest.approx(os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize, rel=0.05)


def test_rates_are_bytes_per_second_since_the_last_sample(machine: Machine) -> None:
    machine.sample(networks={"eth0": (1_000, 5_000)}, disks={"sda": (0, 700)})
    sample = machine.sample(after=4, networks={"eth0": (3_000, 5_000)}, disks={"sda": (400, 1_900)})
    assert devices(sample, "network") == {"eth0": DeviceSample(kind="network", device="eth0", sent=500, received=0)}
    assert devices(sample, "disk") == {"sda": DeviceSample(kind="disk", device="sda", read=100, written=300)}


def test_a_counter_that_went_back_gives_no_rate_until_the_next_sample(machine: Machine) -> None:
    machine.sample(networks={"eth0": (9_000, 9_000)}, disks={"sda": (9_000, 9_000)})
    sample = machine.sample(networks={"eth0": (10, 9_500)}, disks={"sda": (9_500, 10)})
    assert sample.devices == ()
    sample = machine.sample(networks={"eth0": (110, 9_500)}, disks={"sda": (9_500, 110)})
    assert devices(sample, "network")["eth0"].sent == 10
    assert devices(sample, "disk")["sda"].written == 10


def test_devices_come_and_go(machine: Machine) -> None:
    machine.sample(networks={"eth0": (1, 1)}, disks={"sda": (1, 1)})
    sample = machine.sample(networks={"eth1": (5, 5)}, disks={"nvme0n1": (5, 5)})
    assert sample.devices == ()
    sample = machine.sample(networks={"eth1": (5, 5)}, disks={"nvme0n1": (5, 5)})
    assert [d.device for d in sample.devices] == ["eth1", "nvme0n1"]


def test_the_loop_device_idle_interfaces_and_parts_of_disks_are_left_out(machine: Machine) -> None:
    networks = {"lo": (5, 5), "eth0": (5, 5), "docker0": (0, 0)}
    disks = dict.fromkeys(("sda", "sda1", "nvme0n1", "nvme0n1p1", "loop0", "dm-0", "md0", "sr0"), (1, 1))
    machine.sample(networks=networks, disks=disks)
    sample = machine.sample(networks=networks, disks=disks)
    assert [d.device for d in sample.devices] == ["eth0", "sda", "nvme0n1"]


def test_a_clock_that_was_set_back_gives_no_rates(machine: Machine) -> None:
    machine.sample(networks={"eth0": (1, 1)}, disks={})
    assert machine.sample(after=-3600, networks={"eth0": (9, 9)}, disks={}).devices == ()
    assert len(machine.sample(networks={"eth0": (19, 9)}, disks={}).devices) == 1


def test_a_machine_without_disks_or_swap_has_none(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psutil, "swap_memory", lambda: SimpleNamespace(total=0, percent=0.0))
    machine.sample()
    sample = machine.sample(disks=None)
    assert sample.swap is None
    assert sample.devices == ()


def test_in_a_container_without_the_list_of_disks_partitions_are_known_by_their_names(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(folder: Path) -> Iterator[Path]:
        raise FileNotFoundError(folder)

    monkeypatch.setattr(Path, "iterdir", gone)
    names = ("sda", "sda1", "sda15", "nvme0n1", "nvme0n1p1", "vdb1", "mmcblk0", "mmcblk0p2", "dm-0", "loop7", "zram0")
    disks = dict.fromkeys(names, (1, 1))
    machine.sample(disks=disks)
    assert list(devices(machine.sample(disks=disks), "disk")) == ["sda", "nvme0n1", "vdb1", "mmcblk0"]


def test_a_kernel_that_keeps_no_counters_has_no_rates(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(**_: object) -> None:
        raise NotImplementedError("no diskstats")

    def hidden(**_: object) -> None:
        raise FileNotFoundError("/proc/net/dev")

    monkeypatch.setattr(psutil, "disk_io_counters", missing)
    monkeypatch.setattr(psutil, "net_io_counters", hidden)
    machine.sample()
    assert machine.sample().devices == ()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("some avg10=12.34 avg60=0.10 avg300=1.00 total=1\nfull avg10=99.00 avg60=0.00 avg300=0.00 total=0\n", 12.34),
        ("some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n", 0.0),
        ("full avg10=1.00 avg60=0.00 avg300=0.00 total=0\n", None),
        ("some avg10=nonsense\n", None),
        ("some avg10=-1.00\n", None),
        ("some avg10=nan\n", None),
        ("some\n", None),
        ("", None),
        (None, None),
    ],
)
def test_pressure_is_the_share_in_which_some_task_waited(
    tmp_path: Path, text: str | None, expected: float | None
) -> None:
    if text is not None:
        (tmp_path / "io").write_text(text)
    assert pressure("io", tmp_path) == expected


def test_the_share_at_work_leaves_waiting_for_disks_and_guests_out(monkeypatch: pytest.MonkeyPatch) -> None:
    times = psutil.cpu_times()._replace(
        user=30, nice=2, system=10, idle=40, iowait=15, irq=1, softirq=1, steal=1, guest=20, guest_nice=2
    )
    monkeypatch.setattr(psutil, "cpu_times", lambda: times)
    assert cpu_times() == (45, 100)
    assert share_at_work((0, 0), (45, 100)) == 45
    assert share_at_work((45, 100), (45, 100)) is None
    assert share_at_work((45, 100), (40, 110)) == 0
    assert share_at_work((45, 100), (57, 110)) == 100


def test_a_driver_that_hangs_holds_no_sample_up_and_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = threading.Event()

    class Hanging(Gpus):
        def read(self) -> tuple[DeviceSample, ...]:
            answers.wait(10)
            return (DeviceSample(kind="gpu", device="0", use=5.0),)

    source = HostSource("gpu1", gpus=Hanging())
    began = time.monotonic()
    assert devices(source.sample([]), "gpu") == {}
    assert time.monotonic() - began < 8
    monkeypatch.setattr(source_of_samples, "STALE", 0.0)
    (silent,) = devices(source.sample([]), "gpu").values()
    assert silent.device == ""
    assert "has not answered" in silent.note
    monkeypatch.undo()
    answers.set()
    found = later(lambda: source.sample([]), lambda s: bool(devices(s, "gpu")))
    assert devices(found, "gpu")["0"].use == 5.0
