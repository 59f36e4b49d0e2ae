"""Images of one project that take long to compute hold up nobody else's, on the same disk too."""

from __future__ import annotations

import asyncio
import bz2
import os
import struct
import time
from collections.abc import Sequence
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from cryowatch.errors import ImageAway, ImageError
from cryowatch.images import ImageServer, Subject
from cryowatch.records import ImageKind
from tests.support.image_files import noise

SIDE = 16_000
"""Such an image takes some seconds to unpack and to reduce, and lies in some kilobytes."""


def heavy(folder: Path, count: int) -> list[Path]:
    """Write micrographs of 256 megapixels, in a few kilobytes each."""
    folder.mkdir()
    first = folder / "head.mrc"
    mrcfile.write(first, np.zeros((4, 4), np.float32))
    head = bytearray(first.read_bytes()[:1024])
    struct.pack_into("<3i", head, 0, SIDE, SIDE, 1)
    struct.pack_into("<3i", head, 28, SIDE, SIDE, 1)
    rows = 1_000
    block = bz2.compress(bytes(4 * SIDE * rows), 9)
    image = folder / "0.mrc.bz2"
    image.write_bytes(bz2.compress(bytes(head)) + block * (SIDE // rows))
    for number in range(1, count):
        os.link(image, folder / f"{number}.mrc.bz2")
    return [folder / f"{number}.mrc.bz2" for number in range(count)]


def light(folder: Path, count: int) -> list[Path]:
    folder.mkdir()
    for number in range(count):
        mrcfile.write(folder / f"{number}.mrc", noise(256, 256).astype(np.float32))
    return [folder / f"{number}.mrc" for number in range(count)]


def of(paths: Sequence[Path]) -> list[Subject]:
    return [Subject(kind=ImageKind.MICROGRAPH, path=path, project=path.parent) for path in paths]


@pytest.mark.timeout(120)
def test_a_project_of_images_that_compute_for_long_holds_up_no_other(tmp_path: Path) -> None:
    hog, neighbour = of(heavy(tmp_path / "hog", 12)), of(light(tmp_path / "neighbour", 12))
    images = ImageServer(tmp_path / "cache")
    took: list[float] = []
    refused: list[str] = []

    async def look(subject: Subject) -> None:
        began = time.monotonic()
        await images.image(subject, 256)
        took.append(time.monotonic() - began)

    async def ask_again(subject: Subject) -> None:
        try:
            await images.image(subject, 256)
        except ImageError as error:
            refused.append(str(error))

    async def run() -> None:
        hogs = [asyncio.create_task(ask_again(subject)) for subject in hog]
        await asyncio.sleep(0.5)
        for subject in neighbour:
            await look(subject)
        ahead = asyncio.gather(images.image(hog[-1], 128, ahead=True), return_exceptions=True)
        (answer,) = await ahead
        assert isinstance(answer, ImageAway)
        assert "not rendered ahead" in str(answer)
        for task in hogs:
            task.cancel()

    asyncio.run(run())
    images.close()
    assert took[0] < 6, "the first one waits until the hog is known to be one"
    assert sorted(took[1:])[len(took) // 2] < 1, took
    assert max(took[1:]) < 3, took


def test_two_projects_take_turns(tmp_path: Path) -> None:
    many, few = of(light(tmp_path / "many", 30)), of(light(tmp_path / "few", 3))
    images = ImageServer(tmp_path / "cache")
    order: list[str] = []

    async def look(subject: Subject) -> None:
        await images.image(subject, 256)
        assert subject.project is not None
        order.append(subject.project.name)

    async def run() -> None:
        first = [asyncio.create_task(look(subject)) for subject in many]
        await asyncio.sleep(0.05)
        await asyncio.gather(*first, *(look(subject) for subject in few))

    asyncio.run(run())
    images.close()
    assert order.index("few") < 12
    assert max(place for place, name in enumerate(order) if name == "few") < 20
