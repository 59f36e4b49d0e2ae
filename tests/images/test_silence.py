"""What is said of a file that cannot be shown quotes nothing of it, and a file that is none keeps nobody waiting."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import struct
import time
from pathlib import Path

import pytest
from PIL import Image

from cryowatch.errors import ImageError, ImageMissing, ImageUnreadable
from cryowatch.images.render import render as render_subject
from cryowatch.images.subject import Subject
from cryowatch.records import ImageKind
from tests.images.test_worker import answers
from tests.support.image_files import header, render
from tests.support.strangers import ATTACKER, VICTIM, as_root, link, open_folder, owned

KEY = b"0123456789abcdefKEY-OF-SOMEBODY!" * 100


def png(data: bytes) -> bytes:
    """Return a PNG whose first chunk is one of that name."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 4) + data


CONTENTS = {
    "key.mrc": KEY,
    "mode.mrc": KEY[:12] + struct.pack("<i", 2) + KEY[16:],
    "size.mrc": struct.pack("<4i", 0x3031, 0x3233, 0x3435, 2) + b"\0" * 80 + KEY,
    "planes.mrc": struct.pack("<4i", 0x303, 0x301, 5, 2) + b"\0" * 2000,
    "key.mrc.gz": KEY,
    "key.mrc.bz2": KEY,
    "packed.mrc.gz": gzip.compress(KEY),
    "packed.mrc.bz2": bz2.compress(KEY),
    "key.png": KEY,
    "chunk.png": png(b"KEY-" + KEY),
    "key.tif": b"II*\0" + struct.pack("<I", 8) + KEY,
    "key.jpg": b"\xff\xd8\xff" + KEY,
}
TRACES = [
    *(str(struct.unpack_from("<i", KEY, at)[0]) for at in range(64)),
    "KEY",
    "b'",
    str(0x3031),
    str(0x3435),
    "0x",
    "771",
    "4,",
]


@pytest.mark.parametrize("name", CONTENTS)
def test_no_word_of_a_file_is_in_what_is_said_of_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(CONTENTS[name])
    for index in (0, 3):
        with pytest.raises(ImageError) as raised:
            render(tmp_path / name, index=index)
        said = str(raised.value).replace(name, "")
        assert [trace for trace in TRACES if trace in said] == [], said
        assert raised.value.what


def test_the_numbers_of_a_genuine_header_are_said(tmp_path: Path) -> None:
    (tmp_path / "1.mrc").write_bytes(header(40_000, 40_000, 2))
    with pytest.raises(ImageUnreadable, match=r"larger than can be shown \(40000 x 40000 pixels\)"):
        render(tmp_path / "1.mrc")


@pytest.mark.parametrize("name", ["pipe.mrc", "pipe.png", "pipe.mrc.gz", "folder.tif"])
def test_what_is_no_file_holds_up_no_process_that_renders(tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir() if "folder" in name else os.mkfifo(tmp_path / name)
    out = io.BytesIO()
    Image.new("L", (8, 8)).save(out, "PNG")
    (tmp_path / "good.png").write_bytes(out.getvalue())
    before = time.monotonic()
    kind = ImageKind.MICROGRAPH
    found = answers(*((Subject(kind=kind, path=tmp_path / one), 128) for one in (name, "good.png")))
    assert time.monotonic() - before < 30
    assert [head[0] for head, _ in found] == ["ImageMissing", "ok"]


@as_root
@pytest.mark.parametrize("project", [True, False])
def test_an_image_that_has_become_a_link_since_it_was_looked_at_is_not_shown(*, project: bool) -> None:
    with open_folder() as folder:
        for name in ("mine", "theirs"):
            (folder / name).mkdir()
            Image.new("L", (8, 8)).save(folder / name / "1.png")
        owned(folder / "mine", ATTACKER)
        owned(folder / "theirs", VICTIM)
        subject = Subject(
            kind=ImageKind.MICROGRAPH, path=folder / "mine/1.png", project=folder / "mine" if project else None
        )
        assert render_subject(subject, 128).data
        (folder / "mine/1.png").unlink()
        link(folder / "mine/1.png", folder / "theirs/1.png", ATTACKER)
        with pytest.raises(ImageUnreadable, match="leads to what the project's owner may not read and is not shown"):
            render_subject(subject, 128)
        (folder / "theirs/1.png").unlink()
        with pytest.raises(ImageUnreadable, match="leads to what the project's owner may not read and is not shown"):
            render_subject(subject, 128)


def test_a_file_that_is_not_called_like_an_image_is_not_opened_by_a_link_either(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(KEY)
    (tmp_path / "1.mrc").symlink_to("secret")
    with pytest.raises((ImageUnreadable, ImageMissing), match="not called like an image"):
        render(tmp_path / "1.mrc")
