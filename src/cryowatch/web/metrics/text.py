"""Prometheus' text format, version 0.0.4: families of samples, each with its help and type."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Literal

MEDIA_TYPE = "text/plain; version=0.0.4"

Kind = Literal["gauge", "counter"]
Samples = Iterable[tuple[Mapping[str, str], float]]
"""Labels and value of each; no two of a family may have the same labels, or Prometheus refuses the whole answer."""


def family(name: str, kind: Kind, text: str, samples: Samples) -> str:
    """Return a family as lines of text; empty where it has no samples.  `text` is one line of help."""
    lines = "".join(f"{name}{_labels(labels)} {_number(value)}\n" for labels, value in samples)
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n{lines}" if lines else ""


def _labels(labels: Mapping[str, str]) -> str:
    pairs = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items())
    return f"{{{pairs}}}" if pairs else ""


def _escaped(text: str) -> str:
    """Return a text as a label's value has it; what is no UTF-8 would cost the whole answer."""
    encodable = text.encode(errors="backslashreplace").decode()
    return encodable.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if isinstance(value, int):
        return str(value)
    return f"{value:.13g}" if math.isfinite(value) else f"{value:+}".replace("nan", "NaN").replace("inf", "Inf")
