"""The made-up session is plausible, written as Scipion writes, and ends when it should."""

from __future__ import annotations

import itertools
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from PIL import Image

from cryowatch.demo.gain import residual
from cryowatch.demo.optics import Defocus, Optics, Plane, grid, power_spectrum, transfer
from cryowatch.demo.session import DemoSession, Event, timetable, unfold
from cryowatch.demo.specimen import Specimen
from cryowatch.demo.story import exposure
from tests.scipion.framework import api_values
from tests.support.projects import Watched

OPTICS = Optics()
CTFS = "Runs/000135_CistemProtCTFFind/ctfs.sqlite"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo") / "session"
    session = DemoSession(folder)
    events = timetable(30, 4.0, time.time())
    session.begin(events[0].time)
    for event in events:
        session.happen(event, event.time)
    session.end(events[-1].time)
    return folder


@pytest.fixture
def watched(project: Path, tmp_path: Path) -> Iterator[Watched]:
    found = Watched(project, tmp_path / "data")
    found.look()
    yield found
    found.close()


def test_electrons_of_300_kv_have_the_wavelength_of_the_tables() -> None:
    assert Optics(voltage=300).wavelength == pytest.approx(0.0197, abs=5e-5)
    assert Optics(voltage=200).wavelength == pytest.approx(0.0251, abs=5e-5)


def test_the_first_zero_of_the_ctf_is_where_theory_has_it() -> None:
    frequency = np.linspace(0.001, 0.1, 5_000, dtype=np.float32)[None, :]
    optics = Optics(spherical_aberration=0, amplitude_contrast=0)
    ctf = transfer(frequency, np.zeros_like(frequency), optics, Defocus(u=10_000, v=10_000, angle=0))[0]
    first = frequency[0][np.nonzero(np.diff(np.sign(ctf)))[0][0]]
    assert first == pytest.approx(1 / math.sqrt(optics.wavelength * 10_000), rel=2e-3)


def fitted(plane: Plane, pixel_size: float, *, upto: float) -> float:
    """Return the defocus in Å whose CTF squared agrees best with a centred spectrum, down to a resolution in Å."""
    frequency, theta = grid(plane.shape[0], plane.shape[1], pixel_size)
    inside = (frequency > 1 / 60) & (frequency < 1 / upto)
    measured = plane[inside] - plane[inside].mean()
    tried = np.arange(5_000, 30_000, 100.0)
    agreement = []
    for defocus in tried:
        ctf = transfer(frequency[inside], theta[inside], OPTICS, Defocus(u=defocus, v=defocus, angle=0)) ** 2
        ctf -= ctf.mean()
        agreement.append(float((measured * ctf).sum() / np.linalg.norm(ctf)))
    return float(tried[int(np.argmax(agreement))])


@pytest.mark.parametrize("defocus", [9_000.0, 14_000.0, 21_000.0])
def test_the_thon_rings_of_a_spectrum_fit_its_defocus(defocus: float) -> None:
    chosen = Defocus(u=defocus + 100, v=defocus - 100, angle=30)
    plane = power_spectrum(np.random.default_rng(1), OPTICS, chosen, size=384, pixel_size=1.4, resolution=3.2)
    right = plane.copy()
    right[:, :192] = right[:, 192:][:, ::-1]
    assert fitted(right, 1.4, upto=5) == pytest.approx(defocus, abs=300)


def test_the_rings_of_a_micrograph_fit_its_defocus() -> None:
    random = np.random.default_rng(2)
    specimen = Specimen(random, OPTICS, height=600, width=600, pixel_size=4.15)
    greys = specimen.micrograph(
        Defocus(u=15_100, v=14_900, angle=10), particles=60, thickness=1.0, drift=(0, 0), crystals=0, edge=False
    )
    spectrum = np.log(np.abs(np.fft.fftshift(np.fft.fft2(greys.astype(np.float32)))) + 1)
    assert fitted(spectrum, 4.15, upto=12) == pytest.approx(15_000, abs=500)
    assert len(np.unique(greys)) > 50


def test_exposures_are_the_same_in_every_run_and_some_are_bad() -> None:
    shots = [exposure(n, 7) for n in range(1, 401)]
    assert shots == [exposure(n, 7) for n in range(1, 401)]
    good = [s for s in shots if s.resolution < 6]
    assert 0.85 < len(good) / len(shots) < 0.98
    assert any(not s.fitted for s in shots)
    assert any(s.crystals > 3 for s in shots)
    assert max(s.defocus.u for s in shots) > 40_000
    assert min(s.defocus.v for s in shots) > 0.5e4
    total, early, late = shots[0].motion
    assert total == pytest.approx(early + late)


def test_the_timetable_has_a_past_a_pause_and_an_end() -> None:
    events = timetable(400, 2.0, 1_000_000.0)
    assert [e.time for e in events] == sorted(e.time for e in events)
    assert {(e.stage, e.number) for e in events} == {(s, n) for s in range(3) for n in range(1, 401)}
    assert sum(e.time <= 1_000_000 for e in events if e.stage == 2) == 160
    imports = [e.time for e in events if e.stage == 0]
    gaps = [b - a for a, b in itertools.pairwise(imports)]
    assert sum(gap > 20 for gap in gaps) == 2
    assert len(timetable(1, 1.0, 0.0)) == 3


