"""Items of a Scipion set of CTFs, micrographs or movies, as `Micrograph` records.

A set is an SQLite file: `Properties(key, value)`, `Classes(label_property, column_name, class_name)` and `Objects`.
Several sets may lie in one file, told apart by a prefix (`Bad_Classes`, `Bad_Objects`); they share `Properties`, which
then hold what the set that was written last says of itself.  Which column holds what differs from set to set, so the
map is made anew for each file that is opened.  Values that stand for "none" (zero, negative, inf, nan, and what
`CTFModel.setWrongDefocus` writes) become None.
"""

from __future__ import annotations

import calendar
import math
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryowatch.numbers import whole
from cryowatch.reading import Items, Shifts
from cryowatch.records import OutputKind
from cryowatch.sources.scipion.alignment import drop_impossible_motion, shifts_of
from cryowatch.sources.scipion.database import PAGE, Database, quoted
from cryowatch.sources.scipion.scalars import (
    FIRST_YEAR,
    LAST_YEAR,
    count_of,
    is_number_list,
    number_of,
    numbers_of,
    text_of,
)

_COLUMNS: Mapping[OutputKind, Mapping[str, Sequence[str]]] = {
    OutputKind.CTF: {
        "name": ("_micObj._micName",),
        "defocus_u": ("_defocusU",),
        "defocus_v": ("_defocusV",),
        "defocus_angle": ("_defocusAngle",),
        "phase_shift": ("_phaseShift",),
        "resolution": ("_resolution",),
        "fit_quality": ("_fitQuality",),
        "motion_total": ("_micObj._rlnAccumMotionTotal",),
        "motion_early": ("_micObj._rlnAccumMotionEarly",),
        "motion_late": ("_micObj._rlnAccumMotionLate",),
        "pixel_size": ("_micObj._samplingRate",),
        "micrograph_path": ("_micObj._filename",),
        "power_spectrum_path": ("_psdFile", "_micObj.psdCorr._filename", "_micObj.psdJpeg"),
        "shift_plot_path": (
            "_micObj.plotGlobal._filename",
            "_micObj.plotCart._filename",
            "_micObj.plotCart",
            "_micObj.plotPolar._filename",
        ),
    },
    OutputKind.MICROGRAPHS: {
        "name": ("_micName",),
        "motion_total": ("_rlnAccumMotionTotal",),
        "motion_early": ("_rlnAccumMotionEarly",),
        "motion_late": ("_rlnAccumMotionLate",),
        "pixel_size": ("_samplingRate",),
        "micrograph_path": ("_filename",),
        "power_spectrum_path": ("psdCorr._filename", "psdJpeg", "psdJpeg._filename"),
        "shift_plot_path": ("plotGlobal._filename", "plotCart._filename", "plotCart", "plotPolar._filename"),
    },
    OutputKind.MOVIES: {
        "name": ("_micName",),
        "pixel_size": ("_samplingRate",),
        "micrograph_path": ("_filename",),
        "x_shifts": ("_alignment._xshifts",),
        "y_shifts": ("_alignment._yshifts",),
    },
}
_CLASSES, _OBJECTS, _PROPERTIES = "Classes", "Objects", "Properties"
_SIZE = "SELECT value FROM Properties WHERE key = '_size'"
_DISCARDED = (0, "0")
_MOST_IMAGES = 999_999_999


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Up to `PAGE` items with ids above a given one; `last` is the highest, None of none.

    `shifts` are those of aligned movies, by name.
    """

    items: Items
    last: int | None
    complete: bool
    shifts: Mapping[str, Shifts] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """The tables of one set in an open database: those that are there, and those that others have beside it."""

    prefix: str
    present: frozenset[str]

    @property
    def whole(self) -> bool:
        """Whether the set can be read."""
        return self._own <= self.present and (bool(self.prefix) or _PROPERTIES in self.present)

    @property
    def begun(self) -> bool:
        """Whether any of its tables is there; Scipion makes the file first, then the table that sets share."""
        return bool(self._own & self.present) or (_PROPERTIES in self.present and not self.shared and not self.prefix)

    @property
    def shared(self) -> bool:
        """Whether another set lies in the same file."""
        return any(name.endswith(_OBJECTS) and name not in self._own for name in self.present)

    @property
    def _own(self) -> frozenset[str]:
        return frozenset({f"{self.prefix}{_CLASSES}", f"{self.prefix}{_OBJECTS}"})


def tables_of(database: Database, prefix: str) -> Tables:
    """Return the tables of the set whose tables' names begin with a prefix."""
    return Tables(prefix=prefix, present=frozenset(database.tables()))


