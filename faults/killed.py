"""The agent is killed with -9 at random moments while a project grows: nothing is lost, nothing duplicated.

A real influxd receives the points and a folder the images; both are compared with the project at the end.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

from PIL import Image

from faults.site import Project, Site, delivered, workplace
from faults.verdicts import Verdicts
from tests.support.influxd import InfluxServer


def killed(moments: int, *, every: float = 0.1, longest: float = 3.0, quiet: bool = False) -> Verdicts:
    """Kill the agent so many times, up to `longest` seconds after its start, while micrographs come `every` seconds."""
    found = Verdicts("The agent is killed with -9 at random moments under load", quiet=quiet)
    chance = random.Random(11)
    with workplace() as folder:
        server = InfluxServer(folder / "influx")
        try:
            server.query("CREATE DATABASE scipion")
            published = folder / "published"
            site = Site(folder, influx=server.url, publish=f"file://{published}", more="[alerts]\nenabled = false")
            project = Project(site.projects / "alpha")
            project.grow(20)
            project.start(every)
            working, ahead = 0, 0
            for _ in range(moments):
                site.start()
                time.sleep(chance.uniform(0.2, longest))
                before = len(site.stored())
                working += before > ahead
                ahead = before
                site.kill()
            project.stop()
            status = site.finish()
            _compare(found, site, project, server, published, f"{moments} kills, {working} of them while items arrived")
            found.promise("the last run ends with everything delivered", kept=status == 0, otherwise=site.said()[-500:])
        finally:
            project.stop()
            site.kill()
            server.stop()
    return found


def _compare(found: Verdicts, site: Site, project: Project, server: InfluxServer, published: Path, what: str) -> None:
    stored, points = site.stored(), delivered(server)
    found.figure(
        f"{what}; {len(project.written):,} micrographs written meanwhile, and {3 * len(project.written):,} images"
    )
    found.promise("the store contains each item once, with its values", kept=stored == project.written,
                  otherwise=_difference(stored, project.written))  # fmt: skip
    found.promise("the integrity check finds no errors", kept=site.whole() == "ok", otherwise=site.whole())
    found.promise("InfluxDB contains each item once, with its values", kept=points == sorted(project.written.items()),
                  otherwise=f"{len(points)} points of {len({n for n, _ in points})} items")  # fmt: skip
    names = [name for row in site.rows("SELECT micrograph, power_spectrum, shift_plot FROM published") for name in row]
    files = [str(file.relative_to(published)) for file in published.rglob("*") if file.is_file()]
    once = Counter(names) == Counter(files) and len(files) == 3 * len(project.written)
    found.promise("each image is in the published folder once, and nothing else is", kept=once,
                  otherwise=f"{len(files)} files, {len(names)} known, {3 * len(project.written)} expected")  # fmt: skip
    linked = server.rows("SELECT ctfID, micUrl, psdUrl, shiftUrl FROM image")
    links = Counter(url.rpartition("/")[2] for row in linked for url in (row["micUrl"], row["psdUrl"], row["shiftUrl"]))
    pointed = links == Counter(name.rpartition("/")[2] for name in files)
    found.promise("InfluxDB lists each image once", kept=pointed, otherwise=f"{len(linked)} points")
    whole = sum(_opens(published / name) for name in files)
    found.promise("every image opens", kept=whole == len(files), otherwise=f"{len(files) - whole} do not")


def _difference(one: dict[int, float], other: dict[int, float]) -> str:
    missing, strange = sorted(other.keys() - one.keys()), sorted(one.keys() - other.keys())
    wrong = [n for n in one.keys() & other.keys() if one[n] != other[n]]
    return f"{len(missing)} are missing {missing[:5]}, {len(strange)} too many, {len(wrong)} wrong"


def _opens(file: Path) -> bool:
    try:
        with Image.open(file) as image:
            image.load()
    except OSError:
        return False
    return True
