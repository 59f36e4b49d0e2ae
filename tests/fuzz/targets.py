"""What is promised of the bytes that others write, a function a format: right values or one clear line, and soon.

`test_*.py` beside it make such bytes with hypothesis, after the format's grammar; `guided.py` makes them with atheris,
after the branches they reach.
"""

from __future__ import annotations

import gzip
import io
import math
import os
import re
import struct
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from PIL import Image
from starlette.datastructures import QueryParams

from cryowatch.alerts.rules import rules_of
from cryowatch.dashboards import STANDARD
from cryowatch.dashboards.custom import customised
from cryowatch.errors import ConfigError, ImageError
from cryowatch.records import GainResidual, ImageKind, Run
from cryowatch.settings import secrets
from cryowatch.settings.config import Settings, load
from cryowatch.sources.scipion.gain import FILE, PROTOCOL, GainProgress, read_gains
from cryowatch.sources.scipion.scalars import text_of
from cryowatch.sources.scipion.sets import bare_path
from cryowatch.web import queries
from cryowatch.web.replies import BadQuery
from tests.support.image_files import header, render

FOLDER = "Runs/000200_XmippProtMovieGain"
RUN = Run(run="200", label="movie gain", class_name=PROTOCOL, status="running", working_dir=FOLDER)
RESIDUAL = re.compile(rb"([^\s:\x00-\x1f][^:\x00-\x1f]*):((?:[ \t\r\f\v]+[^ \t\r\f\v]+){4})[ \t\r\f\v]*")
NUMBER = re.compile(rb"[+-]?(\d+\.?\d*([eE][+-]?\d+)?|nan|inf)")
DECORATED = re.compile(r"(?:\s*0*([0-9]{1,9})\s*@)?(.*?)(?::[^\W_]{1,5})?", re.DOTALL)
MOST_MEMORY = 300 * 2**20
SECRET = "hunter2secret"


def read_residuals(folder: Path, *, most: int = 500) -> tuple[list[GainResidual], str]:
    """Read a gain run to the end, as the agent does: what is new each time, and what is said in the end."""
    known = GainProgress()
    found: list[GainResidual] = []
    for _ in range(most):
        news = read_gains(folder, RUN, known, None, time.time_ns() + 10**12)
        known = news.progress
        found += news.residuals
        if news.finished:
            return found, known.strange
    raise AssertionError("it does not end")


def residual(line: bytes) -> tuple[float | None, float | None, float | None] | None:
    """Return what a line says, in the simplest reading; None where it is no gain residual."""
    matched = RESIDUAL.fullmatch(line.strip())
    if matched is None or len(matched[1]) > 200 or not all(NUMBER.fullmatch(word) for word in matched[2].split()):
        return None
    stddev, low, high, most = (float(word) for word in matched[2].split())
    return (stddev if math.isfinite(stddev) and stddev >= 0 else None, ratio(high, low), ratio(most, high))


def ratio(above: float, below: float) -> float | None:
    """Return a ratio, where it is one."""
    if not math.isfinite(above) or not math.isfinite(below) or below <= 0:
        return None
    return above / below if math.isfinite(above / below) else None


def take_gain(data: bytes) -> None:
    """Lines of gain residuals: each is its own numbers, or said to be none."""
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / FOLDER).mkdir(parents=True)
        (Path(name) / FOLDER / FILE).write_bytes(data)
        found, strange = read_residuals(Path(name))
    lines = data.split(b"\n")[:-1]
    wanted = {place: told for place, line in enumerate(lines, 1) if (told := residual(line)) is not None}
    assert {one.item: (one.stddev, one.ratio1, one.ratio2) for one in found} == wanted
    assert bool(strange) == any(line.strip() and place not in wanted for place, line in enumerate(lines, 1))


def take_image(path: Path, kind: ImageKind, *, computed: bool = False, index: int = 0) -> None:
    """A file of an image: what comes is a picture that opens, or one line; and it takes little memory."""
    tracemalloc.start()
    try:
        try:
            found = render(path, kind, 128, index=index, computed=computed)
        except ImageError as error:
            reason = str(error)
        else:
            reason = "none is needed"
            with Image.open(io.BytesIO(found.data)) as image:
                image.load()
                assert max(image.size) <= 128
        assert reason.strip()
        assert reason.isprintable()
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    finally:
        tracemalloc.stop()


def take_mrc(data: bytes) -> None:
    """Bytes of an MRC file, packed or not, as a micrograph and as what a spectrum is computed of."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("x.mrc", "x.mrcs", "x.mrc.gz", "x.mrc.bz2"):
            path = Path(folder) / name
            path.write_bytes(data)
            take_image(path, ImageKind.MICROGRAPH, index=1 if name.endswith("s") else 0)
        take_image(Path(folder) / "x.mrc", ImageKind.POWER_SPECTRUM, computed=True)


def take_spider(data: bytes) -> None:
    """Bytes of a SPIDER file, as a power spectrum and as an image of a stack."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.psd"
        path.write_bytes(data)
        take_image(path, ImageKind.POWER_SPECTRUM)
        take_image(path, ImageKind.MICROGRAPH, index=1)


