"""Who asks of the server that a module serves as `served`: with the accounts of `people.add_everybody`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.people import Person
from tests.support.serving import Served


@pytest.fixture
def viewer(served: Served) -> Iterator[Person]:
    person = Person(served, "ada")
    yield person
    person.close()


@pytest.fixture
def operator(served: Served) -> Iterator[Person]:
    person = Person(served, "grace")
    yield person
    person.close()


@pytest.fixture
def nobody(served: Served) -> Iterator[Person]:
    person = Person(served)
    yield person
    person.close()
