"""The cursor of a Scipion source: how far each set and each file of gain residuals was read, as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple, dataclass
from typing import Any

from cryowatch.sources.scipion.gain import GainProgress

_VERSION = 2
_BEFORE = 1
"""What cursors of this version say of sets does not count: some values were read otherwise, and all are read anew."""

Key = tuple[str, str]


@dataclass(slots=True)
class Progress:
    """How far one set has been read: up to id `at`, with `count` items, and to its end where `ended`.

    `swept` is the time of the file when the last sweep began; 0 where that was too fresh to tell a later change.
    `prefix` is what the names of its tables begin with.
    """

    inode: int = 0
    swept: int = 0
    at: int = 0
    count: int = 0
    ended: bool = False
    strange: str = ""
    prefix: str = ""


def parsed(cursor: str) -> tuple[int, dict[Key, Progress], dict[str, GainProgress]]:
    """Return the number and the progress in a cursor; of one that cannot be understood, the beginning.

    Of a cursor of an earlier version the gain residuals count, where it says anything of them.
    """
    try:
        data = json.loads(cursor) if cursor else {}
        if data.get("version") not in (_VERSION, _BEFORE):
            return 0, {}, {}
        sets = {}
        known = data["sets"] if data["version"] == _VERSION else ()
        for run, name, inode, swept, at, count, ended, strange, prefix in known:
            sets[str(run), str(name)] = Progress(
                int(inode), int(swept), int(at), int(count), bool(ended), str(strange), str(prefix)
            )
        gains = {}
        for run, inode, at, line, tail, strange in data.get("gains", ()):
            gains[str(run)] = GainProgress(int(inode), int(at), int(line), int(tail), str(strange))
        return int(data["number"]), sets, gains
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError):
        return 0, {}, {}


def written(number: int, progress: Mapping[Key, Progress], gains: Mapping[str, GainProgress]) -> str:
    data: dict[str, Any] = {"version": _VERSION, "number": number}
    data["sets"] = [[*key, *astuple(known)] for key, known in progress.items()]
    if gains:
        data["gains"] = [[run, *astuple(known)] for run, known in gains.items()]
    return json.dumps(data, separators=(",", ":"))
