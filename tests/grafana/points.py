"""A handful of points of three projects in both layouts, written by hand, and the values behind them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

SECOND = 10**9
BEGIN = 1_700_000_000
START, STOP = BEGIN - 3600, BEGIN + 7200
LONG_AGO = BEGIN - 5 * 86400
COUNT = 60
PROJECTS = ("20S-proteasome", r"42 a-b/c\d 'e' " + r'"f" $5 %20 (g)*[h]{2}^i|j+k?.,=é漢', ".*")
"""The second holds everything that some quoting trips over; the third would match all others as an expression."""


@dataclass(frozen=True)
class Micrograph:
    """One micrograph of a project; `item` 0 has no CTF estimate."""

    time: int
    item: int
    name: str
    u: float
    v: float
    resolution: float | None
    phase: float | None

    @property
    def defocus(self) -> float:
        return (self.u + self.v) / 2

    @property
    def astigmatism(self) -> float:
        return abs(self.u - self.v)


def micrographs(project: str) -> list[Micrograph]:
    """Return a project's micrographs with CTF; no two projects share a value."""
    k = PROJECTS.index(project)
    found = []
    for i in range(1, COUNT + 1):
        v = 10_000.0 + 500 * i + k
        resolution = None if i % 7 == 3 else 3.0 + i / 10 + k / 100
        phase = 10.0 + i + k / 100 if i % 2 else None
        time = (BEGIN + 20 * i) * SECOND + i
        found.append(Micrograph(time, i, f"mic_{k}_{i:03}", v + 10 * i, v, resolution, phase))
    return found


def motion(project: str) -> list[tuple[int, float]]:
    """Return time and motion of the micrographs before their CTF was estimated."""
    k = PROJECTS.index(project)
    return [((BEGIN + 20 * i - 5) * SECOND + i, 5.0 + i + k / 100) for i in range(1, COUNT + 1)]


def gains(project: str) -> list[tuple[int, float, float, float]]:
    """Return time, standard deviation and the two ratios of a project's movies."""
    k = PROJECTS.index(project)
    return [((BEGIN + 60 * i) * SECOND + i, 0.01 * i + k / 1000, 1 + i / 10, 4 + i / 10) for i in range(1, 6)]


def samples(host: int) -> list[tuple[int, float]]:
    """Return time and CPU load of a host."""
    return [((BEGIN + 10 * i) * SECOND, 10.0 * host + i) for i in range(6)]


def host(project: str) -> str:
    return f"gpu{PROJECTS.index(project)}"


def _escaped(text: str) -> str:
    return text.replace(",", r"\,").replace("=", r"\=").replace(" ", r"\ ")


def _measurement(text: str) -> str:
    return text.replace(",", r"\,").replace(" ", r"\ ")