@contextmanager
def written(content: bytes, variables: Mapping[str, str] | None = None) -> Iterator[Path]:
    """A configuration of that content, and an environment that holds these variables alone."""
    with tempfile.TemporaryDirectory() as folder, mock.patch.dict(os.environ, variables or {}, clear=True):
        os.environ["HOME"] = folder
        path = Path(folder) / "cryowatch.toml"
        path.write_bytes(content)
        yield path


def said(error: ConfigError) -> str:
    """Return an error's line, having looked whether it is clear: short, one line, without the secret."""
    line = str(error)
    assert line.isprintable(), line
    assert error.what.strip(), line
    assert error.where, line
    assert SECRET not in line, line
    assert len(line) < 2_000, line
    return line


def loaded(path: Path) -> Settings | None:
    """Load as a start does, rules and dashboards included; None where that ends in a line."""
    try:
        found = load(path)
        rules_of(found.alerts.rules, file=path)
        customised(found.dashboards, found.limits, file=path)
    except ConfigError as error:
        said(error)
        return None
    return found


def take_settings(data: bytes) -> None:
    """Bytes of cryowatch.toml: settings, or a line."""
    with written(data) as path:
        loaded(path)


def take_secrets(data: bytes) -> None:
    """Bytes of secrets.cfg: what it says, or a line without the secret."""
    with written(data) as path:
        try:
            secrets.unknown_keys(path)
            secrets.load(path)
        except ConfigError as error:
            said(error)


def take_query(data: bytes) -> None:
    """The query of an address: a selection of finite numbers, or what is wrong with it."""
    query = QueryParams(data.decode("latin-1"))
    reason = "none is needed"
    try:
        ranges = queries.selection(query, (1,)).ranges or {}
        assert all(bound is None or math.isfinite(bound) for bounds in ranges.values() for bound in bounds)
        for dashboard in STANDARD:
            values = queries.variables(query, dashboard)
            assert all(variable.low <= values[variable.name] <= variable.high for variable in dashboard.variables)
        last = queries.whole(query, "last", most=1_000)
        assert last is None or (last <= 1_000 and str(last) == (query["last"].lstrip("0") or "0"))
    except BadQuery as error:
        reason = str(error)
    assert 0 < len(reason) < 1_000


def take_path(data: bytes) -> None:
    """The path of a file in Scipion's sets: its decorations taken off, its number in a stack kept."""
    path = text_of(data.decode("utf-8", "replace"))
    matched = DECORATED.fullmatch(path)
    assert matched is not None
    image = int(matched[1] or 1)
    assert bare_path(path) == (matched[2] if image <= 1 else f"{image}@{matched[2]}")


@dataclass(frozen=True)
class Target:
    """A format: what takes its bytes and raises where a promise is broken, and examples to begin with."""

    take: Callable[[bytes], None]
    seeds: tuple[bytes, ...]


_RESIDUAL = b"movie_000001_residual: 0.016680 1.05 17.4 20.9\n"
_MRC = header(48, 32, 2) + bytes(range(256)) * 24
_SECRETS = (
    b"[influx]\nusernameInflux=d3JpdGVy\npasswordInflux=aHVudGVyMnNlY3JldA==\ndataBase=scipion\nhostinflux=host\n"
    b"port=8086\nssl=True\nverify_ssl=False\ntimeZone=Europe/Madrid\ntimeDelta=-2\n[paramiko]\nremote_path=/x\n"
)
_SETTINGS = (
    b'data_dir = "/var/lib/x"\n[limits]\nresolution = 4.5\n[web]\nlisten = "127.0.0.1:8420"\n'
    b'[influx]\nurl = "https://h:8086"\npassword = "wordpass"\n'
)

_SPIDER = struct.pack("<256f", *(1, 8, 40, 0, 1, *[0] * 6, 8, 32, *[0] * 8, 1024, 32, *[0] * 233)) + bytes(8 * 8 * 4)

TARGETS = {
    "gain": Target(take_gain, (_RESIDUAL, _RESIDUAL * 2 + b"x: nan inf 1e5 2\n", b"m: 1 2 3\n")),
    "mrc": Target(take_mrc, (_MRC, header(8, 8, 0, order=">") + bytes(64), gzip.compress(_MRC, 1))),
    "spider": Target(take_spider, (_SPIDER, _SPIDER[:100] + bytes(4000))),
    "secrets": Target(take_secrets, (_SECRETS,)),
    "settings": Target(take_settings, (_SETTINGS, b"[[alerts.rules]]\nname = 'x'\nquantity = 'resolution'\n")),
    "query": Target(take_query, (b"sort=resolution&order=asc&min_defocus=1e4&max_resolution=4.5&enabled=1", b"last=5")),
    "path": Target(take_path, (b"000003@a/b.mrcs:mrcs", b"1@x.mrc", b"a/psd.mrc:mrc", b"3 @\xc3\xa9.mrc")),
}
