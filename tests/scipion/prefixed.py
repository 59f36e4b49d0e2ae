"""Gives a project's CTF estimation two sets in one file, and prints what Scipion's API says of them.

Run by Scipion's interpreter, in the project.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pyworkflow as pw

pw.Config.setDomain("pwem")

from pwem.objects import CTFModel, SetOfCTF  # noqa: E402
from pyworkflow.project import Project  # noqa: E402


def _items(file: str, prefix: str) -> dict[int, Any]:
    ctfs = SetOfCTF(filename=file, prefix=prefix)
    return {ctf.getObjId(): [ctf.getDefocusU(), ctf.getDefocusV()] for ctf in ctfs}


def main(run: int, *prefixes: str) -> None:
    """Write a set for each prefix into one new file, the outputs `outputPREFIX` of a run."""
    project = Project(pw.Config.getDomain(), str(Path.cwd()))
    project.load()
    protocol = project.getProtocol(run)
    file = protocol._getPath("both.sqlite")
    for shift, prefix in enumerate(prefixes):
        made = SetOfCTF(filename=file, prefix=prefix)
        for ctf in protocol.outputCTF:
            copy = CTFModel()
            copy.copy(ctf, copyId=True)
            copy.setStandardDefocus(ctf.getDefocusU() + 100 * shift, ctf.getDefocusV() + shift, 0.0)
            if copy.getObjId() % 3 != shift:
                made.append(copy)
        made.setMicrographs(protocol.inputMicrographs)
        made.write()
        protocol._defineOutputs(**{f"output{prefix}": made})
        made.close()
    project._storeProtocol(protocol)
    print(json.dumps({prefix: _items(file, prefix) for prefix in prefixes}))


main(int(sys.argv[1]), *sys.argv[2:])
