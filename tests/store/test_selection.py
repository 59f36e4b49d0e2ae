"""Which micrographs a filter lets through, and in which order they come."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cryowatch.store import Selection, Store
from cryowatch.store.reader import Reader
from tests import boundaries
from tests.records import START, reading, session, span

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