class ItemSet:
    """One set in an open database that holds its tables; raises `SourceMalformed` when it is damaged."""

    def __init__(
        self, database: Database, tables: Tables, kind: OutputKind, *, run: str, output: str, changed: int
    ) -> None:
        self._database = database
        self._kind = kind
        self.run = run
        self.output = output
        self.strange = ""
        """Where a number was expected and something else found: the first such value, in words."""
        self._objects = f"{quoted(f'{tables.prefix}{_OBJECTS}')} NOT INDEXED"
        self.counts_itself = not (tables.prefix or tables.shared)
        """Whether its file says of this set alone how many items it holds."""
        self._count = _SIZE if self.counts_itself else f"SELECT count(*) FROM {self._objects} WHERE id > 0"
        classes = f"{tables.prefix}{_CLASSES}"
        database.columns(classes)
        rows = database.rows(f"SELECT label_property, column_name FROM {quoted(classes)}")
        columns = {text_of(label): text_of(column) for label, column in rows}
        if len(columns) < len(rows):
            raise database.malformed("its table Classes has a label twice")
        present = set(database.columns(f"{tables.prefix}{_OBJECTS}"))
        self._places: dict[str, list[int]] = {}
        self._labels = ["id", "enabled", "creation"]
        chosen = [quoted(name) if name in present else "NULL" for name in self._labels]
        for name, labels in _COLUMNS[kind].items():
            for label in labels:
                column = columns.get(label, "")
                if column in present:
                    self._places.setdefault(name, []).append(len(chosen))
                    self._labels.append(label)
                    chosen.append(quoted(column))
        self._select = f"SELECT {', '.join(chosen)} FROM {self._objects} WHERE id > ? LIMIT {PAGE}"
        self._times = _Times(changed)

    def size(self) -> int | None:
        """Return the number of items that the set's writer says it has; of several sets in a file, that it has."""
        rows = self._database.rows(self._count)
        return count_of(rows[0][0]) if rows else None

    def ids(self) -> list[int]:
        """Return all ids in order; reads the whole table."""
        rows = self._database.rows(f"SELECT id FROM {self._objects}")
        return self._checked([row[0] for row in rows])

    def last(self) -> int:
        """Return the highest id, 0 of none; what cannot be read in their order is `SourceMalformed`."""
        [(lowest, highest, without)] = self._database.rows(
            f"SELECT (SELECT min(id) FROM {self._objects}), (SELECT max(id) FROM {self._objects}),"
            f" EXISTS (SELECT 1 FROM {self._objects} WHERE id IS NULL)"
        )
        if without:
            raise self._database.malformed("an item has no id")
        if lowest is None:
            return 0
        self._checked([lowest])
        return self._checked([highest])[0]

    def _checked(self, ids: Sequence[Any]) -> list[int]:
        """Return ids if they are whole numbers above zero, each once and in their order."""
        before = 0
        for number in ids:
            if type(number) is not int or number <= before:
                raise self._database.malformed(f"{str(number)[:40]!r} is no id, or is one twice or out of order")
            before = number
        return list(ids)

    def page(self, after: int) -> Page:
        """Return the next items above an id."""
        rows, whole, usual = self._database.page(self._select, (after,))
        columns = list(zip(*rows, strict=True)) or [()] * len(self._labels)
        values: dict[str, Sequence[Any]] = {
            "item": self._checked(columns[0]),
            "enabled": [value not in _DISCARDED for value in columns[1]],
            "time": [self._times[value] for value in columns[2]],
        }
        for name, places in self._places.items():
            found = [self._converted(name, columns, place, usual=usual) for place in places]
            values[name] = found[0]
            if len(found) > 1 and not all(found[0]):
                values[name] = [next(filter(None, v), "") for v in zip(*found, strict=True)]
        values["name"] = _names(values)
        shifts: Mapping[str, Shifts] = {}
        if self._kind is OutputKind.MOVIES:
            values.pop("micrograph_path", None)
            shifts = shifts_of(values, values.pop("x_shifts", ()), values.pop("y_shifts", ()))
        if self._kind is OutputKind.CTF:
            _drop_without_fit(values)
        drop_impossible_motion(values)
        return Page(
            items=Items(values, run=self.run, output=self.output),
            last=columns[0][-1] if rows else None,
            complete=whole and len(rows) < PAGE,
            shifts=shifts,
        )

    def _converted(self, name: str, columns: Sequence[Sequence[Any]], place: int, *, usual: bool) -> Sequence[Any]:
        """Return a column's values as the model has them; nearly all are what they should be, and stay as they are.

        `usual` says that none is long.
        """
        convert = _CONVERSIONS[name]
        column = columns[place]
        types = set(map(type, column))
        if convert is numbers_of:
            return self._paths(columns[0], column, place)
        if usual and types <= {str} and (convert is text_of or (convert is bare_path and _is_bare("".join(column)))):
            return column
        if types == {float} and isinstance(convert, _Between):
            return convert.of_floats(column)
        if name not in _TEXTS and not self.strange and not _NUMBERS.issuperset(types):
            known = zip(columns[0], column, strict=True)
            bad = next(((item, v) for item, v in known if v is not None and number_of(v) is None), None)
            if bad:
                item, value = bad
                self.strange = f"item {item} has {str(value)[:40]!r} as {self._labels[place]}, which is no number"
        return [convert(value) for value in column]

    def _paths(self, items: Sequence[Any], column: Sequence[Any], place: int) -> list[tuple[float, ...]]:
        """Return comma lists of numbers."""
        found = [numbers_of(value) for value in column]
        if not self.strange:
            incomplete = (i for i, path in enumerate(found) if any(map(math.isnan, path)))
            bad = next((i for i in incomplete if not is_number_list(column[i])), None)
            if bad is not None:
                label, text = self._labels[place], str(column[bad])[:40]
                self.strange = f"item {items[bad]} has {text!r} as {label}, which is no list of numbers"
        return found


