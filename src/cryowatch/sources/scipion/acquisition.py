"""What runs of a project say of the acquisition, and of what kind runs and outputs are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import itemgetter

from cryowatch.records import OutputKind, RunStatus
from cryowatch.sources.scipion.objects import Node, Tree
from cryowatch.sources.scipion.scalars import positive

_ACQUISITION = {
    "voltage": "_voltage",
    "spherical_aberration": "_sphericalAberration",
    "amplitude_contrast": "_amplitudeContrast",
    "magnification": "_magnification",
    "dose_per_frame": "_dosePerFrame",
}
_IMPORTS = ("ProtImportMovies", "ProtImportMicrographs")
_PARAMETERS = {
    "voltage": "voltage",
    "spherical_aberration": "sphericalAberration",
    "amplitude_contrast": "amplitudeContrast",
    "magnification": "magnification",
    "pixel_size": "samplingRate",
    "dose_per_frame": "dosePerFrame",
}


def acquisition_of(tree: Tree, root: Node) -> Iterable[tuple[int, str, float]]:
    """Yield what a run says of the acquisition, with a rank: first movies, then what an import was told, then others.

    Micrographs may be binned, so their pixel size comes last.  A form that was only saved holds defaults, and one that
    was told the scanned pixel size computes the other.
    """
    for node in tree.children.get(root.id, ()):
        kind = kind_of(node.class_name)
        if kind not in (OutputKind.MOVIES, OutputKind.MICROGRAPHS):
            continue
        rank = 0 if kind is OutputKind.MOVIES else 2
        for child in tree.children.get(node.id, ()):
            name = child.name.rpartition(".")[2]
            if name == "_samplingRate":
                yield from _ranked(rank, {"pixel_size": child.value})
            elif name == "_acquisition":
                values = tree.values(child.id)
                yield from _ranked(rank, {field: values.get(name) for field, name in _ACQUISITION.items()})
    parameters = tree.values(root.id)
    if root.class_name.startswith(_IMPORTS) and status_of(parameters.get("status")) is not RunStatus.SAVED:
        told = {field: parameters.get(name) for field, name in _PARAMETERS.items()}
        if parameters.get("samplingRateMode") not in (None, "0"):
            del told["pixel_size"]
        yield from _ranked(1, told)


def _ranked(rank: int, texts: Mapping[str, str | None]) -> Iterable[tuple[int, str, float]]:
    for field, text in texts.items():
        value = positive(text)
        if value is not None:
            yield rank, field, value


def first_said(said: Iterable[tuple[int, str, float]]) -> dict[str, float]:
    """Return the values of the acquisition, each from whoever ranks first."""
    found: dict[str, float] = {}
    for _, field, value in sorted(said, key=itemgetter(0)):
        found.setdefault(field, value)
    return found


def kind_of(class_name: str) -> OutputKind:
    """Return what the items of a set are; by its class, as names vary with the plugin."""
    match class_name:
        case "SetOfCTF":
            return OutputKind.CTF
        case "SetOfMicrographs":
            return OutputKind.MICROGRAPHS
        case "SetOfMovies":
            return OutputKind.MOVIES
        case _:
            return OutputKind.OTHER


def status_of(text: str | None) -> RunStatus:
    """Return a run's status; one that Scipion does not have counts as saved."""
    try:
        return RunStatus(text or "")
    except ValueError:
        return RunStatus.SAVED
