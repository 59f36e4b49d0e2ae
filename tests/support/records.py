"""Records for tests: plausible values that a test overrides where it matters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from cryowatch.reading import Reading, Span
from cryowatch.records import Micrograph, Output, OutputKind, Run, Session

SECOND = 10**9
START = 1_795_000_000 * SECOND


def micrograph(item: int, **values: Any) -> Micrograph:
    """Return micrograph number `item` of run 135."""
    defaults: dict[str, Any] = {
        "run": "135",
        "output": "outputCTF",
        "item": item,
        "name": f"FoilHole_{item:06d}_fractions.mrcs",
        "time": START + item * 4 * SECOND,
        "defocus_u": 15_000.0 + item,
        "defocus_v": 14_800.0 + item,
        "defocus_angle": 45.0,
        "resolution": 3.5,
        "fit_quality": 0.12,
        "pixel_size": 0.83,
        "micrograph_path": f"Runs/000067_ProtMotionCorr/extra/{item}.mrc",
        "power_spectrum_path": f"Runs/000135_CistemProtCTFFind/extra/{item}.mrc",
    }
    return Micrograph(**{**defaults, **values})


def run(number: str = "135", **values: Any) -> Run:
    """Return a run that is at work."""
    defaults: dict[str, Any] = {"label": "ctffind 4", "class_name": "CistemProtCTFFind", "status": "running"}
    return Run(run=number, **{**defaults, "started": START, **values})


def output(number: str = "135", name: str = "outputCTF", **values: Any) -> Output:
    """Return an output that may grow."""
    defaults: dict[str, Any] = {"class_name": "SetOfCTF", "kind": OutputKind.CTF, "stream_open": True}
    return Output(run=number, name=name, **{**defaults, **values})


def session(path: str = "/projects/alpha", **values: Any) -> Session:
    """Return a session named after its folder."""
    defaults: dict[str, Any] = {"name": path.rpartition("/")[2], "host": "gpu1", "status": "running"}
    return Session(path=path, **{**defaults, **values})


def span(items: Iterable[Micrograph], *, after: int = 0, upto: int | None = None, **values: Any) -> Span:
    """Return what the CTF output holds in a range."""
    return Span(**{"run": "135", "output": "outputCTF", "after": after, "upto": upto, "items": tuple(items), **values})


def reading(*spans: Span, cursor: str = "1", **values: Any) -> Reading:
    """Return a reading of one run with one CTF output."""
    return Reading(**{"cursor": cursor, "runs": (run(),), "outputs": (output(),), "spans": spans, **values})
