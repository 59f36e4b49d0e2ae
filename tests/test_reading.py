"""Micrographs kept as columns are the same micrographs."""

from __future__ import annotations

import pytest

from cryowatch.reading import Items, columns_of
from cryowatch.records import Micrograph
from tests.support.records import micrograph

FIELDS = ("item", "name", "time", "defocus_u", "resolution")


def columns(records: tuple[Micrograph, ...]) -> Items:
    kept = {name: [getattr(record, name) for record in records] for name in FIELDS}
    return Items(kept, run="135", output="outputCTF")


def records(count: int) -> tuple[Micrograph, ...]:
    return tuple(
        Micrograph(run="135", output="outputCTF", **{name: getattr(whole, name) for name in FIELDS})
        for whole in map(micrograph, range(1, count + 1))
    )


def test_columns_give_the_records_that_they_were_made_of() -> None:
    made = records(5)
    items = columns(made)
    assert (tuple(items), len(items), items[1], items[-1]) == (made, 5, made[1], made[4])
    assert tuple(items[1:3]) == made[1:3]
    assert items == made
    assert items != made[:4]


def test_a_field_that_no_column_holds_has_its_default() -> None:
    items = columns(records(3))
    assert items[0].phase_shift is None
    assert (list(items.column("phase_shift")), list(items.column("enabled"))) == ([None] * 3, [True] * 3)


@pytest.mark.parametrize("count", [0, 4])
def test_fields_of_columns_are_those_of_records(count: int) -> None:
    made = records(count)
    names = ("item", "defocus_u", "phase_shift")
    assert [list(c) for c in columns_of(columns(made), names)] == [list(c) for c in columns_of(made, names)]