def _text(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _fields(**values: float | str | None) -> str:
    return ",".join(f"{name}={value}" for name, value in values.items() if value is not None)


def cryowatch_lines() -> Iterator[str]:
    """Yield everything in the layout `cryowatch`."""
    for k, project in enumerate(PROJECTS):
        tags = f"project={_escaped(project)},host={host(project)}"
        yield f'session,{tags} status="running",voltage=200.0,software="old" {LONG_AGO * SECOND}'
        values = f'status="finished",voltage=300.0,pixelSize={1 + k / 10},software="3.{k}"'
        yield f"session,{tags} {values} {(LONG_AGO + 9) * SECOND}"
        yield f'session,{tags} status="later",voltage=100.0 {(STOP + 9) * SECOND}'
        yield f'run,{tags},run=12 label="ctf {k}",status="running" {(LONG_AGO - 60) * SECOND}'
        for time, status, size in (
            (LONG_AGO, "running", 1),
            (BEGIN, "running", 2),
            (BEGIN + 900, "finished", COUNT + k),
        ):
            at = time * SECOND
            yield f'run,{tags},run=12,output=outputCTF label="ctf {k}",status="{status}",size={size}.0 {at}'
            yield f'run,{tags},run=2,output=outputMovies label="import",status="running",size={100 * size}.0 {at}'
        yield f'run,{tags},run=30 label="picking",status="failed" {LONG_AGO * SECOND}'
        for m in micrographs(project):
            numbers = _fields(
                ctfID=f"{m.item}i", name=f'"{m.name}"', defocusU=m.u, defocusV=m.v, defocus=m.defocus,
                defocusAngle=m.item * 2.5, astigmatism=m.astigmatism, ratio=m.u / m.v, resolution=m.resolution,
                fitQuality=0.1 + m.item / 1000, phaseShift=m.phase, enabled="true", motionTotal=5.0 + m.item + k / 100,
                motionEarly=1.0, motionLate=4.0 + m.item + k / 100,
            )  # fmt: skip
            yield f"micrograph,{tags},run=12 {numbers} {m.time}"
            url = f"/public/img/scipionbox/{k}/{m.name}"
            urls = f'micUrl="{url}.jpg",psdUrl="{url}-psd.jpg",shiftUrl="{url}-shift.jpg"'
            yield f"image,{tags},run=12 {numbers},{urls} {m.time}"
        for time, total in motion(project):
            values = f'name="m",motionTotal={total},motionEarly=1.0,motionLate={total - 1},enabled=true'
            yield f"micrograph,{tags},run=7 {values} {time}"
        for time, stddev, one, two in gains(project):
            yield f'gain,{tags},run=5 movie="movie{k}",stddev={stddev},ratio1={one},ratio2={two} {time}'
        alert = "value=5.0,limit=4.0,active=true"
        yield f'alert,{tags},rule=defocus,severity=warning text="of {k}",{alert} {LONG_AGO * SECOND}'
        over = "value=5.0,limit=4.0,active=false"
        yield f'alert,{tags},rule=motion,severity=warning text="began {k}",{alert} {(BEGIN + 30) * SECOND + 2}'
        yield f'alert,{tags},rule=motion,severity=warning text="began {k}",{over} {(BEGIN + 90) * SECOND + 2}'
        tags = f"host={host(project)},rule=disk,severity=critical"
        yield f'alert,{tags} text="disk of {k}",subject="/data",{alert} {(BEGIN + 60) * SECOND + 3}'
        yield f'alert,{tags} text="disk of {k}",subject="/data",{over} {(BEGIN + 61) * SECOND + 3}'
        for time, cpu in samples(k):
            more = (
                f"load=3.0,cores=16.0,pressureCpu=1.0,pressureMem=0.0,pressureIo=2.5,gpuPow_0={cpu + 200},gpuProc_0=2.0"
            )
            disks = f"used:/data={cpu + 1},free:/data=100.0,total:/data=200.0,fullIn:/old=7.0"
            disks = disks if cpu % 10 == 0 else disks.replace("fullIn:/old", "fullIn:/data")
            yield f"system,host={host(project)} {_system(cpu)},{more},{disks} {time}"


def _system(cpu: float) -> str:
    return (
        f"cpu={cpu},mem={cpu + 20},swap=1.0,gpuUse_0={cpu + 30},gpuMem_0=5.0,gpuTem_0=60.0,gpuUse_1=7.0,"
        f"eth0_send={cpu + 2},eth0_recv={cpu + 3},disk_read={cpu + 4},disk_write={cpu + 5}"
    )


def scipion_lines() -> Iterator[str]:
    """Yield everything in the layout `scipion`, with two estimates of a writer that has zeros for "no value"."""
    for k, project in enumerate(PROJECTS):
        name = _measurement(project)
        for m in micrographs(project):
            url = f"/public/img/scipionbox/{k}/{m.name}.jpg"
            link = _text(f'<a href="{url}" target="_blank"> <img src="{url}" alt="{url}" width="128"></a>')
            numbers = _fields(
                ctfID=f"{m.item}i", defocusU=m.u, defocusV=m.v, defocus=m.defocus, astigmatism=m.astigmatism,
                ratio=m.u / m.v, resolution=m.resolution, fitQuality=0.1 + m.item / 1000, phaseShift=m.phase,
            )  # fmt: skip
            links = f"micPath={link},psdPath={link},shiftPlotPath={link},transferImage=true"
            yield f"{name},section=ctf {numbers},{links} {m.time}"
        for i in (1, 2):
            yield f"{name},section=ctf resolution=-1.0,defocus=0.0,ratio=0.0,transferImage=false {(BEGIN + i) * SECOND}"
        for time, stddev, one, two in gains(project):
            yield f"{name},section=gain idx={time % SECOND}.0,stddev={stddev},ratio1={one},ratio2={two} {time}"
        for time, cpu in samples(k):
            yield f"{name},section=system {_system(cpu)} {time}"
        yield f'{name},section=properties metric="<b>Status</b>",valueStr="RUNNING {k}" {(LONG_AGO + 2) * SECOND}'
        yield f'{name},section=properties metric="<b>Duration</b>",valueStr="1 h {k}" {(LONG_AGO + 3) * SECOND}'
        yield f'{name},section=acquisition metric="<b>Voltage (kV)</b>",valueNum={300 + k}.0 {LONG_AGO * SECOND}'
        yield f'{name},section=summary protocolName="<b>ctf {k} (12)</b>",output="",size="" {(LONG_AGO - 1) * SECOND}'
        yield f'{name},section=summary protocolName="",output="outputCTF",size="{COUNT + k}" {(LONG_AGO - 2) * SECOND}'
