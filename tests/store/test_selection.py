"""Which micrographs a filter lets through, and in which order they come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from cryowatch.judgement import OF_A_FIT, Bound
from cryowatch.store import Selection, Store
from cryowatch.store.panels.good import good_among
from cryowatch.store.reader import Reader, Row
from tests.support import boundaries
from tests.support.boundaries import LIMITS
from tests.support.records import START, reading, session, span

ALL = boundaries.estimates()


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    store = Store(tmp_path_factory.mktemp("store"))
    known = store.register(session()).session
    store.commit(known, reading(span(ALL)), now=START)
    yield store.reader()
    store.close()


def output(reader: Reader) -> tuple[int, ...]:
    return reader.leading(1).shown.ids


@pytest.mark.parametrize("limit", [0.1, 0.2, 0.3, 0.7, 1.1, 2.3, 4.1, 4.7, 5.9])
def test_a_range_of_exactly_a_shown_value_finds_it(reader: Reader, limit: float) -> None:
    chosen = Selection(outputs=output(reader), ranges={"defocus": (limit, limit)})
    total, rows = reader.micrographs(chosen, offset=0, limit=10)
    assert (total, {row["defocus"] for row in rows}) == (1, {float(round(limit * 10_000))})


@pytest.mark.parametrize(("fit", "count"), [(False, 8), (True, len(ALL) - 8)])
def test_estimates_without_a_fit_can_be_asked_for(reader: Reader, *, fit: bool, count: int) -> None:
    total, rows = reader.micrographs(Selection(outputs=output(reader), fit=fit), offset=0, limit=500)
    assert total == len(rows) == count
    assert all((row["defocus"] is not None) is fit for row in rows)


@pytest.mark.parametrize("field", ["resolution", "defocus", "astigmatism"])
def test_what_has_no_fit_comes_where_the_worst_do(reader: Reader, field: str) -> None:
    missing = sum(getattr(m, field) is None for m in ALL)
    for descending in (True, False):
        chosen = Selection(outputs=output(reader), sort=field, descending=descending)
        _, rows = reader.micrographs(chosen, offset=0, limit=500)
        values = [row[field] for row in rows]
        none = values[:missing] if descending else values[-missing:]
        rest = values[missing:] if descending else values[:-missing]
        assert none == [None] * missing
        assert rest == sorted(rest, reverse=descending)


BOUNDS = [
    Bound(field="defocus", low=0.1, high=LIMITS["defocus_max"]),
    Bound(field="resolution", high=LIMITS["resolution_max"]),
    Bound(field="motion_total", high=20.0),
]


def names(reader: Reader, **wanted: Any) -> set[str]:
    chosen = Selection(outputs=output(reader), good_bounds=BOUNDS, outside_bounds=BOUNDS, **wanted)
    return {row["name"] for row in reader.micrographs(chosen, offset=0, limit=500)[1]}


def test_what_is_not_good_is_what_the_count_of_good_ones_leaves_out(reader: Reader) -> None:
    counted = good_among(reader.table, output(reader), BOUNDS, START)
    assert len(names(reader, good=True)) == counted.good
    assert len(names(reader, good=False)) == counted.of - counted.good
    assert names(reader, good=True) | names(reader, good=False) == names(reader, enabled=True)
    assert names(reader, good=False) >= names(reader, fit=False, enabled=True)


def test_outside_limits_is_what_breaks_one_or_lacks_what_a_fit_gives(reader: Reader) -> None:
    rows = reader.micrographs(Selection(outputs=output(reader), enabled=True), offset=0, limit=500)[1]
    per = {"defocus": 10_000, "resolution": 1, "motion_total": 1}

    def is_outside(row: Row) -> bool:
        values = [(bound, row[bound.field]) for bound in BOUNDS]
        return any(b.field in OF_A_FIT if v is None else not b.inside(v / per[b.field]) for b, v in values)

    assert names(reader, outside=True) == {row["name"] for row in rows if is_outside(row)}
    assert names(reader, outside=False) == {row["name"] for row in rows if not is_outside(row)}


def test_of_micrographs_that_no_run_estimated_nobody_says_that_they_are_not_good(reader: Reader) -> None:
    for wanted in ({"good": False}, {"outside": True}, {"fit": False}):
        assert names(reader, **wanted) != set()
        assert names(reader, estimates=False, **wanted) == set()


def test_a_time_is_cut_from_its_first_moment_to_its_last(reader: Reader) -> None:
    times = sorted(m.time for m in ALL)
    chosen = Selection(outputs=output(reader), start=times[3], stop=times[9])
    assert reader.micrographs(chosen, offset=0, limit=500)[0] == 7


@pytest.mark.parametrize("sort", ["defocus", "resolution", "motion_total", "name", "time"])
@pytest.mark.parametrize("descending", [True, False])
def test_neighbours_are_those_that_the_gallery_shows_beside(reader: Reader, sort: str, *, descending: bool) -> None:
    """By time the one before is the earlier one either way, as people say it."""
    limits: dict[str, Any] = {"ranges": {"defocus": (1.0, None)}} if sort == "name" else {"outside": True}
    chosen = Selection(
        outputs=output(reader), sort=sort, descending=descending and sort != "time", outside_bounds=BOUNDS, **limits
    )
    listed = reader.micrographs(chosen, offset=0, limit=500)[1]
    assert len(listed) > 10
    for place, row in enumerate(listed):
        before = listed[place - 1]["id"] if place else None
        after = listed[place + 1]["id"] if place + 1 < len(listed) else None
        assert reader.neighbours(reader.micrograph(row["id"]), chosen) == (before, after)
