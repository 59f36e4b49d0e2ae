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
from itertools import chain
from typing import Any

from cryowatch.records import OutputKind, is_discarded

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
        if not self._lineage.known:
            return [list(outputs)] if outputs else []
        joined = _Joined()
        for output in outputs:
            joined.join(self._lineage.roots(output))
        groups: dict[str, list[OutputRow]] = {}
        for output in outputs:
            groups.setdefault(joined.first(next(iter(self._lineage.roots(output)))), []).append(output)
        return list(groups.values())


class _Joined:
    """Names in groups: those that were joined, directly or by way of others, have one first name."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def first(self, name: str) -> str:
        """Return what stands for the group of a name."""
        path = [name]
        while (above := self._above.setdefault(path[-1], path[-1])) != path[-1]:
            path.append(above)
        self._above.update(dict.fromkeys(path, path[-1]))
        return path[-1]

    def join(self, names: Iterable[str]) -> None:
        """Put the groups of some names together."""
        firsts = [self.first(name) for name in names]
        self._above.update(dict.fromkeys(firsts, firsts[0]))


class _Lineage:
    """What the outputs of a session were made from; `known` is False where the source has not told of every run."""

    def __init__(self, outputs: Sequence[OutputRow]) -> None:
        self.known = all(o["run_inputs"] is not None for o in outputs)
        self._of_run = {output["run"]: output["run_inputs"] or "" for output in outputs}
        self._kinds: dict[tuple[str, str], set[str]] = {}
        for output in outputs:
            self._kinds.setdefault((output["run"], output["name"]), set()).add(output["kind"])
        self._roots: dict[str, frozenset[str]] = {}
        self._made_of: dict[str, frozenset[str]] = {}

    def is_selection(self, output: OutputRow) -> bool:
        """Return whether an output was made from a set of its own kind or of a later one."""
        later = STAGES[STAGES.index(output["kind"]) :]
        return not self._parents(output["run"]).isdisjoint(later)

    def roots(self, output: OutputRow) -> frozenset[str]:
        """Return the runs at which the lineage of an output begins; a run that was made from itself begins one."""
        run = output["run"]
        if run not in self._roots:
            self._find_roots(run)
        return self._roots[run]

    def _find_roots(self, run: str) -> None:
        """Find the roots of a run and of all before it; chains may be longer than Python's calls go deep."""
        under_way = {run: iter(self._before(run))}
        while under_way:
            run, before = next(reversed(under_way.items()))
            step = next((one for one in before if one not in self._roots and one not in under_way), None)
            if step is not None:
                under_way[step] = iter(self._before(step))
                continue
            del under_way[run]
            found = [self._roots[one] for one in self._before(run) if one in self._roots]
            self._roots[run] = frozenset().union(*found) if found else frozenset({run})

    def _before(self, run: str) -> list[str]:
        return [place.partition(".")[0] for place in self._inputs(run)]

    def _parents(self, run: str) -> frozenset[str]:
        """Return the kinds of the outputs that a run was made from."""
        known = self._made_of.get(run)
        if known is None:
            places = (place.partition(".") for place in self._inputs(run))
            kinds = (self._kinds.get((before, name), ()) for before, _, name in places)
            known = self._made_of[run] = frozenset(chain.from_iterable(kinds))
        return known

    def _inputs(self, run: str) -> list[str]:
        inputs = self._of_run.get(run)
        return inputs.split(",") if inputs else []