class _Times(dict[object, int]):
    """`creation`, UTC in whole seconds, in nanoseconds; one that is no time is that of the file."""

    def __init__(self, changed: int) -> None:
        super().__init__()
        self._changed = changed

    def __missing__(self, text: object) -> int:
        try:
            when = time.strptime(str(text)[:19], "%Y-%m-%d %H:%M:%S")
            known = FIRST_YEAR <= when.tm_year <= LAST_YEAR
        except ValueError:
            known = False
        self[text] = found = calendar.timegm(when) * 10**9 if known else self._changed
        return found


def _names(values: Mapping[str, Sequence[Any]]) -> list[str]:
    """Return the items' names; one without is called after its file, or else by its id."""
    items = values["item"]
    names = values.get("name") or [""] * len(items)
    if all(names):
        return list(names)
    files = values.get("micrograph_path") or [""] * len(items)
    return [
        name or file.rpartition("/")[2] or f"item {item}" for name, file, item in zip(names, files, items, strict=True)
    ]


def _drop_without_fit(values: dict[str, Sequence[Any]]) -> None:
    """Where one defocus is missing, there is no fit: drop the other one, and whatever else a fit would have told."""
    none = [None] * len(values["item"])
    major, minor = (values.get(name, none) for name in ("defocus_u", "defocus_v"))
    if None in major or None in minor:
        missing = [u is None or v is None for u, v in zip(major, minor, strict=True)]
        for name in ("defocus_u", "defocus_v", "defocus_angle", "resolution", "fit_quality", "phase_shift"):
            if name in values:
                values[name] = [None if gone else x for x, gone in zip(values[name], missing, strict=True)]


def bare_path(text: object) -> str:
    """Return a path without Scipion's decorations, `file.mrc:mrc` and `1@file.mrc`; `3@stack.mrcs` keeps its number."""
    path = text_of(text)
    if _is_bare(path):
        return path
    name, colon, kind = path.rpartition(":")
    if colon and kind.isalnum() and len(kind) <= 5:
        path = name
    number, at, rest = path.partition("@")
    image = whole(number.strip(), most=_MOST_IMAGES) if at else None
    if image is None:
        return path
    return rest if image <= 1 else f"{image}@{rest}"


def _is_bare(path: str) -> bool:
    return "@" not in path and ":" not in path


@dataclass(frozen=True, slots=True)
class _Between:
    """Numbers from `low` to `high`; whatever is none, or lies beyond, is None."""

    low: float
    high: float

    def __call__(self, value: object) -> float | None:
        number = number_of(value)
        return number if number is not None and self.low <= number <= self.high else None

    def of_floats(self, column: Sequence[float]) -> list[float | None]:
        """Return the same of many values that are floats all."""
        low, high = self.low, self.high
        return [value if low <= value <= high else None for value in column]


_LARGEST = sys.float_info.max
_positive = _Between(math.ulp(0.0), _LARGEST)
_not_negative = _Between(0.0, _LARGEST)
_angle = _Between(-360.0, 360.0)
_fit = _Between(math.nextafter(-1.0, 0.0), _LARGEST)
"""A cross-correlation: above -1; what programs write for "none" is -1 and less."""

_CONVERSIONS: Mapping[str, Callable[[object], Any]] = {
    "name": text_of,
    "defocus_u": _positive,
    "defocus_v": _positive,
    "defocus_angle": _angle,
    "phase_shift": _angle,
    "resolution": _positive,
    "fit_quality": _fit,
    "motion_total": _not_negative,
    "motion_early": _not_negative,
    "motion_late": _not_negative,
    "pixel_size": _positive,
    "micrograph_path": bare_path,
    "power_spectrum_path": bare_path,
    "shift_plot_path": bare_path,
    "x_shifts": numbers_of,
    "y_shifts": numbers_of,
}
_TEXTS = {name for name, convert in _CONVERSIONS.items() if convert in (text_of, bare_path)}
_NUMBERS = {float, int, type(None)}
