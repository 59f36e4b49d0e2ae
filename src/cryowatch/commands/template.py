"""Scipion's workflow templates: a JSON list of boxes, each with its class, id and parameters.

The monitors of scipion-em-facilities are replaced by those of the plugin scipion-em-cryowatch, which have the same
parameters: only the names of the classes change, and every other byte stays, also where a template holds Scipion's
placeholders (`~Name|value|type~`) outside quotes and so is no JSON yet.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from cryowatch.errors import ConfigError

CLASSES = {
    "ProtMonitorSummary": "CryowatchMonitorSummary",
    "ProtMonitorCTF": "CryowatchMonitorCTF",
    "ProtMonitorMovieGain": "CryowatchMonitorMovieGain",
    "ProtMonitorSystem": "CryowatchMonitorSystem",
}
_UNMAPPED = {"ProtMonitor2dStreamer": "it launches 2D classifications, which cryowatch does not"}
_SAMPLING = {"samplingInterval", "monitorTime"}
_MAIL = {"doMail", "emailFrom", "emailTo", "smtp"}
_GAIN = {"stddevValue", "ratio1Value", "ratio2Value"}
_CTF = {"maxDefocus", "minDefocus", "astigmatism"}
_SYSTEM = {
    "cpuAlert", "memAlert", "swapAlert", "doGpu", "gpusToUse", "doNetwork", "netInterfaces", "doDiskIO",
}  # fmt: skip
PARAMETERS = {
    "ProtMonitorSummary": {"inputProtocols", "doInflux", "publishCmd"} | _SAMPLING | _MAIL | _GAIN | _CTF | _SYSTEM,
    "ProtMonitorCTF": {"inputProtocol"} | _SAMPLING | _MAIL | _CTF,
    "ProtMonitorMovieGain": {"inputProtocol"} | _SAMPLING | _MAIL | _GAIN,
    "ProtMonitorSystem": {"inputProtocols"} | _SAMPLING | _MAIL | _SYSTEM,
}
"""What the forms have, beside what every box has."""

_EVERY = re.compile(
    r"object\..*|_.*|run(Name|Mode)|hostName|numberOf(Threads|Mpi)|useQueue|gpuList|useGpu|forceSchedule|binThreads"
)
_CLASS = re.compile(r'("object\.className"\s*:\s*")(\w+)(")')


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """A template with the classes replaced: what was changed, and what a person should look at, a line each."""

    text: str
    changes: tuple[str, ...]
    notes: tuple[str, ...]


def changed(text: str, *, where: str) -> Changed:
    """Return a template with its monitors replaced; raises `ConfigError` where it is no template."""
    if not _CLASS.search(text):
        raise ConfigError(
            'no box is in it: there is no "object.className"', where=where, remedy="Export the workflow from Scipion"
        )
    changes: list[str] = []
    notes: list[str] = []

    def replaced(found: re.Match[str]) -> str:
        name = found[2]
        if name in CLASSES:
            changes.append(f"{name} becomes {CLASSES[name]}")
            return f"{found[1]}{CLASSES[name]}{found[3]}"
        if name in _UNMAPPED:
            notes.append(f"{name} stays: {_UNMAPPED[name]}")
        return found[0]

    result = _CLASS.sub(replaced, text)
    notes += _unknown(text)
    return Changed(text=result, changes=tuple(changes), notes=tuple(notes))


def _unknown(text: str) -> Iterator[str]:
    """Yield what the boxes of monitors hold that the new forms do not have."""
    try:
        boxes: Any = json.loads(text)
    except ValueError as error:
        yield f"its parameters were not compared, as it is no JSON: {error}"
        return
    for box in boxes if isinstance(boxes, list) else []:
        name = box.get("object.className", "") if isinstance(box, dict) else ""
        if name in PARAMETERS:
            strange = sorted(key for key in box if key not in PARAMETERS[name] and not _EVERY.fullmatch(key))
            label = box.get("object.label") or name
            yield from (f"{label}: {key} has no place in the new form, which leaves it out" for key in strange)
