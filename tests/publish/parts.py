"""Half-written files as agents of several kinds leave them."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from cryowatch.publish.parts import STALE_SECONDS, part_of


def leave(folder: Path) -> tuple[list[str], list[str]]:
    """Write half files into a new folder; return the names of those whose writer is gone, and of those to be kept."""
    folder.mkdir()
    ours, elsewhere = part_of("1.jpg"), "0123abcd-{}-0123abcd-0123abcd.part"
    ended = subprocess.Popen(["true"])
    ended.wait()
    host, run = ours.split(".")[-2].split("-")[0], "0123abcd-0123abcd"
    old = [f"6.jpg.{elsewhere.format(1)}", f"7.jpg.{host}-1-{run}.part", "notes.part"]
    gone = [f"2.jpg.{host}-{ended.pid}-{run}.part", f"3.jpg.{host}-{os.getpid()}-{run}.part", *old[:2]]
    kept = [ours, f"4.jpg.{host}-1-{run}.part", f"5.jpg.{elsewhere.format(1)}", old[2]]
    for name in {*gone, *kept}:
        (folder / name).write_text("half")
    for name in old:
        os.utime(folder / name, (time.time() - STALE_SECONDS - 60,) * 2)
    return gone, kept