def test_what_is_stored_of_the_session_is_what_happened(watched: Watched) -> None:
    rows = watched.items()
    assert watched.state() == ("ok", "")
    assert sorted(rows) == list(range(1, 31))
    for number, row in rows.items():
        shot = exposure(number, 7)
        if shot.fitted:
            assert (row["defocus_u"], row["defocus_v"]) == pytest.approx((shot.defocus.u, shot.defocus.v))
            assert row["resolution"] == pytest.approx(shot.resolution)
        else:
            assert (row["defocus_u"], row["defocus"], row["resolution"]) == (None, None, None)
        assert row["motion_total"] == pytest.approx(shot.motion[0])


def test_every_tenth_movie_has_a_gain_residual_from_when_it_was_aligned(watched: Watched) -> None:
    rows = watched.store.reader().rows("SELECT * FROM gain ORDER BY item")
    assert [row["movie"] for row in rows] == [f"movie_{number:06d}" for number in (1, 11, 21)]
    movies = watched.items("outputMicrographs")
    for number, row in zip((1, 11, 21), rows, strict=True):
        found = residual(number, 7)
        assert row["stddev"] == pytest.approx(found.stddev, abs=1e-6)
        assert row["ratio1"] == pytest.approx(found.high / found.low, abs=1e-5)
        assert row["ratio2"] == pytest.approx(found.most / found.high, abs=1e-5)
        written = min(movies[number]["time"], time.time_ns())  # no file is from the future
        assert row["time"] == pytest.approx(written, abs=60 * 10**9)


def test_a_gain_reference_ages_until_it_is_renewed() -> None:
    found = [residual(number, 7) for number in range(1, 501, 10)]
    assert all(r.stddev < 0.04 and r.high / r.low < 1.15 for r in found)
    assert 5 <= sum(r.most / r.high > 4.5 for r in found) <= 15
    assert found[25].stddev > 1.5 * found[0].stddev
    assert found[27].stddev < found[25].stddev


def test_every_image_that_is_named_is_there_and_whole(project: Path, watched: Watched) -> None:
    for row in watched.items().values():
        with mrcfile.open(project / row["micrograph_path"]) as micrograph:
            assert micrograph.data.shape == (818, 1152)
            assert float(micrograph.voxel_size.x) == pytest.approx(4.15)
        with mrcfile.open(project / row["power_spectrum_path"]) as spectrum:
            assert spectrum.data.shape == (384, 384)
        with Image.open(project / row["shift_plot_path"]) as plot:
            assert plot.size == (640, 480)


@pytest.mark.scipion
def test_scipion_itself_reads_the_session(project: Path, watched: Watched) -> None:
    values = api_values(project)
    assert [len(items) for items in values.values()] == [30, 30, 30]
    rows = watched.items()
    for item in values[CTFS]:
        row = rows[item["item"]]
        assert row["name"] == item["name"]
        if row["defocus_u"] is not None:
            assert (row["defocus_u"], row["defocus_v"]) == (item["defocus_u"], item["defocus_v"])
            assert (row["resolution"], row["fit_quality"]) == (item["resolution"], item["fit_quality"])


def test_the_session_unfolds_in_time_and_stops_when_told(tmp_path: Path) -> None:
    now = 1_000_000.0
    waited: list[float] = []

    def wait(seconds: float) -> bool:
        nonlocal now
        now += max(0.0, seconds)
        waited.append(seconds)
        return len(waited) < 100

    unfold(DemoSession(tmp_path / "s"), micrographs=40, every=5.0, wait=wait, clock=lambda: now)
    assert len(waited) == 100
    assert any(seconds > 0 for seconds in waited)
    assert (tmp_path / "s" / "project.sqlite").exists()


class Beginning(DemoSession):
    """Notes which images are there when its project is."""

    images = 0

    def begin(self, started: float, past: Sequence[Event] = ()) -> None:
        self.images = pictures(self._root)
        assert not (self._root / "project.sqlite").exists()
        super().begin(started, past)


def pictures(project: Path) -> int:
    return sum(path.suffix in (".mrc", ".png") for path in project.glob("Runs/*/extra/*"))


def test_the_newest_images_are_there_before_the_project_is_and_the_others_soon(tmp_path: Path) -> None:
    session = Beginning(tmp_path / "s")
    end = time.monotonic() + 30

    def wait(seconds: float) -> bool:
        if seconds > 0:
            time.sleep(0.05)
        return pictures(tmp_path / "s") < 3 * 60 + 2 and time.monotonic() < end

    unfold(session, micrographs=150, every=4.0, wait=wait)
    assert session.images >= 3 * 39
    assert pictures(tmp_path / "s") >= 3 * 60 + 2
    files = sorted((tmp_path / "s").glob("Runs/*/extra/*_aligned_mic.mrc"))
    assert len({file.read_bytes() for file in files}) > len(files) / 2, "hardly two look the same"


ORPHAN = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-m", "cryowatch.demo", sys.argv[1], "--micrographs", "1000", "--every", "9"])
print(child.pid, flush=True)
sys.stdin.read()
"""


def alive(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_the_writer_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHAN, tmp_path / "s"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    try:
        end = time.monotonic() + 15
        while not (tmp_path / "s" / "project.sqlite").exists() and time.monotonic() < end:
            time.sleep(0.05)
        parent.kill()
        parent.communicate()
        while alive(child) and time.monotonic() < end:
            time.sleep(0.05)
        assert not alive(child)
    finally:
        if alive(child):
            os.kill(child, signal.SIGKILL)


def test_a_session_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "cryowatch.demo",
        tmp_path / "taken" / "s",
        "--micrographs",
        "3",
        "--every",
        "1",
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    assert said.returncode == 1
    assert len(said.stderr.splitlines()) == 1
    assert "Traceback" not in said.stderr
    assert said.stdout == ""
