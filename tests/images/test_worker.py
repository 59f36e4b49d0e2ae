"""The process that renders answers each request in turn, and a bad one with a reason."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from cryowatch.images.subject import Subject, to_json
from cryowatch.records import ImageKind
from tests.support.image_files import mrc


def answers(*requests: tuple[Subject, int]) -> list[tuple[list[Any], bytes]]:
    """Return what a worker answers, head and image, and let it end."""
    lines = b"".join(json.dumps([to_json(subject), size]).encode() + b"\n" for subject, size in requests)
    command = [sys.executable, "-P", "-m", "cryowatch.images.worker"]
    out = io.BytesIO(subprocess.run(command, input=lines, stdout=subprocess.PIPE, check=True).stdout)
    found = []
    while line := out.readline():
        head = json.loads(line)
        found.append((head, out.read(head[2]) if head[0] == "ok" else b""))
    return found


def test_each_request_is_answered_in_turn(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 1, (3, 600, 800))
    stack = mrc(tmp_path / os.fsdecode(b"caf\xe9\n.mrcs"), noise)
    kind = ImageKind.MICROGRAPH
    first, third, spectrum, plot, missing = answers(
        (Subject(kind=kind, path=stack), 128),
        (Subject(kind=kind, path=stack, index=2), 128),
        (Subject(kind=ImageKind.POWER_SPECTRUM, path=stack, computed=True), 256),
        (Subject(kind=ImageKind.SHIFT_PLOT, shifts=((0.0, 1.0), (0.0, 1.0))), 256),
        (Subject(kind=kind, path=stack, index=3), 128),
    )
    assert first[0] == ["ok", "image/jpeg", len(first[1]), 800, 600]
    assert third[0][0] == "ok"
    assert first[1] != third[1]
    assert spectrum[0][3:] == [512, 512]
    assert plot[0] == ["ok", "image/png", len(plot[1]), None, None]
    assert missing[0][0] == "ImageMissing"
    assert missing[0][1].isprintable()
    for (_, data), size in ((first, (128, 96)), (third, (128, 96)), (spectrum, (256, 256)), (plot, (256, 192))):
        with Image.open(io.BytesIO(data)) as image:
            assert image.size == size


def test_what_would_take_all_memory_takes_none_from_others(tmp_path: Path) -> None:
    script = (
        "import io, sys; from cryowatch.images import worker;"
        "sys.stdin = io.TextIOWrapper(io.BytesIO()); worker.main(); bytearray(2 * 10**9)"
    )
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=False)
    assert "MemoryError" in done.stderr
