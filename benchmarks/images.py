"""How long the first look at a micrograph takes: 5760 x 4092 float32 MRC to a JPEG of 512 pixels.

Each round is a process of its own.  Baseline: reading the file, in pieces of one megabyte.  The file is in the page
cache for both.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
from pathlib import Path

from measuring.figures import Rounds, ratio, show, title
from measuring.projects import workplace

_MB = 1e6


def memory(kind: str) -> float:
    """Return a figure of this process's memory in MB: VmHWM is the peak of all, RssAnon what is no file, now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) * 1024 / _MB
    return 0.0


def read(path: Path) -> None:
    """Read a file to its end."""
    piece = bytearray(1_000_000)
    with path.open("rb", buffering=0) as file:
        while file.readinto(piece):
            pass


def child(path: Path, what: str, *, watched: bool) -> None:
    """Do one round and print it as JSON; where `watched`, with the peak of anonymous memory, which slows it down."""
    began = time.perf_counter()
    if what == "render":
        from cryowatch.images.render import render  # noqa: PLC0415
        from cryowatch.model import ImageKind  # noqa: PLC0415

        def work() -> None:
            render(path, ImageKind.MICROGRAPH, 512)
    else:

        def work() -> None:
            read(path)

    imported = time.perf_counter() - began
    before, anonymous = memory("VmHWM"), memory("RssAnon")
    peak = [anonymous]
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.001):
            peak.append(memory("RssAnon"))

    watcher = threading.Thread(target=look)
    if watched:
        watcher.start()
    began = time.perf_counter()
    work()
    took = time.perf_counter() - began
    done.set()
    if watched:
        watcher.join()
    grown = {"all": memory("VmHWM") - before, "anonymous": max(peak) - anonymous}
    print(json.dumps({"seconds": took, "imported": imported, **grown}))


def one(path: Path, what: str, *more: str) -> dict[str, float]:
    """Run one round in a fresh process."""
    command = [sys.executable, __file__, "--child", what, "--file", str(path), *more]
    found: dict[str, float] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return found


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--size", type=int, nargs=2, default=(5760, 4092), metavar=("X", "Y"), help="pixels")
    for name in ("--child", "--file"):
        p.add_argument(name, help=argparse.SUPPRESS)
    p.add_argument("--watched", action="store_true", help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.child:
        child(Path(a.file), a.child, watched=a.watched)
        return
    import mrcfile  # noqa: PLC0415  a round's process imports what it measures, and no more
    import numpy as np  # noqa: PLC0415

    with workplace() as folder:
        path = folder / "micrograph.mrc"
        plane = np.random.default_rng(7).normal(0, 1, (a.size[1], a.size[0])).astype(np.float32)
        mrcfile.write(path, plane, voxel_size=0.83)
        read(path)
        megabytes = path.stat().st_size / _MB
        title(f"images: {a.size[0]} x {a.size[1]} float32 MRC ({megabytes:.0f} MB) to a JPEG of 512 pixels")
        rendered, plain = [], []
        for _ in range(a.rounds):
            plain.append(one(path, "read"))
            rendered.append(one(path, "render"))
        watched = [one(path, "render", "--watched") for _ in range(3)]
        seconds = Rounds([r["seconds"] for r in rendered])
        show("render", seconds)
        show("importing what it needs, once a process", Rounds([r["imported"] for r in rendered]))
        ratio(seconds, Rounds([r["seconds"] for r in plain]), "a plain read")
        show("peak of memory that is no file, above that before", Rounds([r["anonymous"] for r in watched], "MB"))
        show("peak of resident memory, with the mapped file", Rounds([r["all"] for r in rendered], "MB"))
        show("the same of the plain read", Rounds([r["all"] for r in plain], "MB"))


if __name__ == "__main__":
    main()
