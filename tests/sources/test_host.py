"""What is sampled of this machine is plausible, and nothing that is missing is an error."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from cryowatch.records import DeviceSample, HostSample
from cryowatch.sources.host import HostSource, Parts
from cryowatch.sources.host import source as source_of_samples
from cryowatch.sources.host.counters import cpu_times, disk_counters, network_counters, share_at_work
from cryowatch.sources.host.gpus import Gpus
from cryowatch.sources.host.pressure import pressure

SECOND = 10**9
Counters = Mapping[str, tuple[int, int]]


class NoGpus(Gpus):
    """A machine without GPUs that says nothing of it."""

    def read(self) -> tuple[DeviceSample, ...]:
        return ()


NO_GPUS = NoGpus()


DISKS = ("sda", "sdb", "nvme0n1", "nvme1n1", "cciss!c0d0", "vda", "mmcblk0", "sr0")
"""Of a machine with a RAID controller, and an NVMe disk `nvme1n1` that is reached by two paths."""

PATHS = ("nvme1c0n1", "nvme1c1n1")
BUILT = ("loop0", "ram0", "zram0", "dm-0", "dm-1", "md0", "md127", "bcache0", "nbd0", "drbd1", "zd0")
INTERFACES = ("eth0", "eth1", "eno1", "ib0")
VIRTUAL = ("lo", "docker0", "br-5e21", "veth1a2b3c", "bond0", "vlan7", "virbr0", "tun0", "ifb0")


def made_up_sys(folder: Path) -> Path:
    """Write the tree of /sys as kernels do: devices in /sys/devices, links to them, a link `device` on real ones."""

    def entry(kind: str, name: str, place: str, *, real: bool, hidden: bool = False) -> None:
        home = folder / "devices" / place / name
        home.mkdir(parents=True)
        if real:
            (home / "device").symlink_to("..")
        (home / "hidden").write_text(f"{int(hidden)}\n")
        (folder / kind).mkdir(parents=True, exist_ok=True)
        (folder / kind / name).symlink_to(home)

    for name in DISKS:
        where = "virtual/nvme-subsystem/nvme-subsys1" if name == "nvme1n1" else "pci0000:00/block"
        entry("block", name, where, real=True)
    for name in PATHS:
        entry("block", name, "pci0000:00/nvme", real=True, hidden=True)
    for name in BUILT:
        entry("block", name, "virtual/block", real=False)
    for name in INTERFACES:
        entry("class/net", name, "pci0000:00/net", real=True)
    for name in VIRTUAL:
        entry("class/net", name, "virtual/net", real=False)
    return folder


class Machine:
    """A clock and counters that a test sets."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
        self.now = 1_795_000_000 * SECOND
        self.networks: Counters = {}
        self.disks: Counters | None = {}
        monkeypatch.setattr(psutil, "net_io_counters", self._networks)
        monkeypatch.setattr(psutil, "disk_io_counters", self._disks)
        self.sys = made_up_sys(folder / "sys")
        self.source = HostSource("gpu1", clock=lambda: self.now, gpus=NO_GPUS, sys=self.sys)

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
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Machine:
    return Machine(monkeypatch, tmp_path)


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


def test_physical_disks_are_counted_once_and_nothing_that_lies_upon_them(machine: Machine) -> None:
    names = [*(name.replace("!", "/") for name in DISKS), *PATHS, *BUILT, "sda1", "cciss/c0d0p1", "nvme1n1p1"]
    disks = dict.fromkeys(names, (1, 1))
    machine.sample(disks=disks)
    counted = devices(machine.sample(disks=disks), "disk")
    assert list(counted) == ["sda", "sdb", "nvme0n1", "nvme1n1", "cciss/c0d0", "vda", "mmcblk0"]


def test_interfaces_of_containers_make_no_rates_however_many_come(machine: Machine) -> None:
    networks = dict.fromkeys((*INTERFACES, *VIRTUAL), (5, 5))
    machine.sample(networks=networks)
    for number in range(3):
        networks = {**networks, f"veth{number}": (5, 5)}
        assert list(devices(machine.sample(networks=networks), "network")) == list(INTERFACES)


def test_others_are_counted_where_the_configuration_names_them(machine: Machine) -> None:
    parts = Parts(interfaces=["bond0", "eth1"], disks=["md0", "cciss/c0d0", "sda1"])
    machine.source = HostSource("gpu1", clock=lambda: machine.now, gpus=NO_GPUS, parts=parts, sys=machine.sys)
    networks = dict.fromkeys((*INTERFACES, *VIRTUAL), (5, 5))
    disks = dict.fromkeys(("sda", "sda1", "cciss/c0d0", "md0", "md127"), (1, 1))
    for _ in range(2):
        sample = machine.sample(networks=networks, disks=disks)
    assert list(devices(sample, "network")) == ["eth1", "bond0"]
    assert list(devices(sample, "disk")) == ["sda1", "cciss/c0d0", "md0"]


def test_a_container_that_sees_no_physical_interface_shows_its_own(machine: Machine, tmp_path: Path) -> None:
    machine.source = HostSource("gpu1", clock=lambda: machine.now, gpus=NO_GPUS, sys=tmp_path / "none")
    networks = dict.fromkeys(("lo", "eth0", "veth1a2b3c", "br-5e21", "docker0"), (5, 5))
    machine.sample(networks=networks)
    assert list(devices(machine.sample(networks=networks), "network")) == ["eth0"]


def test_this_machines_own_disks_and_interfaces_are_devices() -> None:
    disks = disk_counters()
    assert not [name for name in disks if name.startswith(("loop", "zram", "dm-", "md", "bcache"))]
    real = [
        e.name for e in Path("/sys/block").glob("*") if "/virtual/" not in str(e.resolve()) and (e / "device").exists()
    ]
    assert set(disks) >= {name for name in real if name.startswith(("sd", "vd", "xvd"))}
    assert "lo" not in network_counters()


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
    machine: Machine, tmp_path: Path
) -> None:
    machine.source = HostSource("gpu1", clock=lambda: machine.now, gpus=NO_GPUS, sys=tmp_path / "none")
    names = (
        "sda",
        "sda1",
        "sda15",
        "nvme0n1",
        "nvme0n1p1",
        "vdb1",
        "mmcblk0",
        "mmcblk0p2",
        "dm-0",
        "loop7",
        "zram0",
        "bcache0",
        "nvme0c0n1",
    )
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
            answers.wait(60)
            return (DeviceSample(kind="gpu", device="0", use=5.0),)

    source = HostSource("gpu1", gpus=Hanging())
    began = time.monotonic()
    assert devices(source.sample([]), "gpu") == {}
    assert time.monotonic() - began < 30
    monkeypatch.setattr(source_of_samples, "STALE", 0.0)
    (silent,) = devices(source.sample([]), "gpu").values()
    assert silent.device == ""
    assert "has not answered" in silent.note
    monkeypatch.undo()
    answers.set()
    found = later(lambda: source.sample([]), lambda s: bool(devices(s, "gpu")))
    assert devices(found, "gpu")["0"].use == 5.0
