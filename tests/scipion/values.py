"""What Scipion's own API says of a project's sets, as JSON.  Run by Scipion's interpreter, in the project."""

from __future__ import annotations

import json
import sys
from typing import Any

from pwem.objects import SetOfCTF, SetOfMicrographs, SetOfMovies

CLASSES = {"ctfs": SetOfCTF, "micrographs": SetOfMicrographs, "micrographs_dw": SetOfMicrographs, "movies": SetOfMovies}


def _plot(micrograph: Any) -> str:
    plot = getattr(micrograph, "plotGlobal", None)
    return plot.getFileName() if plot is not None else ""


def _item(item: Any) -> dict[str, Any]:
    found = {"item": item.getObjId(), "enabled": item.isEnabled()}
    if type(item).__name__ == "CTFModel":
        micrograph = item.getMicrograph()
        u, v, angle = item.getDefocus()
        found |= {"defocus_u": u, "defocus_v": v, "defocus_angle": angle}
        found |= {"resolution": item.getResolution(), "fit_quality": item.getFitQuality()}
        found |= {"phase_shift": item.getPhaseShift() if item.hasPhaseShift() else None}
        found |= {"power_spectrum_path": item.getPsdFile()}
    else:
        micrograph = item
    found |= {"name": micrograph.getMicName(), "pixel_size": micrograph.getSamplingRate()}
    if type(item).__name__ != "Movie":
        found |= {"micrograph_path": micrograph.getFileName(), "shift_plot_path": _plot(micrograph)}
    return found


def main() -> None:
    """Print the items of the sets named on the command line, by file."""
    said = {}
    for path in sys.argv[1:]:
        items = CLASSES[path.rpartition("/")[2].removesuffix(".sqlite")](filename=path)
        said[path] = [_item(item) for item in items.iterItems()]
        items.close()
    json.dump(said, sys.stdout, indent=1)


main()
