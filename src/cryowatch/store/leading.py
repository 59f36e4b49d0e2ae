"""Which outputs of a session stand for its stages: the ones that it is counted and judged by.

The rule, for each kind of items (docs/design/leading.md tells why):

1. An output that was made from a set of its own kind, or of a later one, is a selection: what a consensus accepts or
   discards, what a tilt or dose filter keeps, a subset, the aligned copy of a set of movies.  It stands for nothing
   while one is there that is none.
2. One that calls itself discarded stands for nothing while another is there.
3. The others are grouped by the imports that they come from.  Each group is a grid of its own, and all count together.
4. Of several in a group (two estimates of the same micrographs, a dose-weighted copy) one stands for it: the first that
   is still growing and holds items, else the one with most items; the first in the order of runs where these are equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryowatch.model import OutputKind, is_discarded

OutputRow = Mapping[str, Any]
"""A row of `Reader.outputs`."""

STAGES = (OutputKind.MOVIES, OutputKind.MICROGRAPHS, OutputKind.CTF)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """The outputs that stand for one kind of items, one for each grid; their items are counted together."""

    kind: OutputKind
    outputs: tuple[OutputRow, ...]

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(output["id"] for output in self.outputs)

    @property
    def count(self) -> int:
        """How many items were read."""
        return sum(output["count"] for output in self.outputs)

    @property
    def newest(self) -> int | None:
        """The time of the newest item in UTC ns; None without items."""
        return max((output["newest"] for output in self.outputs if output["newest"] is not None), default=None)

    @property
    def growing(self) -> bool:
        """Whether more items may come."""
        return any(output["stream_open"] for output in self.outputs)


class Leading:
    """The leading outputs of a session, from the rows of `Reader.outputs`, which are in the order of runs."""

    def __init__(self, outputs: Sequence[OutputRow]) -> None:
        self._kinds = {o["id"]: o["kind"] for o in outputs}
        self._lineage = _Lineage(outputs)
        self.stages: Mapping[OutputKind, Stage] = {
            kind: Stage(kind=kind, outputs=tuple(self._chosen([o for o in outputs if o["kind"] == kind])))
            for kind in STAGES
        }

    def __getitem__(self, kind: OutputKind) -> Stage:
        return self.stages[kind]

    @property
    def shown(self) -> Stage:
        """The stage that pages show unless told otherwise: the last one that has items."""
        return next((self[kind] for kind in reversed(STAGES) if self[kind].count), self[OutputKind.MOVIES])

    @property
    def ids(self) -> dict[str, tuple[int, ...]]:
        """The ids of the outputs of each kind."""
        return {kind.value: stage.ids for kind, stage in self.stages.items()}

    @property
    def all_ids(self) -> tuple[int, ...]:
        """The ids of the outputs of every kind."""
        return tuple(number for stage in self.stages.values() for number in stage.ids)

    def estimated(self, outputs: Sequence[int]) -> bool:
        """Return whether some outputs of the session, at least one, hold CTF estimates."""
        return bool(outputs) and all(self._kinds[number] == OutputKind.CTF for number in outputs)

    def together(self, output: OutputRow, other: OutputRow) -> bool:
        """Return whether the items of two outputs may come from the same grid."""
        return not self._lineage.known or not self._lineage.roots(output).isdisjoint(self._lineage.roots(other))

    def grids(self, outputs: Sequence[OutputRow]) -> list[list[OutputRow]]:
        """Return those of some outputs of one kind that may stand for each grid."""
        made = [o for o in outputs if not self._lineage.is_selection(o)] or outputs
        return self._grids([o for o in made if not is_discarded(o["name"])] or made)

    def _chosen(self, outputs: Sequence[OutputRow]) -> Iterable[OutputRow]:
        for group in self.grids(outputs):
            growing = [o for o in group if o["stream_open"] and o["count"]]
            yield growing[0] if growing else max(group, key=lambda o: o["count"])

    def _grids(self, outputs: Sequence[OutputRow]) -> list[list[OutputRow]]:
        """Return outputs in groups that come from the same imports, in their order."""
        groups: list[list[OutputRow]] = []
        for output in outputs:
            near = [g for g in groups if any(self.together(output, o) for o in g)]
            joined = [*(o for g in near for o in g), output]
            groups = [g for g in groups if g not in near] + [sorted(joined, key=outputs.index)]
        return sorted(groups, key=lambda group: outputs.index(group[0]))


class _Lineage:
    """What the outputs of a session were made from; `known` is False where the source has not told of every run."""

    def __init__(self, outputs: Sequence[OutputRow]) -> None:
        self.known = all(o["run_inputs"] is not None for o in outputs)
        self._of_run: dict[str, list[OutputRow]] = {}
        for output in outputs:
            self._of_run.setdefault(output["run"], []).append(output)
        self._roots: dict[str, frozenset[str]] = {}

    def is_selection(self, output: OutputRow) -> bool:
        """Return whether an output was made from a set of its own kind or of a later one."""
        later = STAGES[STAGES.index(output["kind"]) :]
        return any(parent["kind"] in later for parent in self._parents(output["run"]))

    def roots(self, output: OutputRow) -> frozenset[str]:
        """Return the runs at which the lineage of an output begins."""
        return self._roots_of(output["run"], ())

    def _roots_of(self, run: str, below: tuple[str, ...]) -> frozenset[str]:
        known = self._roots.get(run)
        if known is None:
            before = [place.partition(".")[0] for place in self._inputs(run)]
            found = [self._roots_of(b, (*below, run)) for b in dict.fromkeys(before) if b not in (*below, run)]
            known = self._roots[run] = frozenset().union(*found) if found else frozenset({run})
        return known

    def _parents(self, run: str) -> Iterable[OutputRow]:
        for place in self._inputs(run):
            before, _, name = place.partition(".")
            yield from (o for o in self._of_run.get(before, ()) if o["name"] == name)

    def _inputs(self, run: str) -> list[str]:
        outputs = self._of_run.get(run)
        inputs = outputs[0]["run_inputs"] if outputs else ""
        return inputs.split(",") if inputs else []
