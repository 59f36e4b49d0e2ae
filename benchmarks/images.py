"""How long the first look at a micrograph takes, compared with a plain read of its file into memory.

A 5760 x 4092 float32 MRC file to a JPEG of 512 pixels, one of 11,520 x 8,184, the power spectra computed from both, and
both formats of compression.  Each round is a separate process, as the agent's worker has one thread.  All files are in
the page cache.  "Memory" is the growth of the peak resident memory after importing the required modules.
"""

from __future__ import annotations

import argparse
import bz2
import gzip
import io
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from measuring.figures import Rounds, ratio, show, title
from measuring.projects import workplace

_MB = 1e6
_TIMES = 1.6
_MEMORY = 60.0
_SINGLE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def peak() -> float:
    """Return the peak of this process's resident memory in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024 / _MB
    return 0.0


def skim(path: Path) -> None:
    """Read a file to its end, unpacked where it is compressed, in pieces of a megabyte that are not kept."""
    piece = bytearray(1_000_000)
    kinds = {".gz": gzip.GzipFile, ".bz2": bz2.BZ2File}
    with kinds.get(path.suffix, io.FileIO)(path) as file:
        while file.readinto(piece):
            pass


def child(path: Path, what: str) -> None:
    """Do one round and print it as JSON."""
    from cryowatch.images.render import render  # noqa: PLC0415  a round's process imports what it measures, no more
    from cryowatch.images.subject import Subject  # noqa: PLC0415
    from cryowatch.records import ImageKind  # noqa: PLC0415

    before = peak()
    began = time.perf_counter()
    match what:
        case "read":
            path.read_bytes()
        case "skim":
            skim(path)
        case "spectrum":
            render(Subject(kind=ImageKind.POWER_SPECTRUM, path=path, computed=True), 512)
        case _:
            render(Subject(kind=ImageKind.MICROGRAPH, path=path), 512)
    print(json.dumps({"seconds": time.perf_counter() - began, "memory": peak() - before}))


def rounds(path: Path, number: int, *kinds: str) -> dict[str, tuple[Rounds, Rounds]]:
    """Return seconds and memory of rounds of each kind, taken in turn so that a busy machine harms all alike."""
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for _ in range(number):
        for kind in kinds:
            command = [sys.executable, __file__, "--child", kind, "--file", str(path)]
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env={**os.environ, **_SINGLE})
            found[kind].append(json.loads(done.stdout))
    return {
        kind: (Rounds([o["seconds"] for o in of_kind]), Rounds([o["memory"] for o in of_kind], "MB"))
        for kind, of_kind in found.items()
    }


def measure(path: Path, number: int) -> None:
    """Print the figures of one plain file."""
    measured = rounds(path, number, "read", "skim", "render", "spectrum")
    plain, _ = measured["read"]
    for kind, words in (("render", "micrograph to a JPEG of 512 pixels"), ("spectrum", "its computed power spectrum")):
        seconds, memory = measured[kind]
        show(words, seconds)
        ratio(seconds, plain, "a plain read")
        ratio(seconds, measured["skim"][0], "a read in pieces that are discarded")
        if kind == "render":
            times = seconds.median / plain.median
            print(f"  goal {_TIMES} times: {'reached' if times <= _TIMES else 'MISSED'}")
        show("memory", memory, goal=_MEMORY)


def main() -> None:
    """Measure and print."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=7)
    for name in ("--child", "--file"):
        p.add_argument(name, help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.child:
        child(Path(a.file), a.child)
        return
    import mrcfile  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415

    with workplace() as folder:
        path = folder / "micrograph.mrc"
        for width, height in ((11_520, 8184), (5760, 4092)):
            plane = np.random.default_rng(7).normal(100, 10, (height, width)).astype(np.float32)
            mrcfile.write(path, plane, voxel_size=0.83, overwrite=True)
            title(f"images: {width:,} x {height:,} float32 MRC ({path.stat().st_size / _MB:.0f} MB)")
            measure(path, a.rounds)
        mrcfile.write(path, np.random.default_rng(7).poisson(20, (4092, 5760)).astype(np.int16), overwrite=True)
        content = path.read_bytes()
        for packed, suffix in ((gzip.compress(content, 6), "gz"), (bz2.compress(content), "bz2")):
            path = folder / f"micrograph.mrc.{suffix}"
            path.write_bytes(packed)
            title(f"images: 5,760 x 4,092 int16 MRC, compressed with {suffix} to {len(packed) / _MB:.0f} MB")
            measured = rounds(path, min(a.rounds, 3), "skim", "render")
            seconds, memory = measured["render"]
            show("micrograph to a JPEG of 512 pixels", seconds)
            ratio(seconds, measured["skim"][0], "unpacking it")
            show("memory", memory, goal=_MEMORY)


if __name__ == "__main__":
    main()
