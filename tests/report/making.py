"""Sessions in a real store for tests of reports, with images where they are wanted, and reports of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cryowatch.dashboards import STANDARD, Dashboard
from cryowatch.images import ImageServer
from cryowatch.records import DeviceSample, GainResidual, HostSample, Micrograph, OutputKind
from cryowatch.report import Made, Maker
from cryowatch.store import Store
from tests.support.records import SECOND, START, micrograph, output, reading, run, session, span

HOSTILE = "</script><script>window.harmed=1</script> \"'`& <!-- {file} 😀 \u2028\n--rsh=sh"
LATER = START + 2 * 3600 * SECOND


class Sessions:
    """A store, the projects' folder, and what renders."""

    def __init__(self, folder: Path, dashboards: Sequence[Dashboard] = STANDARD) -> None:
        self.folder = folder
        self.store = Store(folder / "data")
        self.images = ImageServer(folder / "data" / "images")
        self.now = LATER
        self.maker = Maker(
            reader=self.store.reader(), images=self.images, dashboards=dashboards, clock=lambda: self.now
        )

    def close(self) -> None:
        self.images.close()
        self.store.close()

    def add(
        self,
        name: str,
        micrographs: Sequence[Micrograph],
        *,
        gains: Sequence[GainResidual] = (),
        folder: str = "alpha",
        **values: Any,
    ) -> str:
        """Store a session with a CTF estimate, and an alignment of the same micrographs; returns its key."""
        registered = self.store.register(session(str(self.folder / folder), name=name, **values))
        aligned = [
            replace(m, run="67", output="outputMicrographs", defocus_u=None, defocus_v=None, resolution=None)
            for m in micrographs
        ]
        self.store.commit(
            registered.session,
            reading(
                span(micrographs),
                span(aligned, run="67", output="outputMicrographs"),
                session=session(str(self.folder / folder), name=name, **values),
                runs=(run("67", label="motioncor"), run(label=name), run("171", label="gain")),
                gains=tuple(gains),
                outputs=(
                    output("67", "outputMicrographs", kind=OutputKind.MICROGRAPHS, class_name="SetOfMicrographs"),
                    output(),
                ),
            ),
            now=LATER,
        )
        return registered.key

    def sample(self, at: int, cpu: float) -> None:
        """Store a sample of the host on which the sessions ran."""
        devices = (DeviceSample(kind="filesystem", device="/data", used=cpu, free=1e12),)
        self.store.add_host_sample(
            HostSample(host="gpu1", time=at, cpu=cpu, memory=40.0, swap=0.0, load=1.0, devices=devices)
        )

    def pictures(self, count: int, *, side: int = 300, folder: str = "alpha") -> list[Micrograph]:
        """Return micrographs that have images: noise, which takes most space."""
        place = self.folder / folder
        place.mkdir(exist_ok=True)
        noise = np.random.default_rng(1).integers(0, 255, (side, side), dtype=np.uint8)
        made = []
        for item in range(1, count + 1):
            Image.fromarray(np.roll(noise, item, axis=1)).save(place / f"{item}.png")
            made.append(micrograph(item, micrograph_path=f"{item}.png", power_spectrum_path="", shift_plot_path=""))
        return made

    def make(self, key: str, *, size_mb: float = 20.0, name: str = "report.html", **options: Any) -> Made:
        """Write a report into the folder."""
        return self.maker.make(key, self.folder / name, size_mb=size_mb, **options)


def soon(found: Any, seconds: float = 10.0) -> Any:
    """Return what `found` returns as soon as that is true; raises AssertionError when it takes too long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := found():
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {seconds} s")
